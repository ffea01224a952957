"""Upkeep: what anyone may do for all. Refill wake-ups, rescue jobs of lost workers, remove what has expired.

One process leads, by a lease; that is only thrift, because every statement re-checks its condition and is harmless
when two lead.
"""

from __future__ import annotations

import logging
import threading
import time
from uuid import UUID

from shared.enqueue import refill
from shared.errors import LongshoreError
from shared.files import FileStore, sweep
from shared.store import Store
from shared.timings import Timings
from shared.upkeep.clock import seconds_to_next_due
from shared.upkeep.leader import lead
from shared.upkeep.pruner import prune
from shared.upkeep.reaper import reap
from shared.wire import Wire

log = logging.getLogger(__name__)

__all__ = ["Upkeep"]

PRUNE_SECONDS = 60.0
SWEEP_SECONDS = 3600.0
"""How often the file store is walked for bytes that nothing names; it may hold millions of files."""


class Upkeep:
    """One process's share in upkeep: it stands for leader at every tick and does the work while it leads."""

    def __init__(
        self,
        store: Store,
        wire: Wire,
        timings: Timings,
        who: UUID,
        *,
        key_days: float = 7.0,
        files: FileStore | None = None,
    ) -> None:
        """`key_days`: how long idempotency keys are kept; `files`: the store to clear of what belongs to no job."""
        self._store = store
        self._wire = wire
        self._timings = timings
        self._who = who
        self._key_days = key_days
        self._files = files
        self._in_contact_since: float | None = None
        self._pruned_at = 0.0
        self._swept_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Ticks until `stop` is set; an unreachable database or broker is tried again at the next tick."""
        while not stop.is_set():
            stop.wait(self._tick())

    def _tick(self) -> float:
        """One round; returns the seconds until the next."""
        try:
            return self.step()
        except LongshoreError as error:
            log.warning("upkeep goes on at the next tick: %s", error)
        except Exception:
            log.exception("upkeep goes on after an unexpected error")
        self._in_contact_since = None
        return self._timings.tick

    def step(self) -> float:
        """Does one round if this process leads; returns the seconds after which another is worth while.

        Leases may have run out because the database was away from everybody. So a process rescues jobs only after it
        has been in contact with the database, leading or not, for as long as a lease lasts.
        """
        leads = lead(self._store, self._who, self._timings.tick * 2)
        now = time.monotonic()
        self._in_contact_since = self._in_contact_since or now
        if not leads:
            return self._timings.tick
        if now - self._in_contact_since >= self._timings.lease:
            reap(self._store)
        if now - self._pruned_at >= PRUNE_SECONDS:
            prune(self._store, self._key_days, self._files)
            self._pruned_at = now
        if self._files and now - self._swept_at >= SWEEP_SECONDS:
            sweep(self._store, self._files)
            self._swept_at = now
        refill(self._store, self._wire, self._timings.presence)
        return min(self._timings.tick, seconds_to_next_due(self._store))
