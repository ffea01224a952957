"""`longshore queues` and `workers`: what runs the jobs."""

from __future__ import annotations

import click

from longshore.cli.lazy import Noun
from longshore.cli.output import Column, ago, clean, print_json, print_list
from longshore.cli.session import Session, output_options, pass_session

QUEUE_COLUMNS = [
    Column("name", lambda queue: clean(queue.name)),
    Column("state", lambda queue: "paused" if queue.paused else "active"),
    Column("queued", lambda queue: str(queue.queued)),
    Column("due", lambda queue: str(queue.due)),
    Column("oldest", lambda queue: ago(queue.oldest_at)),
    Column("running", lambda queue: str(queue.running)),
    Column("slots", lambda queue: str(queue.slots)),
    Column("workers", lambda queue: str(queue.workers)),
    Column("reason", lambda queue: clean(queue.pause_reason)),
]
WORKER_COLUMNS = [
    Column("node", lambda worker: clean(worker.node)),
    Column("pid", lambda worker: str(worker.pid)),
    Column("busy", lambda worker: f"{worker.holds}/{worker.slots}"),
    Column("state", lambda worker: _worker_state(present=worker.present, draining=worker.draining)),
    Column("seen", lambda worker: ago(worker.seen_at)),
    Column("queues", lambda worker: clean(", ".join(worker.queues))),
    Column("id", lambda worker: worker.id),
]


@click.group(cls=Noun)
@output_options
def queues() -> None:
    """Show, pause and resume queues."""


@queues.command("ls")
@output_options
@pass_session
def list_queues(session: Session) -> None:
    """List queues: what waits in them, and who serves them."""
    print_list(session, session.client.queues.list(), QUEUE_COLUMNS, "No queues.")


@queues.command("pause")
@click.argument("name")
@click.option("-r", "--reason", help="Why.")
@output_options
@pass_session
def pause(session: Session, name: str, reason: str | None) -> None:
    """Start no more jobs of a queue; they are accepted and wait."""
    session.client.queues.pause(name, reason=reason)
    _told(session, name, paused=True)


@queues.command("resume")
@click.argument("name")
@click.option("-r", "--reason", help="Why.")
@output_options
@pass_session
def resume(session: Session, name: str, reason: str | None) -> None:
    """Start the jobs of a queue again."""
    session.client.queues.resume(name, reason=reason)
    _told(session, name, paused=False)


def _told(session: Session, name: str, *, paused: bool) -> None:
    if session.as_json:
        print_json(session, {"name": name, "paused": paused})
    else:
        click.echo(f"{name}  {'paused' if paused else 'resumed'}")


@click.group(cls=Noun)
@output_options
def workers() -> None:
    """Show the workers."""


@workers.command("ls")
@click.option("-a", "--all", "absent", is_flag=True, help="Also those that are gone.")
@output_options
@pass_session
def list_workers(session: Session, absent: bool) -> None:
    """List workers: where they run, how busy they are, what they serve."""
    print_list(session, session.client.workers.list(absent=absent), WORKER_COLUMNS, "No worker is there: start one.")


def _worker_state(*, present: bool, draining: bool) -> str:
    if not present:
        return "gone"
    return "draining" if draining else "active"
