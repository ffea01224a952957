"""Verb: run jobs. Claim the first due job, hold it under a lease, and end the execution, each fenced by its attempt."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, and_, bindparam, case, insert, null, or_, select, tuple_, update
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement

from shared.catalog import declaration_of
from shared.due import due_again, is_due
from shared.errors import StaleExecution
from shared.json_values import fit_error, refuse_unfit
from shared.lifecycle import Event, Flag, State
from shared.models import Checkpoint, Execution, Job
from shared.models.types import MICROSECONDS, boot_id, greatest, lease_now, now
from shared.store import Store, Transaction, advance, in_order, moving


@dataclass(frozen=True)
class Offer:
    """What a pool child that has a free slot offers to run."""

    worker_id: UUID
    worker: str
    """name of the worker in status records"""
    node: str
    pid: int
    queue: str
    revisions: frozenset[str]
    """revisions of python job types that it has the code for; commands it runs whatever their revision"""
    lease: float = 30.0
    """seconds that the lease lasts without a heartbeat"""


@dataclass(frozen=True)
class Lease:
    """The right to one execution: writes are accepted while the job's attempt is this one."""

    job_id: UUID
    attempt: int


@dataclass(frozen=True)
class Saved:
    """What an earlier attempt saved at its last checkpoint."""

    state: Any
    files: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Claimed:
    """A job taken, with all that is needed to run it."""

    lease: Lease
    owner_id: UUID
    type: str
    type_version: str
    revision: str
    kind: str
    declaration: Mapping[str, Any]
    args: Mapping[str, Any]
    inputs: Mapping[str, Any]
    timeout: float | None
    max_attempts: int
    burnt: int
    backoff: Mapping[str, Any]
    pause_at: str | None
    token: str | None = field(repr=False)
    """the execution's own credential, for commands that report over HTTP"""
    saved: Saved | None


@dataclass(frozen=True)
class Completed:
    """The job's code returned."""

    result: Any = None
    exit_code: int | None = None


@dataclass(frozen=True)
class Failed:
    """The job's code failed; `retry` says whether another attempt may help."""

    error: Mapping[str, Any]
    retry: bool = False
    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True)
class Lost:
    """The execution's process died, or its lease ran out, through no word of the job's code."""

    error: Mapping[str, Any]
    signal: int | None = None


@dataclass(frozen=True)
class Parked:
    """The job saved its state and gave its slot back, as a pause asked."""


@dataclass(frozen=True)
class Interrupted:
    """The worker ended the execution for its own reasons (drain, outage); it burns nothing."""


@dataclass(frozen=True)
class Stopped:
    """No process of the job is left, as a cancel asked."""


End = Completed | Failed | Lost | Parked | Interrupted | Stopped


@dataclass(frozen=True)
class Ended:
    """Where the job stands after its execution ended, and the next job claimed in the same transaction."""

    state: State
    next: Claimed | None


@dataclass(frozen=True)
class Seen:
    """What a heartbeat or a look found on a job that this worker holds."""

    state: State
    flag: Flag | None
    flag_mode: str | None
    flag_age: float
    """seconds since the flag was set, by the database's clock"""


def claim(store: Store, offer: Offer) -> Claimed | None:
    """Takes the first due job of the offer's queue; None when none is due."""
    with store.transaction() as tx:
        return _claim(tx, offer)


def finish(store: Store, lease: Lease, end: End, *, by: str, then: Offer | None = None) -> Ended:
    """Ends an execution, and claims the next job in the same transaction when `then` offers to.

    Raises `StaleExecution` when the lease is no longer this execution's, and `InvalidInput` for a result that cannot
    be kept; nothing is changed then. An error is always kept, as far as it can be.
    """
    fit = _fit(end)
    with store.transaction() as tx:
        rows = _end(tx, lease, fit, by)
        if not rows:
            raise StaleExecution
        return Ended(State(rows[0].state), _claim(tx, then) if then else None)


def _fit(end: End) -> End:
    if isinstance(end, Completed):
        refuse_unfit(end.result, "result")
    return replace(end, error=fit_error(end.error)) if isinstance(end, Failed | Lost) else end


_NEEDED = (Job.type, Job.type_version, Job.revision, Job.kind, Job.args, Job.inputs, Job.timeout, Job.max_attempts,
           Job.backoff, Job.pause_at)  # fmt: skip


