"""The door to the database: transactions, and `advance`, the only writer of a job's state.

`advance` turns the law (`shared.lifecycle`) into one UPDATE that checks, resolves flags and moves, and adds the status
records for the rows it moved in the same transaction. What must happen outside the database (wake a queue, let agents
look at a job, revoke wake-ups) is collected in the transaction's effects and handed out after the commit, never before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Executable,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult, Row
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement

from shared.engine import READ_ONLY, WriteTurn, make_engine
from shared.errors import OutcomeUnknown, Unavailable
from shared.lifecycle import ACKNOWLEDGING, FINAL, Event, State
from shared.models import Execution, Job, StatusRecord, Table
from shared.models.types import now
from shared.rules import ENDS_EXECUTION, KEEP, moment, rule

_EVENT_NAMES = frozenset(event.value for event in Event)

REVOKED_AT_ONCE = 20
"""How many of a cancelled job's last wake-ups are revoked; more are never in the broker at once."""


@dataclass
class Effects:
    """What a transaction asks of the world outside the database, once it is committed."""

    wake: set[str] = field(default_factory=set)
    """queues that have new work"""
    look: set[UUID] = field(default_factory=set)
    """jobs whose holder should read their flags now"""
    revoke: list[str] = field(default_factory=list)
    """ids of published wake-ups that have become needless"""

    def __bool__(self) -> bool:
        return bool(self.wake or self.look or self.revoke)


