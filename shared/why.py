"""Why a job does not run now: a stable reason, a sentence for people, its place in the queue and a guess at when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, tuple_

from shared.due import is_due
from shared.lifecycle import FINAL, Flag, State
from shared.models import Execution, Job, JobType, Queue
from shared.models.types import now
from shared.presence import workers_present

RECENT_RUNS = 50
"""How many of the last executions an estimate looks at."""


@dataclass(frozen=True)
class Why:
    """Why a job does not run now, or that it does."""

    reason: str
    """stable code"""
    detail: str
    """for people"""
    position: int | None = None
    """1 is the next to start in its queue; only for jobs that could start now"""
    estimate: int | None = None
    """when it may start, judged by recent runs; microseconds since 1970 UTC"""


def explain(connection: Connection, job: Row[Any], presence: float) -> Why:
    """The reason for where `job` stands."""
    state = State(job.state)
    if state in FINAL:
        return Why(state.value, f"It is {state.value}.")
    if state is State.QUEUED:
        return next(_obstacles(connection, job, presence), None) or _waiting(connection, job, presence)
    return {
        State.DRAFT: lambda: Why("draft", "It is a draft; submit it to have it run."),
        State.PENDING: lambda: Why("pending", "It waits for other jobs to be done."),
        State.BLOCKED: lambda: Why("blocked", "A job it depends on cannot be completed."),
        State.RUNNING: lambda: _running(job),
        State.PAUSED: lambda: _paused(job),
    }[state]()


def _running(job: Row[Any]) -> Why:
    if job.flag is None:
        return Why("running", "It is running.")
    asked = "pausing" if job.flag == Flag.PAUSE else "cancelling"
    return Why(asked, f"It is running; {_by(job)} asked to {job.flag} it, and its worker has yet to do so.")


def _paused(job: Row[Any]) -> Why:
    if job.held:
        return Why("held", f"It is done; {_by(job)} had paused it, so resume it to make that count.")
    if job.flag == Flag.CANCEL:
        return Why("cancelling", f"It is paused; {_by(job)} asked to cancel it, and its worker has yet to do so.")
    how = "suspended" if job.holder is not None else "parked"
    return Why(how, f"It was paused by {_by(job)} and is {how}; resume it to have it go on.")


def _by(job: Row[Any]) -> str:
    reason = f" ({job.flag_reason})" if job.flag_reason else ""
    return f"{job.flag_by or 'its own request'}{reason}"


def _obstacles(connection: Connection, job: Row[Any], presence: float) -> Iterator[Why]:
    moment = connection.execute(select(now())).scalar_one()
    if job.not_before is not None and job.not_before > moment:
        cause = "It is tried again after a pause." if job.burnt else "It was submitted to run later."
        yield Why("not-before", cause, estimate=job.not_before)
    queue = connection.execute(select(*Queue.__table__.columns).where(Queue.name == job.queue)).one_or_none()
    if queue is not None and queue.paused:
        yield Why("queue-paused", f"Its queue {job.queue} is paused{_because(queue.pause_reason)}.")
    kind = connection.execute(
        select(JobType.paused, JobType.pause_reason).where(
            JobType.name == job.type, JobType.version == job.type_version
        )
    ).one_or_none()
    if kind is not None and kind.paused:
        yield Why("type-paused", f"Its job type {job.type} is paused{_because(kind.pause_reason)}.")
    yield from _lacking_workers(job, workers_present(connection, presence))


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _lacking_workers(job: Row[Any], present: Sequence[Row[Any]]) -> Iterator[Why]:
    serving = [worker for worker in present if job.queue in worker.queues]
    taking = [worker for worker in serving if not worker.draining]
    if not serving:
        yield Why("no-worker", f"No worker serves its queue {job.queue}; start one that does.")
    elif not taking:
        yield Why("workers-draining", f"All workers of its queue {job.queue} are shutting down.")
    elif job.kind == "python" and not any(job.revision in worker.offers for worker in taking):
        yield Why("no-code", f"No worker of its queue {job.queue} has the code of {job.type} {job.type_version}.")


def _waiting(connection: Connection, job: Row[Any], presence: float) -> Why:
    ahead = select(func.count()).where(
        Job.queue == job.queue, is_due(), tuple_(Job.priority, Job.number) < tuple_(job.priority, job.number)
    )
    position = connection.execute(ahead).scalar_one() + 1
    serving = [worker for worker in workers_present(connection, presence) if job.queue in worker.queues]
    slots = sum(worker.slots for worker in serving if not worker.draining)
    detail = f"It is number {position} in its queue {job.queue}, which has {slots} slots."
    return Why("waiting", detail, position, _estimate(connection, job, position, slots))


def _estimate(connection: Connection, job: Row[Any], position: int, slots: int) -> int | None:
    """When a slot should be free: rounds of the slots' work still ahead, each as long as recent runs."""
    recent = (
        select(Execution.ended_at, Execution.claimed_at)
        .join(Job, Job.id == Execution.job_id)
        .where(Execution.ended_at.is_not(None), Job.queue == job.queue)
        .order_by(Execution.number.desc())
        .limit(RECENT_RUNS)
    )
    runs = connection.execute(recent).all()
    if not runs or not slots:
        return None
    mean = sum(run.ended_at - run.claimed_at for run in runs) / len(runs)
    moment = connection.execute(select(now())).scalar_one()
    return int(moment + mean * position / slots)
