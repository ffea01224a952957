"""The feed: one sequence of all status records that never skips one, whoever commits when.

On PostgreSQL records are in the order of their transactions, and only those older than every open transaction are
shown, because a later commit could still put a record before them. On SQLite writers take turns, so row ids will do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Connection, Select, func, literal, select, tuple_
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement

from shared.errors import FieldProblem, InvalidInput
from shared.json_values import is_fit_whole
from shared.lifecycle import FINAL
from shared.models import Job, StatusRecord
from shared.models.types import MICROSECONDS, now, oldest_xact
from shared.paging import check_limit
from shared.principal import Principal
from shared.store import Store

Position = tuple[int, int]
"""Where a record stands in the feed; positions compare like the records' order."""

BEGINNING: Position = (-1, -1)

_CURSOR = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")


def position(record: Row[Any]) -> Position:
    """Where a record stands."""
    return record.xid, record.id


def cursor_at(place: Position) -> str:
    """The cursor that goes on after `place`."""
    return f"{max(place[0], 0)}-{max(place[1], 0)}"


def position_in(cursor: str) -> Position:
    """The place after which a cursor goes on; InvalidInput for what is no cursor of the feed."""
    match = _CURSOR.fullmatch(cursor)
    if match is None or not (is_fit_whole(int(match[1])) and is_fit_whole(int(match[2]))):
        problem = FieldProblem("cursor", "is not a cursor of the feed", "`next` of an earlier answer")
        raise InvalidInput(problems=[problem])
    return int(match[1]), int(match[2])


def feed(
    store: Store, principal: Principal | None, cursor: str | None, limit: int, job_id: UUID | None = None
) -> tuple[Sequence[Row[Any]], str]:
    """Records after `cursor` (from the beginning without one) that the principal may see, and the next cursor.

    Without a principal all are read. Of a job that was removed nothing but a last record `remove` is left.
    """
    check_limit(limit)
    start = position_in(cursor) if cursor is not None else BEGINNING
    mine = [*_visible(principal), *([StatusRecord.job_id == job_id] if job_id is not None else [])]
    with store.reading() as connection:
        end = _end(connection, is_sqlite=store.is_sqlite) if mine else None
        query = _after(start, end, is_sqlite=store.is_sqlite).where(*mine).limit(limit)
        records = connection.execute(query).all()
    full = len(records) == limit
    last = position(records[-1]) if records and (full or end is None) else end or start
    return records, cursor_at(max(last, start))


def feed_end(store: Store) -> str:
    """The cursor after which only what happens from now on is read."""
    with store.reading() as connection:
        return cursor_at(_end(connection, is_sqlite=store.is_sqlite))


def feed_stall(store: Store) -> float:
    """For how many seconds a record has been waiting to be shown, because an older transaction is still open."""
    if store.is_sqlite:
        return 0.0
    query = select(func.coalesce(func.min(StatusRecord.at), now()), now()).where(StatusRecord.xid >= oldest_xact())
    with store.reading() as connection:
        since, present = connection.execute(query).one()
    return max(0.0, (present - since) / MICROSECONDS)


def has_ended_before(store: Store, principal: Principal, job_id: UUID, cursor: str) -> bool:
    """Whether the job is final and whoever stands at `cursor` has seen its last record."""
    query = (
        select(StatusRecord.xid, StatusRecord.id)
        .join(Job, (Job.id == StatusRecord.job_id) & (Job.seq == StatusRecord.seq))
        .where(Job.id == job_id, Job.state.in_([state.value for state in FINAL]), *_visible(principal))
    )
    with store.reading() as connection:
        last = connection.execute(query).one_or_none()
    return last is not None and (last.xid, last.id) <= position_in(cursor)


def _visible(principal: Principal | None) -> list[ColumnElement[bool]]:
    if principal is None:
        return []
    if principal.execution is not None:
        return [StatusRecord.job_id == principal.execution[0]]
    return [] if principal.is_admin else [StatusRecord.owner_id == principal.user_id]


def _settled(*, is_sqlite: bool) -> list[ColumnElement[bool]]:
    """That no record can come before it any more."""
    return [] if is_sqlite else [StatusRecord.xid < oldest_xact()]


def _order(*, is_sqlite: bool) -> Sequence[Any]:
    return (StatusRecord.id,) if is_sqlite else (StatusRecord.xid, StatusRecord.id)


def _after(start: Position, end: Position | None, *, is_sqlite: bool) -> Select[Any]:
    query = select(*StatusRecord.__table__.columns).order_by(*_order(is_sqlite=is_sqlite))
    if is_sqlite:
        query = query.where(StatusRecord.id > _number(start[1]))
        return query if end is None else query.where(StatusRecord.id <= _number(end[1]))
    place = tuple_(StatusRecord.xid, StatusRecord.id)
    query = query.where(place > tuple_(_number(start[0]), _number(start[1])))
    if end is None:
        return query.where(*_settled(is_sqlite=False))
    return query.where(place <= tuple_(_number(end[0]), _number(end[1])))


def _number(value: int) -> ColumnElement[int]:
    return literal(value, BigInteger())


def _end(connection: Connection, *, is_sqlite: bool) -> Position:
    """The place of the last record that is shown."""
    newest = [key.desc() for key in _order(is_sqlite=is_sqlite)]
    query = select(StatusRecord.xid, StatusRecord.id).where(*_settled(is_sqlite=is_sqlite)).order_by(*newest).limit(1)
    row = connection.execute(query).one_or_none()
    return (row.xid, row.id) if row else BEGINNING
