"""Verb: write down what a running execution says of itself: stage, progress, log, saved state, outputs.

Every write is fenced: it is accepted only while the job's attempt is the execution's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, delete, desc, exists, func, select
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement

from shared.errors import StaleExecution
from shared.json_values import fit_text, refuse_unfit
from shared.models import Checkpoint, Execution, Job, LogChunk, Role, StatusRecord, StoredFile
from shared.models.types import now
from shared.store import Change, Store, Transaction, noting

_LONGEST = {"stage": 200, "message": 2000}
"""characters that the columns hold"""
_MOST = {"progress": 1.0, "done": 1e300, "total": 1e300}


@dataclass(frozen=True)
class Report:
    """What an execution says; None leaves a thing as it was, but a count belongs to the stage it is said with."""

    stage: str | None = None
    progress: float | None = None
    """fraction done, 0..1"""
    done: float | None = None
    total: float | None = None
    message: str | None = None

    def values(self) -> dict[str, Any]:
        """The columns it sets, cut to what they hold: a report is worth less than the job that makes it."""
        said: dict[str, Any] = {} if self.stage is None else {"done": None, "total": None}
        for name, longest in _LONGEST.items():
            if (text := getattr(self, name)) is not None:
                said[name] = fit_text(text, longest)
        for name, most in _MOST.items():
            if (number := getattr(self, name)) is not None and 0 <= number < math.inf:
                said[name] = float(min(number, most))
        return said


@dataclass(frozen=True)
class LogPiece:
    """Bytes that an execution wrote to one of its streams, and where in the stream they begin."""

    stream: str
    start: int
    data: bytes


@dataclass(frozen=True)
class Output:
    """A file that an execution has put into the file store."""

    id: UUID
    name: str
    path: str
    size: int
    sha256: bytes
    media_type: str


def _holds(job_id: UUID, attempt: int) -> ColumnElement[bool]:
    return and_(Job.id == job_id, Job.attempt == attempt, Job.holder.is_not(None))


@cache
def _reporting(names: tuple[str, ...]) -> Change:
    """The change that a report makes that says something of `names`."""
    holds = (
        Job.id == bindparam("of_job", type_=Job.id.type),
        Job.attempt == bindparam("of_attempt", type_=Job.attempt.type),
        Job.holder.is_not(None),
    )
    sets = {name: bindparam(f"said_{name}", type_=getattr(Job, name).type) for name in names}
    return noting("report", *holds, sets=sets)


def push(store: Store, job_id: UUID, attempt: int, reports: Sequence[Report], by: str) -> None:
    """Adds one status record for each report, in order, in one transaction."""
    with store.transaction() as tx:
        _write(tx, job_id, attempt, reports, by)


def _write(tx: Transaction, job_id: UUID, attempt: int, reports: Sequence[Report], by: str) -> None:
    for said in [report.values() for report in reports]:
        given = {"of_job": job_id, "of_attempt": attempt, **{f"said_{name}": value for name, value in said.items()}}
        if not _reporting(tuple(said)).run(tx, given, by=by):
            raise StaleExecution


def push_once(store: Store, job_id: UUID, attempt: int, report: Report, by: str) -> Row[Any]:
    """Adds a status record for the report and returns it.

    A report that repeats the execution's last one word for word is taken for a retry of it: the stored record is
    returned and nothing is written.
    """
    with store.transaction() as tx:
        if repeated := _repeated(tx, job_id, attempt, report):
            return repeated
        _write(tx, job_id, attempt, [report], by)
        return _last_record(tx, job_id)


def _last_record(tx: Transaction, job_id: UUID) -> Row[Any]:
    query = select(*StatusRecord.__table__.columns).where(StatusRecord.job_id == job_id)
    return tx.execute(query.order_by(desc(StatusRecord.seq)).limit(1)).one()


def _repeated(tx: Transaction, job_id: UUID, attempt: int, report: Report) -> Row[Any] | None:
    last = _last_record(tx, job_id)
    if last.event != "report" or last.attempt != attempt:
        return None
    same = all(getattr(last, name) == value for name, value in report.values().items())
    return last if same else None


def write_log(store: Store, job_id: UUID, attempt: int, pieces: Sequence[LogPiece], keep_bytes: int) -> None:
    """Adds pieces of log; a piece that is there already is left alone, so that a retry doubles nothing.

    Of each stream the last `keep_bytes` are kept, in whole pieces.
    """
    with store.transaction() as tx:
        if not tx.execute(select(exists().where(Execution.job_id == job_id, Execution.attempt == attempt))).scalar():
            raise StaleExecution
        rows = [
            {"job_id": job_id, "attempt": attempt, "stream": piece.stream, "start": piece.start, "data": piece.data}
            for piece in pieces
        ]
        tx.execute(tx.insert(LogChunk).values(rows).on_conflict_do_nothing())
        ends = {piece.stream: piece.start + len(piece.data) for piece in pieces}
        for stream, end in ends.items():
            if end > keep_bytes:
                _drop_oldest(tx, job_id, attempt, stream, end - keep_bytes)


def _drop_oldest(tx: Transaction, job_id: UUID, attempt: int, stream: str, before: int) -> None:
    tx.execute(
        delete(LogChunk).where(
            LogChunk.job_id == job_id,
            LogChunk.attempt == attempt,
            LogChunk.stream == stream,
            LogChunk.start + func.length(LogChunk.data) <= before,
        )
    )


def save_checkpoint(
    store: Store, job_id: UUID, attempt: int, state: Any, files: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """Makes `state` and `files` what the next attempt goes on from; returns the files that counted before.

    Raises `InvalidInput` for a state that cannot be kept.
    """
    refuse_unfit(state, "state")
    with store.transaction() as tx:
        _lock_held(tx, job_id, attempt)
        before = tx.execute(select(Checkpoint.files).where(Checkpoint.job_id == job_id)).scalar_one_or_none()
        values = {"attempt": attempt, "state": state, "files": [dict(file) for file in files]}
        tx.execute(
            tx.insert(Checkpoint)
            .values(job_id=job_id, **values)
            .on_conflict_do_update(index_elements=[Checkpoint.job_id], set_={**values, "at": now()})
        )
        return before or []


def save_output(store: Store, job_id: UUID, attempt: int, output: Output) -> None:
    """Makes a stored file an output of the job that others can see; doing it again is harmless."""
    with store.transaction() as tx:
        owner_id = _lock_held(tx, job_id, attempt)
        row = {"owner_id": owner_id, "job_id": job_id, "attempt": attempt, "role": Role.OUTPUT.value, **vars(output)}
        tx.execute(tx.insert(StoredFile).values(row).on_conflict_do_nothing(index_elements=[StoredFile.id]))


def _lock_held(tx: Transaction, job_id: UUID, attempt: int) -> UUID:
    """Locks the job's row for an execution that still holds it; returns the job's owner."""
    query = select(Job.owner_id).where(_holds(job_id, attempt)).with_for_update()
    owner_id: UUID | None = tx.execute(query).scalar_one_or_none()
    if owner_id is None:
        raise StaleExecution
    return owner_id
