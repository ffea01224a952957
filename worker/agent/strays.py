"""Finds jobs that this worker holds in SQL while none of its children runs them, and gives them back.

A child that dies in the moment between a claim's commit and its slot leaves such a job; so does an answer of the
database that was lost on its way. Nobody has begun these, so nothing is burnt.
"""

from __future__ import annotations

import logging
import time
from uuid import UUID

from sqlalchemy import select

from shared import execute
from shared.errors import StaleExecution
from shared.execute import Interrupted, Lease
from shared.models import Job
from shared.store import Store
from worker.agent.roster import Roster

log = logging.getLogger(__name__)

SURELY = 2.0
"""seconds for which a job must be found astray: a child that has just claimed it says so well before"""


class Strays:
    """Looks for them whenever asked to."""

    def __init__(self, store: Store, roster: Roster, worker_id: UUID, by: str) -> None:
        self._store = store
        self._roster = roster
        self._worker_id = worker_id
        self._by = by
        self._first_seen: dict[Lease, float] = {}

    def look(self) -> None:
        """Gives back what has been astray for long enough."""
        held = self._held()
        astray = held - {charge.lease for charge in self._roster.all()}
        now = time.monotonic()
        self._first_seen = {lease: self._first_seen.get(lease, now) for lease in astray}
        for lease, since in self._first_seen.items():
            if now - since > SURELY:
                self._give_back(lease)

    def _held(self) -> set[Lease]:
        query = select(Job.id, Job.attempt).where(Job.holder == self._worker_id)
        with self._store.reading() as connection:
            return {Lease(row.id, row.attempt) for row in connection.execute(query)}

    def _give_back(self, lease: Lease) -> None:
        try:
            execute.finish(self._store, lease, Interrupted(), by=self._by)
            log.warning("job %s attempt %d was claimed and never begun: given back", lease.job_id, lease.attempt)
        except StaleExecution:
            return