_FIRST_DUE = (
    select(Job.number)
    .where(
        Job.queue == bindparam("of_queue", type_=Job.queue.type),
        is_due(),
        or_(Job.kind == "command", Job.revision.in_(bindparam("with_code", expanding=True))),
    )
    .order_by(Job.priority, Job.number)
    .limit(1)
    .with_for_update(skip_locked=True, of=Job)
    .correlate(None)
    .scalar_subquery()
)
_CLAIM = moving(
    Event.CLAIM,
    Job.number == _FIRST_DUE,
    sets={
        "attempt": Job.attempt + 1,
        "holder": bindparam("by_worker", type_=Job.holder.type),
        "lease_until": lease_now() + bindparam("for_microseconds", type_=BigInteger),
        "lease_boot": boot_id(),
        "not_before": null(),
        "started_at": case((Job.started_at.is_(None), greatest(now(), Job.updated_at)), else_=Job.started_at),
        "error": null(),
    },
    returning=_NEEDED,
)
_ADD_EXECUTION = insert(Execution)


def _claim(tx: Transaction, offer: Offer) -> Claimed | None:
    given = {
        "of_queue": offer.queue,
        "with_code": sorted(offer.revisions),
        "by_worker": offer.worker_id,
        "for_microseconds": round(offer.lease * MICROSECONDS),
    }
    rows = _CLAIM.run(tx, given, by=offer.worker)
    return _claimed(tx, offer, rows[0]) if rows else None


def _claimed(tx: Transaction, offer: Offer, row: Row[Any]) -> Claimed:
    token = secrets.token_urlsafe(32) if row.kind == "command" else None
    execution = {
        "job_id": row.id,
        "attempt": row.attempt,
        "worker_id": offer.worker_id,
        "node": offer.node,
        "pid": offer.pid,
        "token_sha256": hashlib.sha256(token.encode()).digest() if token else None,
    }
    tx.execute(_ADD_EXECUTION, execution)
    return Claimed(
        lease=Lease(row.id, row.attempt),
        owner_id=row.owner_id,
        type=row.type,
        type_version=row.type_version,
        revision=row.revision,
        kind=row.kind,
        declaration=declaration_of(tx.connection, row.revision),
        args=row.args,
        inputs=row.inputs,
        timeout=row.timeout,
        max_attempts=row.max_attempts,
        burnt=row.burnt,
        backoff=row.backoff,
        pause_at=row.pause_at,
        token=token,
        saved=_saved(tx, row) if row.attempt > 1 else None,
    )


def _saved(tx: Transaction, row: Row[Any]) -> Saved | None:
    found = tx.execute(select(Checkpoint.state, Checkpoint.files).where(Checkpoint.job_id == row.id)).one_or_none()
    return Saved(found.state, found.files) if found else None


def holds(lease: Lease) -> ColumnElement[bool]:
    """The fence: the condition that a lease's attempt is still the job's, and that a worker still holds it."""
    return and_(Job.id == lease.job_id, Job.attempt == lease.attempt, Job.holder.is_not(None))


def _end(tx: Transaction, lease: Lease, end: End, by: str) -> Sequence[Row[Any]]:
    match end:
        case Completed():
            return _complete(tx, lease, end, by)
        case Failed():
            return _fail(tx, holds(lease), end, by)
        case Lost():
            return lose(tx, holds(lease), end, by)
        case Parked():
            return advance(tx, Event.PARK, holds(lease), by=by)
        case Interrupted():
            return advance(tx, Event.INTERRUPT, holds(lease), by=by)
        case Stopped():
            return advance(tx, Event.STOP, holds(lease), Job.flag == Flag.CANCEL.value, by=by)


_COMPLETE = moving(
    Event.COMPLETE,
    Job.id == bindparam("of_job", type_=Job.id.type),
    Job.attempt == bindparam("of_attempt", type_=Job.attempt.type),
    Job.holder.is_not(None),
    sets={
        "result": bindparam("with_result", type_=Job.result.type),
        "progress": case((Job.flag == Flag.CANCEL.value, Job.progress), else_=1.0),
    },
)


def _complete(tx: Transaction, lease: Lease, end: Completed, by: str) -> Sequence[Row[Any]]:
    given = {"of_job": lease.job_id, "of_attempt": lease.attempt, "with_result": end.result}
    return _COMPLETE.run(tx, given, by=by, execution={"exit_code": end.exit_code})


