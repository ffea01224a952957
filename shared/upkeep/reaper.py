"""Ends executions whose lease has run out: their worker is dead, cut off or frozen, and is refused from now on."""

from __future__ import annotations

import logging

from sqlalchemy import select

from shared.execute import Lost, lose
from shared.models import Job
from shared.rules import lease_is_void
from shared.store import Store

log = logging.getLogger(__name__)

CHUNK = 1000

LEASE_EXPIRED = {
    "name": "worker-lost",
    "title": "The worker was lost",
    "category": "SYSTEM",
    "message": "The lease of the worker that ran this job expired without a word from it.",
}


def reap(store: Store) -> int:
    """Rescues every job whose lease is void; returns how many."""
    rescued = 0
    while True:
        with store.transaction() as tx:
            void = select(Job.number).where(Job.holder.is_not(None), lease_is_void()).order_by(Job.number).limit(CHUNK)
            numbers = list(tx.execute(void.with_for_update(skip_locked=True)).scalars())
            rows = lose(tx, Job.number.in_(numbers), Lost(LEASE_EXPIRED), "reaper") if numbers else []
        for row in rows:
            log.warning("job %s attempt %s lost its worker and is %s now", row.id, row.attempt, row.state)
        rescued += len(rows)
        if len(numbers) < CHUNK:
            return rescued
