"""Reading what an execution wrote: one of its streams, or all of them in the order they were written.

Offsets count the bytes that were ever written, so they stay true when the oldest pieces are dropped: reading from an
offset that is gone goes on with the oldest byte kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement

from shared.errors import FieldProblem, InvalidInput, NotFound
from shared.json_values import is_fit_whole
from shared.models import Execution, Job, LogChunk
from shared.principal import Principal
from shared.store import Store
from shared.visibility import visible

STREAMS = ("stdout", "stderr", "log")
MAX_BYTES = 1024 * 1024
"""How many bytes one reading gives at most."""


def read_log(  # noqa: PLR0913 - which log, and which part of it
    store: Store,
    principal: Principal,
    job_id: UUID,
    *,
    attempt: int | None = None,
    stream: str | None = None,
    offset: int | None = None,
    limit: int = MAX_BYTES,
    tail: int | None = None,
) -> tuple[bytes, int, bool]:
    """(bytes, offset to go on from, whether the execution has ended) of one execution's log; the last one's by default.

    `tail` gives so many last lines instead of what follows `offset`. Raises NotFound for a job or an attempt that is
    not there.
    """
    _check(stream, offset, limit, tail)
    with store.reading() as connection:
        attempt, ended = _execution(connection, principal, job_id, attempt)
        pieces = _Pieces(connection, job_id, attempt, stream)
        if tail is None:
            return *pieces.read(offset or 0, limit), ended
        last, following = pieces.read(max(pieces.first, pieces.end - limit), limit)
        return _last_lines(last, tail), following, ended


def _check(stream: str | None, offset: int | None, limit: int, tail: int | None) -> None:
    if stream is not None and stream not in STREAMS:
        raise InvalidInput(problems=[FieldProblem("stream", "is not a stream", "one of: " + ", ".join(STREAMS))])
    if not 1 <= limit <= MAX_BYTES:
        raise InvalidInput(problems=[FieldProblem("limit", "is out of range", f"1 to {MAX_BYTES}")])
    for name, number in (("offset", offset), ("tail", tail)):
        if number is not None and (number < 0 or not is_fit_whole(number)):
            raise InvalidInput(problems=[FieldProblem(name, "is out of range", "0 or more")])


def _execution(connection: Connection, principal: Principal, job_id: UUID, attempt: int | None) -> tuple[int, bool]:
    job = connection.execute(
        select(Job.attempt, Job.finished_at).where(Job.id == job_id, visible(principal))
    ).one_or_none()
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    if attempt is None and job.attempt == 0:
        return 0, job.finished_at is not None
    wanted = job.attempt if attempt is None else attempt
    if wanted > job.attempt or wanted < 1:
        raise NotFound(f"The job has no attempt {wanted}.")
    query = select(Execution.ended_at).where(Execution.job_id == job_id, Execution.attempt == wanted)
    row = connection.execute(query).one_or_none()
    return wanted, row is None or row.ended_at is not None


class _Pieces:
    """The pieces of a log that are kept, laid end to end."""

    def __init__(self, connection: Connection, job_id: UUID, attempt: int, stream: str | None) -> None:
        self._connection = connection
        self._which: list[ColumnElement[bool]] = [LogChunk.job_id == job_id, LogChunk.attempt == attempt]
        if stream is not None:
            self._which.append(LogChunk.stream == stream)
        extents = connection.execute(
            select(func.min(LogChunk.start).label("first"), func.sum(func.length(LogChunk.data)).label("kept"))
            .where(*self._which)
            .group_by(LogChunk.stream)
        ).all()
        self.first = sum(int(extent.first) for extent in extents)
        self.end = self.first + sum(int(extent.kept) for extent in extents)

    def read(self, offset: int, limit: int) -> tuple[bytes, int]:
        """At most `limit` bytes from `offset` on, and the offset after them."""
        begin = min(max(offset, self.first), self.end)
        stop = min(begin + limit, self.end)
        if begin == stop:
            return b"", stop
        parts = [self._cut(row, begin, stop) for row in self._within(begin, stop)]
        return b"".join(parts), stop

    def _within(self, begin: int, stop: int) -> Sequence[Row[Any]]:
        length = func.length(LogChunk.data)
        after = (func.sum(length).over(order_by=LogChunk.id) + self.first).label("after")
        placed = select(LogChunk.id, after, length.label("size")).where(*self._which).subquery()
        query = (
            select((placed.c.after - placed.c.size).label("at"), LogChunk.data)
            .join(LogChunk, LogChunk.id == placed.c.id)
            .where(placed.c.after > begin, placed.c.after - placed.c.size < stop)
            .order_by(LogChunk.id)
        )
        return self._connection.execute(query).all()

    @staticmethod
    def _cut(row: Row[Any], begin: int, stop: int) -> bytes:
        at = int(row.at)
        return bytes(row.data)[max(begin - at, 0) : stop - at]


def _last_lines(text: bytes, count: int) -> bytes:
    if count == 0:
        return b""
    return b"".join(text.splitlines(keepends=True)[-count:])
