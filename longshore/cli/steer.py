"""`longshore pause`, `resume`, `cancel`, `rerun` and `send`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import click

from longshore.cli.exits import Exit, Stop, report
from longshore.cli.naming import find_job, jobs_argument
from longshore.cli.output import print_json, state_word
from longshore.cli.session import Session, output_options, pass_session
from longshore.errors import LongshoreError
from longshore.models import Job

if TYPE_CHECKING:
    from longshore.client import JobHandle

Act = Callable[["JobHandle"], Job]

_reason = click.option("-r", "--reason", help="Why; it is kept in the history with your name.")


@click.command()
@jobs_argument
@click.option(
    "--mode",
    type=click.Choice(["park", "suspend"]),
    help="park: save at the next checkpoint and free the slot. suspend: stop the process in place.",
)
@_reason
@click.option("--wait", is_flag=True, help="Wait until the worker has acknowledged it.")
@output_options
@pass_session
def pause(
    session: Session,
    jobs: Sequence[str],
    mode: Literal["park", "suspend"] | None,
    reason: str | None,
    wait: bool,
) -> None:
    """Pause jobs: queued ones at once, running ones when their worker acknowledges it."""
    states = {"paused"} if wait else None
    _act_on_each(session, jobs, lambda handle: handle.pause(mode=mode, reason=reason), states)


@click.command()
@jobs_argument
@_reason
@output_options
@pass_session
def resume(session: Session, jobs: Sequence[str], reason: str | None) -> None:
    """Let paused jobs go on from where they stopped."""
    _act_on_each(session, jobs, lambda handle: handle.resume(reason=reason))


@click.command()
@jobs_argument
@_reason
@click.option("--wait", is_flag=True, help="Wait until no process of the job is left.")
@output_options
@pass_session
def cancel(session: Session, jobs: Sequence[str], reason: str | None, wait: bool) -> None:
    """Cancel jobs; of those that run, every process is ended within seconds."""
    states = {"cancelled"} if wait else None
    _act_on_each(session, jobs, lambda handle: handle.cancel(reason), states)


@click.command()
@jobs_argument
@_reason
@output_options
@pass_session
def rerun(session: Session, jobs: Sequence[str], reason: str | None) -> None:
    """Run failed or cancelled jobs again."""
    _act_on_each(session, jobs, lambda handle: handle.rerun(reason=reason))


@click.command()
@jobs_argument
@_reason
@output_options
@pass_session
def send(session: Session, jobs: Sequence[str], reason: str | None) -> None:
    """Submit drafts that were made with `submit --draft`."""
    _act_on_each(session, jobs, lambda handle: handle.submit(reason=reason))


def _act_on_each(session: Session, names: Sequence[str], act: Act, states: set[str] | None = None) -> None:
    """Act on every job named; one that refuses does not keep the others from it."""
    done: list[Job] = []
    worst = Exit.OK
    for name in names:
        try:
            handle = find_job(session.client, name)
            job = act(handle)
            done.append(handle.wait(until=states) if states else job)
        except (LongshoreError, click.ClickException) as error:
            if len(names) == 1:
                raise
            worst = max(worst, report(error, as_json=session.as_json))
    _show(session, done, single=len(names) == 1)
    if worst:
        raise Stop(worst)


def _show(session: Session, jobs: Sequence[Job], *, single: bool) -> None:
    if session.as_json:
        documents = [dict(job.raw) for job in jobs]
        print_json(session, documents[0] if single and documents else documents)
        return
    for job in jobs:
        wait = " (its worker has yet to acknowledge it)" if job.flag else ""
        click.echo(f"{job.number}  {job.id}  {state_word(job.shown_state)}{wait}")
