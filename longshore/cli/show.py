"""`longshore show`, `why` and `history`: what is known of one job."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from longshore.cli.naming import find_job, job_argument
from longshore.cli.output import (
    Column,
    clean,
    exact,
    length,
    print_card,
    print_json,
    print_list,
    size,
    state_word,
)
from longshore.cli.session import Session, output_options, pass_session
from longshore.models import ErrorInfo, Execution, FlagInfo, Job, StoredFile

RECORD_COLUMNS = [
    Column("seq", lambda record: str(record.seq)),
    Column("at", lambda record: f"{record.at.astimezone():%m-%d %H:%M:%S}" if record.at else ""),
    Column("event", lambda record: clean(record.event)),
    Column("state", lambda record: state_word(record.state)),
    Column("attempt", lambda record: str(record.attempt)),
    Column("stage", lambda record: clean(record.stage)),
    Column("progress", lambda record: f"{record.progress:4.0%}"),
    Column("by", lambda record: clean(record.by)),
    Column("message", lambda record: clean(record.reason or record.message)),
]


@click.command()
@job_argument
@output_options
@pass_session
def show(session: Session, job: str) -> None:
    """Show one job: its request, where it stands, its executions and files."""
    handle = find_job(session.client, job)
    if session.as_json:
        print_json(session, dict(handle.job.raw))
        return
    print_card(_facts(handle.job))
    print_card([("executions", "\n".join(map(_execution, handle.executions())))])
    print_card([("files", "\n".join(map(_file, handle.files())))])


def _facts(job: Job) -> Iterator[tuple[str, str]]:
    yield "job", f"{job.number}  {job.id}"
    yield "type", clean(f"{job.type} {job.version}")
    yield "title", clean(job.title)
    yield "labels", clean(", ".join(job.labels))
    yield "owner", clean(job.owner)
    yield "state", state_word(job.shown_state) + (" (process suspended)" if job.suspended else "")
    yield "asked", _flag(job.flag) if job.flag else ""
    yield "stage", clean(job.stage)
    yield "progress", _progress(job)
    yield "message", clean(job.message)
    yield "error", _error(job.error) if job.error else ""
    yield "queue", clean(f"{job.queue}, priority {job.priority}")
    yield "attempts", f"{job.attempt} begun, {job.burnt} of {job.max_attempts} burnt"
    yield "args", _compact(job.args)
    yield "inputs", _compact(job.inputs)
    yield "result", _compact(job.result)
    yield "created", exact(job.created_at)
    yield "started", exact(job.started_at)
    yield "finished", exact(job.finished_at)
    yield "expires", exact(job.expires_at)
    yield "possible", ", ".join(job.actions)


def _progress(job: Job) -> str:
    if job.done is None:
        return f"{job.progress:.0%}" if job.started_at else ""
    total = "" if job.total is None else f" of {job.total:g}"
    return f"{job.progress:.0%} ({job.done:g}{total})"


def _flag(flag: FlagInfo) -> str:
    mode = f" ({flag.mode})" if flag.mode else ""
    reason = f": {clean(flag.reason)}" if flag.reason else ""
    return f"{flag.kind}{mode} by {clean(flag.by)}, not acknowledged yet{reason}"


def _error(error: ErrorInfo) -> str:
    return f"{clean(error.name)} [{clean(error.category)}] {clean(error.message)}"


def _compact(value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 100 else json.dumps(value, ensure_ascii=False, indent=2)  # noqa: PLR2004 - a line


def _execution(execution: Execution) -> str:
    took = ""
    if execution.claimed_at and execution.ended_at:
        took = " after " + length((execution.ended_at - execution.claimed_at).total_seconds())
    end = "runs now" if execution.outcome is None else f"{clean(execution.outcome)}{took}"
    code = "" if execution.exit_code is None else f", exit code {execution.exit_code}"
    signal = "" if execution.signal is None else f", signal {execution.signal}"
    return f"{execution.attempt}: on {clean(execution.node)}, {end}{code}{signal}"


def _file(file: StoredFile) -> str:
    return f"{file.role:6}  {clean(file.name)}  {size(file.size)}  {file.id}"


@click.command()
@job_argument
@output_options
@pass_session
def why(session: Session, job: str) -> None:
    """Say why a job is where it is: what it waits for, its place in the queue, when it may start."""
    reason = find_job(session.client, job).why()
    if session.as_json:
        print_json(session, dict(reason.raw))
        return
    place = "" if reason.position is None else str(reason.position)
    estimate = _estimate(reason.estimate)
    print_card(
        [
            ("reason", clean(reason.reason)),
            ("", clean(reason.detail)),
            ("position", place),
            ("start", estimate),
        ]
    )


def _estimate(value: Any) -> str:
    if isinstance(value, Mapping):
        return _compact(value)
    return length(float(value)) if isinstance(value, int | float) else clean(value)


@click.command()
@job_argument
@click.option("--after", type=click.IntRange(0), default=0, help="Only records after this number.")
@output_options
@pass_session
def history(session: Session, job: str, after: int) -> None:
    """Print the status records of a job: every change, by whom and why."""
    records = find_job(session.client, job).records(after)
    print_list(session, records, RECORD_COLUMNS, "No records.")
