"""`longshore queues` and `workers`: what runs the jobs."""

from __future__ import annotations

import click

from longshore.cli.output import print_json
from longshore.cli.session import Session, output_options, pass_session


@click.group()
def queues() -> None:
    """Show, pause and resume queues."""


@queues.command("ls")
@output_options
@pass_session
def list_queues(session: Session) -> None:
    """List queues: what waits in them and what runs."""
    print_json(session, list(session.client.get_json("queues")["items"]))


@click.group()
def workers() -> None:
    """Show the workers."""


@workers.command("ls")
@output_options
@pass_session
def list_workers(session: Session) -> None:
    """List workers: where they run and what they serve."""
    print_json(session, list(session.client.get_json("workers")["items"]))
