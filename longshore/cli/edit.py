"""`longshore edit` and `rm`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from longshore.cli.filters import moment
from longshore.cli.naming import find_job, job_argument, jobs_argument
from longshore.cli.output import confirm, print_job, print_json
from longshore.cli.session import Session, output_options, pass_session


@click.command()
@job_argument
@click.option("--title", help="What it is, for people.")
@click.option("-l", "--label", "labels", multiple=True, help="Label; those given replace all that it has.")
@click.option("--priority", type=int, help="Lower is more urgent.")
@click.option("--queue", help="Which workers may take it.")
@click.option("--not-before", metavar="WHEN", help="Not run earlier: an instant, or 90m, 2h, 1d from now.")
@click.option("--timeout", type=float, metavar="SECONDS", help="How long an attempt may run.")
@click.option("--max-attempts", type=click.IntRange(1), help="How many attempts may be burnt.")
@click.option("--pause-at", metavar="STAGE", help="Pause when this stage is reached.")
@output_options
@pass_session
def edit(session: Session, /, job: str, **changes: Any) -> None:
    """Change a job that has not started: a draft, or one that is queued or paused."""
    given = {name: value for name, value in changes.items() if value not in (None, ())}
    if not given:
        raise click.UsageError("Nothing to change: give at least one option.")
    if "labels" in given:
        given["labels"] = list(given["labels"])
    if "not_before" in given:
        given["not_before"] = moment(given["not_before"])
    print_job(session, find_job(session.client, job).edit(**given))


@click.command()
@jobs_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_options
@pass_session
def rm(session: Session, /, jobs: Sequence[str], yes: bool) -> None:
    """Delete jobs that are final, with their history, logs and outputs."""
    handles = [find_job(session.client, name) for name in jobs]
    if not yes:
        names = ", ".join(str(handle.number) for handle in handles)
        confirm(f"Delete job {names} with history, logs and outputs?")
    for handle in handles:
        handle.remove()
    if session.as_json:
        print_json(session, [{"id": handle.id, "removed": True} for handle in handles])
    else:
        for handle in handles:
            click.echo(f"{handle.number}  {handle.id}  removed")