def _fail(tx: Transaction, where: ColumnElement[bool], end: Failed, by: str) -> Sequence[Row[Any]]:
    """Fails for good, or goes back to the queue while the failure may pass and the budget lasts."""
    burns: dict[str, Any] = {"burnt": Job.burnt + 1, "error": dict(end.error)}
    execution = {"error": dict(end.error), "exit_code": end.exit_code, "signal": end.signal}
    budget_left = Job.burnt + 1 < Job.max_attempts
    if end.retry:
        sets = {**burns, "not_before": due_again()}
        if rows := advance(tx, Event.RETRY, where, budget_left, by=by, sets=sets, execution=execution):
            return rows
    return advance(tx, Event.FAIL, where, by=by, sets=burns, execution=execution)


def lose(tx: Transaction, where: ColumnElement[bool], end: Lost, by: str) -> Sequence[Row[Any]]:
    """Ends executions whose process or lease is gone: running ones burn an attempt, suspended ones are parked."""
    execution = {"error": dict(end.error), "signal": end.signal}
    suspended = advance(tx, Event.LOSE, where, Job.state == State.PAUSED.value, by=by, execution=execution)
    failed = Failed(end.error, signal=end.signal)
    burnt_out = [*_fail(tx, and_(where, Job.burnt + 1 >= Job.max_attempts, _is_running()), failed, by)]
    sets = {"burnt": Job.burnt + 1, "error": dict(end.error), "not_before": due_again()}
    again = advance(tx, Event.LOSE, where, _is_running(), by=by, sets=sets, execution=execution)
    return [*suspended, *burnt_out, *again]


def _is_running() -> ColumnElement[bool]:
    return Job.state == State.RUNNING.value


def suspend(store: Store, lease: Lease, by: str) -> State:
    """Acknowledges that the job's processes are stopped in place; the state says whether they shall stay so.

    Doing it again is harmless: the answer to the first time may have been lost.
    """
    with store.transaction() as tx:
        if rows := advance(tx, Event.SUSPEND, holds(lease), by=by):
            return State(rows[0].state)
        state = tx.execute(select(Job.state).where(holds(lease))).scalar_one_or_none()
        if state is None:
            raise StaleExecution
        return State(state)


def pause_self(store: Store, lease: Lease, reason: str, by: str) -> None:
    """The pause that was wished for at a stage: recorded as if asked now, once."""
    with store.transaction() as tx:
        sets = {"flag_mode": "park", "flag_at": now(), "flag_by": by, "flag_reason": reason, "pause_at": null()}
        advance(tx, Event.PAUSE, holds(lease), by=by, reason=reason, sets=sets)


def heartbeat(store: Store, worker_id: UUID, leases: Sequence[Lease], seconds: float) -> dict[Lease, Seen]:
    """Renews the leases of executions that live, in one statement; a lease that is not answered is no longer held."""
    if not leases:
        return {}
    pairs = [(lease.job_id, lease.attempt) for lease in leases]
    statement = (
        update(Job)
        .where(in_order(Job.holder == worker_id, tuple_(Job.id, Job.attempt).in_(pairs)))
        .values(lease_until=lease_now() + round(seconds * MICROSECONDS), lease_boot=boot_id())
        .returning(*_SEEN)
    )
    with store.transaction() as tx:
        return _seen(list(tx.execute(statement)))


def look(store: Store, worker_id: UUID, leases: Sequence[Lease]) -> dict[Lease, Seen]:
    """Reads the flags of executions without renewing anything."""
    if not leases:
        return {}
    pairs = [(lease.job_id, lease.attempt) for lease in leases]
    query = select(*_SEEN).where(Job.holder == worker_id, tuple_(Job.id, Job.attempt).in_(pairs))
    with store.reading() as connection:
        return _seen(list(connection.execute(query)))


_SEEN = (Job.id, Job.attempt, Job.state, Job.flag, Job.flag_mode, (now() - Job.flag_at).label("flag_age"))


def _seen(rows: Sequence[Any]) -> dict[Lease, Seen]:
    return {
        Lease(row.id, row.attempt): Seen(
            State(row.state),
            Flag(row.flag) if row.flag else None,
            row.flag_mode,
            max(0.0, (row.flag_age or 0) / MICROSECONDS),
        )
        for row in rows
    }