class Transaction:
    """A write transaction and its effects."""

    def __init__(self, connection: Connection, keep_seconds: float) -> None:
        self.connection = connection
        self.keep_seconds = keep_seconds
        self.effects = Effects()

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Runs one statement in this transaction."""
        return self.connection.execute(statement, parameters)

    def insert(self, table: type[Table]) -> Any:
        """An INSERT that can say what becomes of a row that is there already; SQLAlchemy has one for each database."""
        return (sqlite.insert if self.connection.dialect.name == "sqlite" else postgresql.insert)(table)


class Store:
    """The database as the rest of the broker sees it."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        keep_seconds: float = 30 * 86400.0,
        after_commit: Callable[[Effects], None] | None = None,
    ) -> None:
        """`keep_seconds`: how long finished jobs are kept; `after_commit` gets the effects of each transaction."""
        self.engine = make_engine(url, pool_size)
        self.keep_seconds = keep_seconds
        self.after_commit = after_commit
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._turn = WriteTurn(Path(self.engine.url.database or "longshore.db")) if self.is_sqlite else None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction; committed when the block ends well, and only then are its effects handed out."""
        turn = self._turn.taken() if self._turn else nullcontext()
        with _clear_errors(), turn, self.engine.connect() as connection, connection.begin() as whole:
            tx = Transaction(connection, self.keep_seconds)
            yield tx
            with _unknown_outcome():
                whole.commit()
        if tx.effects and self.after_commit:
            self.after_commit(tx.effects)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading one consistent moment."""
        with _clear_errors(), self.engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            yield connection

    def dispose_after_fork(self) -> None:
        """Forgets connections inherited from a parent process without closing them for it."""
        self.engine.dispose(close=False)
        if self._turn:
            self._turn.forget_after_fork()

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        raise Unavailable(_cause(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(_cause(error)) from error
        if type(error.orig) is sqlite3.DatabaseError:  # none of its kinds: the file is no database, or a broken one
            raise Unavailable(f"The database file is damaged ({error.orig}); restore it from a backup.") from error
        raise


@contextmanager
def _unknown_outcome() -> Iterator[None]:
    """Of a commit whose answer did not come nobody knows whether it was made."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated:
            raise OutcomeUnknown from error
        raise


def _cause(error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines() or [type(original).__name__]
    return f"The database cannot be reached now ({lines[0][:200]}); nothing was changed."


_BOOKKEEPING = {"updated_at": moment(), "seq": Job.seq + 1, "version": Job.version + 1}

_RECORDED = (
    Job.id, Job.number, Job.owner_id, Job.queue, Job.state, Job.flag, Job.flag_by, Job.flag_reason, Job.attempt,
    Job.burnt, Job.rerun, Job.holder, Job.stage, Job.progress, Job.done, Job.total, Job.message, Job.error, Job.seq,
    Job.updated_at, Job.wakeups, Job.version,
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A change of jobs whose statement is made once and run often: what differs each time are its parameters.

    To build and to compile a statement takes several times as long as to run it, which counts where it is done for
    every job.
    """

    event: str
    statement: ReturningUpdate[Any]
    moves: Event | None = None
    """the lifecycle event; None when the job stays where it is"""
    _keeps: bool = False

    def run(
        self,
        tx: Transaction,
        given: Mapping[str, Any] | None = None,
        *,
        by: str | None,
        reason: str | None = None,
        execution: Mapping[str, Any] | None = None,
    ) -> Sequence[Row[Any]]:
        """Does it, with the parameters `given`; see `advance` and `append`."""
        parameters = {KEEP: tx.keep_seconds, **(given or {})} if self._keeps else given
        rows = tx.execute(self.statement, parameters).all()
        if rows:
            _write_records(tx, [_record_of(row, self.event, by, reason) for row in rows])
        if rows and self.moves:
            if self.moves in ENDS_EXECUTION:
                _end_executions(tx, self.moves, rows, execution or {})
            for row in rows:
                _collect_effects(tx.effects, self.moves, row)
        return rows


def moving(
    event: Event,
    *where: ColumnElement[bool],
    sets: Mapping[str, Any] | None = None,
    returning: Sequence[Any] = (),
) -> Change:
    """`event` for the jobs that match `where` and in whose situation it is possible, for `Change.run`."""
    law = rule(event)
    changes = {**law.changes, **_BOOKKEEPING, **(sets or {})}
    statement = update(Job).where(law.guard, *where).values(changes).returning(*_RECORDED, *returning)
    return Change(event.value, statement, event, "expires_at" in law.changes)


def noting(event: str, *where: ColumnElement[bool], sets: Mapping[str, Any]) -> Change:
    """A change of the jobs that match `where` that moves none of them; `sets` names no state."""
    if "state" in sets or "flag" in sets:
        message = "only advance() writes a job's state"
        raise ValueError(message)
    return Change(event, update(Job).where(*where).values({**_BOOKKEEPING, **sets}).returning(*_RECORDED))


def advance(
    tx: Transaction,
    event: Event,
    *where: ColumnElement[bool],
    by: str | None,
    reason: str | None = None,
    sets: Mapping[str, Any] | None = None,
    execution: Mapping[str, Any] | None = None,
) -> Sequence[Row[Any]]:
    """Lets `event` happen to every job that matches `where` and in whose situation it is possible.

    Each such row gets its new state, flag, lease and times and a status record, all in this transaction. `sets` are
    further columns of the job, `execution` of the execution that the event ends. Returns the rows as they are now;
    rows to which the event could not happen are not among them.
    """
    return moving(event, *where, sets=sets).run(tx, by=by, reason=reason, execution=execution)


def append(
    tx: Transaction, *where: ColumnElement[bool], event: str, by: str | None, sets: Mapping[str, Any]
) -> Sequence[Row[Any]]:
    """Changes a job without moving it (an edit) and adds the status record; `sets` names no state."""
    return noting(event, *where, sets=sets).run(tx, by=by)


def in_order(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    """That a row matches `where`, for a statement that changes many rows.

    They are locked first, in the order of their numbers. So two such statements never wait for each other in a circle.
    """
    locked = select(Job.number).where(*where).order_by(Job.number).with_for_update(of=Job).cte("locked")
    return Job.number.in_(select(locked.c.number))


def first_records(tx: Transaction, rows: Sequence[Row[Any]], event: Event, by: str) -> None:
    """Writes record 1 of jobs just inserted, and wakes their queues; `rows` carry the columns of `RECORDED`."""
    _write_records(tx, [_record_of(row, event.value, by, None) for row in rows])
    for row in rows:
        _collect_effects(tx.effects, event, row)


RECORDED = _RECORDED
"""The columns of a job that its status records are made from."""


def _record_of(row: Row[Any], event: str, by: str | None, reason: str | None) -> dict[str, Any]:
    """The status record of a row as it is now; where a flag decided, the person who set it is named."""
    ends = row.state in FINAL and event in _EVENT_NAMES
    if event in ACKNOWLEDGING | {Event.STOP} and row.state in {State.CANCELLED, State.PAUSED} and row.flag_by:
        by, reason = row.flag_by, row.flag_reason
    return {
        "job_id": row.id, "owner_id": row.owner_id, "seq": row.seq, "event": event, "state": row.state, "ends": ends,
        "flag": row.flag, "attempt": row.attempt, "rerun": row.rerun, "stage": row.stage, "progress": row.progress,
        "done": row.done, "total": row.total, "message": row.message, "error": row.error, "by": by, "reason": reason,
        "at": row.updated_at,
    }  # fmt: skip


_ADD_RECORDS = insert(StatusRecord)


def _write_records(tx: Transaction, records: list[dict[str, Any]]) -> None:
    if records:
        tx.execute(_ADD_RECORDS, records)


_END = ("exit_code", "signal", "error")
_END_EXECUTION = (
    update(Execution)
    .where(
        Execution.job_id == bindparam("of_job", type_=Execution.job_id.type),
        Execution.attempt == bindparam("of_attempt", type_=Execution.attempt.type),
        Execution.ended_at.is_(None),
    )
    .values(
        ended_at=now(),
        outcome=bindparam("with_outcome", type_=Execution.outcome.type),
        **{name: bindparam(f"with_{name}", type_=getattr(Execution, name).type) for name in _END},
    )
)


def _end_executions(tx: Transaction, event: Event, rows: Sequence[Row[Any]], values: Mapping[str, Any]) -> None:
    ending = {"with_outcome": event.value, **{f"with_{name}": values.get(name) for name in _END}}
    ended = [{"of_job": row.id, "of_attempt": row.attempt} for row in rows if row.holder is None and row.attempt > 0]
    if ended:
        tx.execute(_END_EXECUTION, [{**ending, **each} for each in ended])


def _collect_effects(effects: Effects, event: Event, row: Row[Any]) -> None:
    if row.state == State.QUEUED:
        effects.wake.add(row.queue)
    if row.holder is not None and event in {Event.PAUSE, Event.RESUME, Event.CANCEL}:
        effects.look.add(row.id)
    if event is Event.CANCEL and row.state == State.CANCELLED:
        first = max(0, row.wakeups - REVOKED_AT_ONCE)
        effects.revoke += [wakeup_id(row.id, n) for n in range(first + 1, row.wakeups + 1)]


def wakeup_id(job_id: UUID, n: int) -> str:
    """The Celery task id of the n-th wake-up published in a job's name."""
    return f"{job_id}.{n}"
