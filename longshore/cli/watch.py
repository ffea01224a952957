"""`longshore watch`: one job, live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from longshore.cli.exits import Exit, Stop, exit_of
from longshore.cli.naming import JOB, find_job
from longshore.cli.output import ago, clean, print_json_line, state_word
from longshore.cli.session import Session, output_options, pass_session
from longshore.models import Job

if TYPE_CHECKING:
    from longshore.client import JobHandle

_OFFERED = 10


@click.command()
@click.argument("job", type=JOB, required=False)
@click.option("--exit-status", is_flag=True, help="Exit with 1 if the job failed, 2 if it was cancelled.")
@click.option("--interval", type=click.FloatRange(0.05), metavar="SECONDS", help="Least time between two redraws.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Stop watching after this time (exit code 3).")
@output_options
@pass_session
def watch(session: Session, job: str | None, exit_status: bool, interval: float | None, timeout: float | None) -> None:
    """Watch a job live until it is final: its stages, progress and messages.

    On a terminal this is a picture that is redrawn; otherwise one line for each change; with -o json one JSON
    object for each change. Ctrl-C ends the watching and leaves the job alone.
    """
    handle = find_job(session.client, job or _asked_for(session))
    try:
        follow(session, handle, interval=interval, timeout=timeout)
    except KeyboardInterrupt:
        leave_running(session, handle)
    if exit_status:
        raise Stop(exit_of(handle.job))


def follow(session: Session, handle: JobHandle, *, interval: float | None, timeout: float | None) -> None:
    """Show the job in the way that suits whoever reads, until it is final. Raises WaitTimeout."""
    if session.as_json:
        for job in handle.snapshots(timeout):
            print_json_line(session, dict(job.raw))
    elif session.is_watched:
        from longshore.cli.live import draw  # noqa: PLC0415 - rich is needed only on a terminal

        draw(session.client, handle, interval or 0.1, timeout)
    else:
        _lines(handle, timeout)


def leave_running(session: Session, handle: JobHandle) -> None:
    """Say that Ctrl-C ended the watching only, and stop."""
    if not handle.job.is_final:
        session.note(f"\nJob {handle.number} goes on. Watch it again with: longshore watch {handle.number}")
        session.note(f"To stop it: longshore cancel {handle.number}")
    raise Stop(Exit.CANCELLED) from None


def _lines(handle: JobHandle, timeout: float | None) -> None:
    """Print a line whenever something changed that people care for."""
    last = ""
    for job in handle.snapshots(timeout):
        line = _line(job)
        if line != last:
            click.echo(line)
        last = line


def _line(job: Job) -> str:
    count = "" if job.done is None else f"{job.done:g}" + ("" if job.total is None else f"/{job.total:g}")
    error = f"{job.error.name}: {job.error.message}" if job.error else ""
    parts = [job.shown_state, clean(job.stage), f"{job.progress:.0%}", count, clean(error or job.message)]
    return "  ".join(part for part in parts if part)


def _asked_for(session: Session) -> str:
    """Let a person at a terminal choose among the newest jobs."""
    if not session.is_watched:
        raise click.UsageError("Missing argument 'JOB'.")
    found = [handle.job for handle in session.client.jobs(limit=_OFFERED)]
    if not found:
        raise click.UsageError("There is no job yet.")
    for job in found:
        state = state_word(job.shown_state)
        click.echo(
            f"{job.number:>6}  {clean(job.type)}  {state}  {ago(job.created_at)}  {clean(job.title)}",
            err=True,
        )
    return str(click.prompt("Which job", default=str(found[0].number), err=True))
