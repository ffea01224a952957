"""Upkeep: what anyone may do for all. Refill wake-ups, rescue jobs of lost workers, remove what has expired.

One process leads, by a lease; that is only thrift, because every statement re-checks its condition and is harmless
when two lead.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from uuid import UUID

from shared.enqueue import refill
from shared.errors import LongshoreError, Unavailable
from shared.files import FileStore, sweep
from shared.store import Store
from shared.timings import Timings
from shared.upkeep.clock import boottime, seconds_to_next_due
from shared.upkeep.leader import lead
from shared.upkeep.pruner import prune
from shared.upkeep.reaper import reap
from shared.wire import Wire

log = logging.getLogger(__name__)

__all__ = ["Upkeep"]

LONGEST_GAP = 0.75
"""Part of a lease after which a process without a word from the database counts as having been out of contact."""
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
        clock: Callable[[], float] = boottime,
    ) -> None:
        """`key_days`: how long idempotency keys are kept; `files`: the store to clear of what belongs to no job.

        `clock`: seconds that go on while the machine sleeps, as leases do.
        """
        self._store = store
        self._wire = wire
        self._timings = timings
        self._who = who
        self._key_days = key_days
        self._files = files
        self._clock = clock
        self._in_contact_since: float | None = None
        self._in_contact_at = 0.0
        self._pruned_at = float("-inf")
        self._swept_at = clock()
        self._sweeper: threading.Thread | None = None

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

        Leases may have run out because the database was away from everybody, or because the machine slept. So a
        process rescues jobs only after it has been in contact with the database, leading or not, for as long as a
        lease lasts. One kind of upkeep that fails keeps no other from being done.
        """
        leads = lead(self._store, self._who, self._timings.tick * 2)
        self._note_contact()
        if not leads:
            return self._timings.tick
        for part in (self._rescue, self._refill, self._prune, self._sweep):
            self._attempt(part)
        return min(self._timings.tick, seconds_to_next_due(self._store))

    def _note_contact(self) -> None:
        now = self._clock()
        if self._in_contact_since is None or now - self._in_contact_at > self._timings.lease * LONGEST_GAP:
            self._in_contact_since = now
        self._in_contact_at = now

    @staticmethod
    def _attempt(part: Callable[[], None]) -> None:
        try:
            part()
        except Unavailable:
            raise
        except LongshoreError as error:
            log.warning("upkeep goes on at the next tick: %s", error)
        except Exception:
            log.exception("upkeep goes on after an unexpected error")

    def _rescue(self) -> None:
        if self._in_contact_since is not None and self._clock() - self._in_contact_since >= self._timings.lease:
            reap(self._store)

    def _refill(self) -> None:
        refill(self._store, self._wire, self._timings.presence)

    def _prune(self) -> None:
        if self._clock() - self._pruned_at >= PRUNE_SECONDS and prune(self._store, self._key_days, self._files).done:
            self._pruned_at = self._clock()

    def _sweep(self) -> None:
        """Beside the other work, for it may take an hour."""
        if self._files is None or self._clock() - self._swept_at < SWEEP_SECONDS:
            return
        if self._sweeper is None or not self._sweeper.is_alive():
            self._swept_at = self._clock()
            self._sweeper = threading.Thread(target=self._swept, args=(self._files,), name="sweeper", daemon=True)
            self._sweeper.start()

    def _swept(self, files: FileStore) -> None:
        self._attempt(lambda: log.info("removed %d files that nothing names", sweep(self._store, files)))
