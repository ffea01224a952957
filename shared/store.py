"""The door to the database: transactions, and `advance`, the only writer of a job's state.

`advance` turns the law (`shared.lifecycle`) into one UPDATE that checks, resolves flags and moves, and adds the status
records for the rows it moved in the same transaction. What must happen outside the database (wake a queue, let agents
look at a job, revoke wake-ups) is collected in the transaction's effects and handed out after the commit, never before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    Float,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.engine import CursorResult, Row
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.sql.elements import ColumnElement

from shared.engine import READ_ONLY, WriteTurn, make_engine
from shared.errors import Unavailable
from shared.lifecycle import (
    ACKNOWLEDGING,
    FINAL,
    POSSIBLE_FLAGS,
    TRANSITIONS,
    WITH_WORKER,
    Ask,
    Effect,
    Event,
    Flag,
    Move,
    Situation,
    State,
    effect,
)
from shared.models import Execution, Job, StatusRecord
from shared.models.types import MICROSECONDS, boot_id, greatest, lease_now, now

_EVENT_NAMES = frozenset(event.value for event in Event)

REVOKED_AT_ONCE = 20
"""How many of a cancelled job's last wake-ups are revoked; more are never in the broker at once."""

_ENDS_EXECUTION = (ACKNOWLEDGING | {Event.STOP, Event.CANCEL, Event.RESUME}) - {Event.SUSPEND}


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
        with _clear_errors(), self._turn.taken() if self._turn else nullcontext(), self.engine.begin() as connection:
            tx = Transaction(connection, self.keep_seconds)
            yield tx
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
        raise


