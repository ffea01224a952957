"""All executions in the agent's charge, as its threads share them."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from shared.execute import Lease
from worker.agent.charge import Charge
from worker.clocks import boottime_ns
from worker.slots import Phase, Slots


class Roster:
    """Follows the slots: the main loop refreshes it, the others read it."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._charges: dict[tuple[int, int], Charge] = {}

    def refresh(self) -> bool:
        """Looks at the slots; whether an execution is new."""
        before = self._charges
        now = {}
        for seen in self._slots.snapshots():
            if seen.phase is Phase.IDLE or seen.job_id is None:
                continue
            key = (seen.index, seen.mark)
            charge = before.get(key) or Charge(Lease(seen.job_id, seen.attempt), seen, boottime_ns())
            charge.seen = seen
            now[key] = charge
        with self._lock:
            self._charges = now
        return not now.keys() <= before.keys()

    def all(self) -> list[Charge]:
        """Every execution, also those that wait for their end to be recorded."""
        with self._lock:
            return list(self._charges.values())

    def living(self) -> list[Charge]:
        """The executions whose leases are to be renewed."""
        return [charge for charge in self.all() if charge.lives]

    def forget(self, charge: Charge) -> None:
        """The execution has ended and its slot is free again."""
        self._slots.forget(charge.seen)


def by_lease(charges: Iterable[Charge]) -> dict[Lease, Charge]:
    """The charges by the names of their executions."""
    return {charge.lease: charge for charge in charges}
