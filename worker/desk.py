"""What a runner needs for one execution: its directory, its slot, its ledger, and the means to clear up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broker_config import Settings
from shared.execute import Claimed
from shared.files import FileStore
from worker import trees
from worker.clocks import NANOSECONDS, boottime_ns
from worker.interrupts import Interrupts
from worker.ledger import Ledger
from worker.slots import Flag, Slot


@dataclass
class Desk:
    """One execution's place in a pool child."""

    claimed: Claimed
    workdir: Path
    slot: Slot
    ledger: Ledger
    files: FileStore
    interrupts: Interrupts
    settings: Settings

    def slot_body(self, seconds: float | None) -> None:
        """Job code is entered; after `seconds`, those suspended not counted, the agent ends it."""
        now = boottime_ns()
        self.slot.body_on(now, now + round(seconds * NANOSECONDS) if seconds else 0)

    @contextmanager
    def body(self) -> Iterator[None]:
        """Python job code runs inside: its time counts, the agent may poke and, at the end of its ladder, kill."""
        self.slot_body(self.claimed.timeout)
        interruptible = self.claimed.declaration.get("cancel", "interrupt") == "interrupt"
        with self.interrupts.body(lambda: interruptible and self.slot.flag is Flag.CANCEL):
            yield

    def clear(self) -> None:
        """Ends every process that the job has left behind."""
        if not trees.childless():
            trees.kill_tree(os.getpid(), include_root=False)
            trees.reap_children()