def _cause(error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines() or [type(original).__name__]
    return f"The database cannot be reached now ({lines[0][:200]}); nothing was changed."


def lease_is_valid() -> ColumnElement[bool]:
    """Whether the lease on a job's row still runs."""
    return and_(Job.lease_until > lease_now(), Job.lease_boot == boot_id())


def lease_is_void() -> ColumnElement[bool]:
    """Whether the lease on a held job's row has run out, or belongs to another boot of the machine."""
    return or_(Job.lease_until <= lease_now(), Job.lease_boot != boot_id())


def _is_in(situation: Situation) -> ColumnElement[bool]:
    state = Job.state == situation.state.value
    circumstances = {
        Situation.SUSPENDED: and_(Job.holder.is_not(None), lease_is_valid()),
        Situation.STRANDED: and_(Job.holder.is_not(None), lease_is_void()),
        Situation.PARKED: and_(Job.holder.is_(None), Job.held.is_(False)),
        Situation.HELD: Job.held.is_(True),
    }
    return and_(state, circumstances[situation]) if situation in circumstances else state


def _flag_is(flag: Flag | None) -> ColumnElement[bool]:
    return Job.flag.is_(None) if flag is None else Job.flag == flag.value


@dataclass(frozen=True)
class _Rule:
    """The law of one event as SQL: when it is possible, and what the columns become."""

    guard: ColumnElement[bool]
    changes: Mapping[str, Any]


@cache
def _rule(event: Event) -> _Rule:
    branches: list[tuple[ColumnElement[bool], Effect]] = []
    for situation in TRANSITIONS[event]:
        branches += _branches(event, situation)
    guard = or_(*(_possible(event, situation) for situation in TRANSITIONS[event]))
    return _Rule(guard, _changes(event, branches))


def _branches(event: Event, situation: Situation) -> list[tuple[ColumnElement[bool], Effect]]:
    flags = POSSIBLE_FLAGS.get(situation, (None,))
    found = [(flag, what) for flag in flags if (what := effect(event, situation, flag))]
    if len(found) == len(flags) and len({what for _, what in found}) == 1:
        return [(_is_in(situation), found[0][1])]
    return [(and_(_is_in(situation), _flag_is(flag)), what) for flag, what in found]


def _possible(event: Event, situation: Situation) -> ColumnElement[bool]:
    flags = POSSIBLE_FLAGS.get(situation, (None,))
    allowed = [flag for flag in flags if effect(event, situation, flag)]
    if len(allowed) == len(flags):
        return _is_in(situation)
    return and_(_is_in(situation), or_(*(_flag_is(flag) for flag in allowed)))


def _changes(event: Event, branches: Sequence[tuple[ColumnElement[bool], Effect]]) -> Mapping[str, Any]:
    moves = [(when, what.to) for when, what in branches if isinstance(what, Move)]
    asks = [(when, what.flag) for when, what in branches if isinstance(what, Ask)]
    changes = _moved(event, moves, len(moves) == len(branches)) if moves else {}
    if asks:
        changes["flag"] = case(*((when, literal(flag.value)) for when, flag in asks), else_=null())
    else:
        changes["flag"] = case((Job.flag == Flag.CANCEL.value, Job.flag)) if event is Event.SUSPEND else null()
    return changes


def _moved(event: Event, moves: Sequence[tuple[ColumnElement[bool], Situation]], always: bool) -> dict[str, Any]:  # noqa: FBT001
    """The columns that a move sets; `always` when every effect of the event is a move."""

    def where(wanted: Callable[[Situation], bool], then: Any, otherwise: Any) -> Any:
        chosen = [when for when, to in moves if wanted(to)]
        if always and len(chosen) == len(moves):
            return then
        return case((or_(*chosen), then), else_=otherwise) if chosen else otherwise

    state = where(lambda to: to is moves[0][1], literal(moves[0][1].state.value), None)
    if state is None or not always or len({to for _, to in moves}) > 1:
        state = case(*((when, literal(to.state.value)) for when, to in moves), else_=Job.state)
    changes: dict[str, Any] = {
        "state": state,
        "state_at": where(lambda _: True, case((state != Job.state, _at()), else_=Job.state_at), Job.state_at),
        "held": where(lambda to: to is Situation.HELD, true(), false()),
    }
    if any(to.state in FINAL for _, to in moves):
        changes["finished_at"] = where(lambda to: to.state in FINAL, _at(), Job.finished_at)
        changes["expires_at"] = where(lambda to: to.state in FINAL, _EXPIRY, Job.expires_at)
    if event in _ENDS_EXECUTION:
        for column in ("holder", "lease_until", "lease_boot"):
            changes[column] = where(lambda to: to not in WITH_WORKER, null(), getattr(Job, column))
    return changes


def _at() -> ColumnElement[int]:
    return greatest(now(), Job.updated_at)


_KEEP = "keep_seconds"
_KEPT = func.coalesce(Job.expires_after, bindparam(_KEEP, type_=Float)) * MICROSECONDS
_EXPIRY = now() + cast(_KEPT, BigInteger)
_BOOKKEEPING = {"updated_at": _at(), "seq": Job.seq + 1, "version": Job.version + 1}

_RECORDED = (
    Job.id, Job.number, Job.owner_id, Job.queue, Job.state, Job.flag, Job.flag_by, Job.flag_reason, Job.attempt,
    Job.burnt, Job.rerun, Job.holder, Job.stage, Job.progress, Job.done, Job.total, Job.message, Job.error, Job.seq,
    Job.updated_at, Job.wakeups, Job.version,
)  # fmt: skip


def advance(
    tx: Transaction,
    event: Event,
    *where: ColumnElement[bool],
    by: str | None,
    reason: str | None = None,
    sets: Mapping[str, Any] | None = None,
    execution: Mapping[str, Any] | None = None,
    returning: Sequence[Any] = (),
) -> Sequence[Row[Any]]:
    """Lets `event` happen to every job that matches `where` and in whose situation it is possible.

    Each such row gets its new state, flag, lease and times and a status record, all in this transaction. `sets` are
    further columns of the job, `execution` of the execution that the event ends, `returning` further columns wanted
    back. Returns the rows as they are now; rows to which the event could not happen are not among them.
    """
    rule = _rule(event)
    changes = {**rule.changes, **_BOOKKEEPING, **(sets or {})}
    statement = update(Job).where(rule.guard, *where).values(changes).returning(*_RECORDED, *returning)
    rows = tx.execute(statement, {_KEEP: tx.keep_seconds} if "expires_at" in rule.changes else None).all()
    if rows:
        _write_records(tx, [_record_of(row, event.value, by, reason) for row in rows])
        if event in _ENDS_EXECUTION:
            _end_executions(tx, event, rows, execution or {})
        for row in rows:
            _collect_effects(tx.effects, event, row)
    return rows


def in_order(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    """That a row matches `where`, for a statement that changes many rows.

    They are locked first, in the order of their numbers. So two such statements never wait for each other in a circle.
    """
    locked = select(Job.number).where(*where).order_by(Job.number).with_for_update(of=Job).cte("locked")
    return Job.number.in_(select(locked.c.number))


def append(
    tx: Transaction,
    *where: ColumnElement[bool],
    event: str,
    by: str | None,
    sets: Mapping[str, Any],
    reason: str | None = None,
    returning: Sequence[Any] = (),
) -> Sequence[Row[Any]]:
    """Changes a job without moving it (a report, an edit) and adds the status record; `sets` names no state."""
    if "state" in sets or "flag" in sets:
        message = "only advance() writes a job's state"
        raise ValueError(message)
    changes = {**_BOOKKEEPING, **sets}
    rows = tx.execute(update(Job).where(*where).values(changes).returning(*_RECORDED, *returning)).all()
    _write_records(tx, [_record_of(row, event, by, reason) for row in rows])
    return rows


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


def _write_records(tx: Transaction, records: list[dict[str, Any]]) -> None:
    if records:
        tx.execute(insert(StatusRecord), records)


def _end_executions(tx: Transaction, event: Event, rows: Sequence[Row[Any]], values: Mapping[str, Any]) -> None:
    ended = [(row.id, row.attempt) for row in rows if row.holder is None and row.attempt > 0]
    if not ended:
        return
    which = (
        and_(Execution.job_id == ended[0][0], Execution.attempt == ended[0][1])
        if len(ended) == 1
        else tuple_(Execution.job_id, Execution.attempt).in_(ended)
    )
    changes = {"ended_at": now(), "outcome": event.value, **values}
    tx.execute(update(Execution).where(which, Execution.ended_at.is_(None)).values(changes))


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
