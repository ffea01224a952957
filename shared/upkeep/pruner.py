"""Removes what has served its time: finished jobs, idempotency keys, absent workers, files whose job is gone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, select

from shared.files import FileStore, input_ids
from shared.lifecycle import FINAL, State
from shared.models import IdempotencyKey, Job, StoredFile, Worker
from shared.models.types import MICROSECONDS, now
from shared.persist import remove_rows
from shared.store import Store

CHUNK = 1000
DAY = 86_400 * MICROSECONDS
WORKER_DAYS = 7
ROUND = 1.0
"""Seconds that one round may take; what is left is for the next."""


@dataclass(frozen=True)
class Pruned:
    """What one round did: how many jobs were removed, and whether all was `done` in its time."""

    jobs: int
    done: bool


def prune(store: Store, key_days: float, files: FileStore | None = None) -> Pruned:
    """One round of pruning, in chunks, for about `ROUND` seconds: other upkeep waits for its end."""
    until, removed, gone = time.monotonic() + ROUND, 0, CHUNK
    while gone == CHUNK and time.monotonic() < until:
        gone = _expired_jobs(store)
        removed += gone
    with store.transaction() as tx:
        tx.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - round(key_days * DAY)))
        tx.execute(delete(Worker).where(Worker.seen_at < now() - WORKER_DAYS * DAY))
    if files:
        _orphaned_files(store, files, until)
    return Pruned(removed, done=gone < CHUNK)


def _expired_jobs(store: Store) -> int:
    with store.transaction() as tx:
        expired = select(Job.id).where(Job.expires_at <= now()).order_by(Job.number).limit(CHUNK)
        ids = list(tx.execute(expired).scalars())
        return remove_rows(tx, ids, "pruner") if ids else 0


def _orphaned_files(store: Store, files: FileStore, until: float) -> None:
    """Removes files whose job is gone, but for those that an unfinished job has among its inputs."""
    last, needed = 0, None
    while time.monotonic() < until and (rows := _orphans(store, last)):
        needed = _needed(store) if needed is None else needed
        _remove(store, files, [row for row in rows if row.id not in needed])
        last = rows[-1].number


def _orphans(store: Store, after: int) -> Sequence[Any]:
    gone = ~exists().where(Job.id == StoredFile.job_id).correlate(StoredFile)
    query = select(StoredFile.number, StoredFile.id, StoredFile.path).where(StoredFile.job_id.is_not(None), gone)
    with store.reading() as connection:
        return connection.execute(query.where(StoredFile.number > after).order_by(StoredFile.number).limit(CHUNK)).all()


def _needed(store: Store) -> set[UUID]:
    unfinished = [state.value for state in State if state not in FINAL]
    query = select(Job.inputs).where(Job.state.in_(unfinished))
    with store.reading() as connection:
        return {file_id for inputs in connection.scalars(query) for file_id in input_ids(inputs)}


def _remove(store: Store, files: FileStore, rows: Sequence[Any]) -> None:
    """Bytes first, then rows: a crash between leaves a row that the next round takes up again."""
    for row in rows:
        files.remove(row.path)
    if rows:
        with store.transaction() as tx:
            tx.execute(delete(StoredFile).where(StoredFile.number.in_([row.number for row in rows])))
