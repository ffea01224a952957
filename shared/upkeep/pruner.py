"""Removes what has served its time: finished jobs, idempotency keys, absent workers, files whose job is gone."""

from __future__ import annotations

from sqlalchemy import and_, delete, exists, select

from shared.files import FileStore
from shared.models import IdempotencyKey, Job, StoredFile, Worker
from shared.models.types import MICROSECONDS, now
from shared.persist import remove_rows
from shared.store import Store

CHUNK = 1000
DAY = 86_400 * MICROSECONDS
WORKER_DAYS = 7


def prune(store: Store, key_days: float, files: FileStore | None = None) -> int:
    """One round of pruning, in chunks; returns how many jobs were removed."""
    removed = 0
    while gone := _expired_jobs(store):
        removed += gone
    with store.transaction() as tx:
        tx.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - round(key_days * DAY)))
        tx.execute(delete(Worker).where(Worker.seen_at < now() - WORKER_DAYS * DAY))
    if files:
        _orphaned_files(store, files)
    return removed


def _expired_jobs(store: Store) -> int:
    with store.transaction() as tx:
        expired = select(Job.id).where(Job.expires_at <= now()).order_by(Job.number).limit(CHUNK)
        ids = list(tx.execute(expired).scalars())
        return remove_rows(tx, ids, "pruner") if ids else 0


def _orphaned_files(store: Store, files: FileStore) -> None:
    """Rows first noted, then bytes, then rows: a crash between leaves a row that the next round takes up again."""
    orphaned = and_(StoredFile.job_id.is_not(None), ~exists().where(Job.id == StoredFile.job_id).correlate(StoredFile))
    with store.reading() as connection:
        rows = connection.execute(select(StoredFile.number, StoredFile.path).where(orphaned).limit(CHUNK)).all()
    for row in rows:
        files.remove(row.path)
    if rows:
        with store.transaction() as tx:
            tx.execute(delete(StoredFile).where(StoredFile.number.in_([row.number for row in rows])))
