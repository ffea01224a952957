"""Renews the leases of executions that live, reads their flags, and moves the fence on.

A thread of its own, because the database may take seconds to fail. Nothing here acts on a job: it notes what is wanted,
and the main loop does it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from shared import execute
from shared.errors import LongshoreError
from shared.execute import Lease, Seen
from shared.presence import WorkerCard, depart, present
from shared.store import Store
from shared.timings import Timings
from worker.agent.charge import Charge
from worker.agent.orders import Abilities, Order, Wish, abilities, order_for
from worker.agent.roster import Roster, by_lease
from worker.agent.strays import Strays
from worker.clocks import NANOSECONDS, boottime_ns
from worker.slots import Slots

log = logging.getLogger(__name__)

HINT_LIFE = 3.0
"""seconds for which a hint on a job that is not here yet is kept: it may be about to be claimed"""
RETRY = 0.5
"""seconds between tries while the database is away"""


@dataclass
class Heartbeat:
    """The agent's word with the database."""

    store: Store
    slots: Slots
    roster: Roster
    timings: Timings
    card: Callable[[], WorkerCard]
    strays: Strays
    acted_on: Callable[[], None]
    """called when something new is wanted, so that the main loop acts at once"""
    _due: threading.Event = field(default_factory=threading.Event)
    _hints: dict[UUID, float] = field(default_factory=dict)
    _hints_lock: threading.Lock = field(default_factory=threading.Lock)
    _sent: float = float("-inf")
    _heard: float = float("-inf")
    _presented: float = float("-inf")
    _looked: float = float("-inf")

    def hint(self, job_ids: Iterable[UUID]) -> None:
        """Somebody says that these jobs have new flags."""
        until = time.monotonic() + HINT_LIFE
        with self._hints_lock:
            self._hints.update(dict.fromkeys(job_ids, until))
        self._due.set()

    def soon(self) -> None:
        """There is a new execution."""
        self._due.set()

    def present_now(self) -> None:
        """What the worker says of itself has changed."""
        self._presented = float("-inf")
        self._due.set()

    def run(self, stop: threading.Event) -> None:
        """Beats until `stop` is set."""
        away = False
        while not stop.is_set():
            try:
                self._beat()
                away = False
            except LongshoreError as error:
                log.log(logging.DEBUG if away else logging.WARNING, "no heartbeat: %s", error)
                away = True
            except Exception:
                log.exception("the heartbeat goes on after an unexpected error")
                away = True
            self._due.wait(RETRY if away else self._pause())
            self._due.clear()

    def farewell(self) -> None:
        """The worker is gone in good order; where the database does not hear it, its silence will tell."""
        try:
            depart(self.store, self.card().id)
        except LongshoreError as error:
            log.warning("could not say good-bye: %s", error)

    def _pause(self) -> float:
        now = time.monotonic()
        waits = [self._presented + self._presence - now, self._looked + self.timings.heartbeat * 2 - now]
        if self.roster.living():
            waits.append(self._sent + self.timings.heartbeat - now)
            waits.append(self._heard + self.timings.heartbeat / 2 - now)
        if self._hints:
            waits.append(0.2)
        return max(0.01, min(waits))

    @property
    def _presence(self) -> float:
        return min(self.timings.presence, self.timings.fence * 0.75)

    def _beat(self) -> None:
        living = self.roster.living()
        now = time.monotonic()
        if living and now >= self._sent + self.timings.heartbeat:
            self._renew(living)
        elif living and now >= self._heard + self.timings.heartbeat / 2:
            self._heard = now
            self._look_at(living)  # halfway, for flags whose hint was lost with the broker
        elif hinted := self._take_hints(living):
            self._look_at(hinted)
        if now >= self._presented + self._presence:
            self._present(idle=not living)
        if now >= self._looked + self.timings.heartbeat * 2:
            self._looked = now
            self.strays.look()

    def _look_at(self, charges: Sequence[Charge]) -> None:
        self._hear(charges, execute.look(self.store, self.card().id, [charge.lease for charge in charges]))

    def _renew(self, living: Sequence[Charge]) -> None:
        sent, sent_at = boottime_ns(), time.monotonic()
        leases = [charge.lease for charge in living]
        found = execute.heartbeat(self.store, self.card().id, leases, self.timings.lease)
        self._move_fence(sent, sent_at)
        self._heard = sent_at
        self._hear(living, found)

    def _present(self, *, idle: bool) -> None:
        sent, sent_at = boottime_ns(), time.monotonic()
        present(self.store, self.card())
        self._presented = sent_at
        if idle:  # the database is within reach, and there is no lease that this did not renew
            self._move_fence(sent, sent_at)

    def _move_fence(self, sent: int, sent_at: float) -> None:
        self.slots.fence_at = sent + round(self.timings.fence * NANOSECONDS)
        self._sent = sent_at

    def _take_hints(self, living: Sequence[Charge]) -> list[Charge]:
        now = time.monotonic()
        with self._hints_lock:
            hinted = [charge for charge in living if self._hints.pop(charge.lease.job_id, None) is not None]
            for job_id in [job_id for job_id, until in self._hints.items() if until < now]:
                del self._hints[job_id]
        return hinted

    def _hear(self, asked: Sequence[Charge], found: dict[Lease, Seen]) -> None:
        """Notes what is wanted of each execution that was asked about."""
        now = boottime_ns()
        self._learn([charge for charge in asked if charge.can is None and _is_wanted(found.get(charge.lease))])
        for lease, charge in by_lease(asked).items():
            seen = found.get(lease)
            if seen is None:
                charge.order = Order(Wish.STALE, now)
            else:
                charge.order = order_for(seen, charge.can or Abilities(), now)
        if any(charge.order.wish is not Wish.RUN for charge in asked):
            self.acted_on()

    def _learn(self, charges: Sequence[Charge]) -> None:
        if charges:
            known = abilities(self.store, [charge.lease for charge in charges], self.timings)
            for charge in charges:
                charge.can = known.get(charge.lease.job_id, Abilities())


def _is_wanted(seen: Seen | None) -> bool:
    return seen is not None and (seen.flag is not None or seen.state.value != "running")
