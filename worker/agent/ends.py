"""Records what the agent has to say about executions: that their child is dead, that their processes stand still.

A thread of its own with an inbox: while the database is away, what is to be said waits in order.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shared import execute
from shared.errors import StaleExecution
from shared.lifecycle import State
from shared.store import Store
from worker import exits, workspace
from worker.agent.charge import Charge, Standstill, end_of
from worker.agent.orders import Order, Wish
from worker.agent.roster import Roster
from worker.clocks import boottime_ns
from worker.insist import insist

log = logging.getLogger(__name__)

EXIT_WITHIN = 0.5
"""seconds that Celery main may take to tell how a child ended"""


@dataclass
class Ends:
    """Writes for executions that cannot write for themselves."""

    store: Store
    roster: Roster
    by: str
    work_dir: Path
    run_dir: Path
    agent: int
    acted_on: Callable[[], None]
    _inbox: queue.SimpleQueue[Callable[[], None]] = field(default_factory=queue.SimpleQueue)
    _given_up: threading.Event = field(default_factory=threading.Event)

    def end(self, charge: Charge) -> None:
        """The child of this execution is dead, and nothing of its tree is left."""
        charge.ended = True
        self._inbox.put(lambda: self._end(charge))

    def suspended(self, charge: Charge) -> None:
        """The processes of this execution are stopped."""
        self._inbox.put(lambda: self._suspended(charge))

    def give_up(self) -> None:
        """The agent ends: what the database does not take now is left to the reaper."""
        self._given_up.set()

    def run(self, stop: threading.Event) -> None:
        """Writes until `stop` is set."""
        while not stop.is_set():
            try:
                action = self._inbox.get(timeout=0.2)
            except queue.Empty:
                continue
            try:
                action()
            except Exception:
                log.exception("recording goes on after an unexpected error")

    def _end(self, charge: Charge) -> None:
        workspace.remove(workspace.place(self.work_dir, charge.lease))
        end = end_of(charge, self._exit_code(charge))
        try:
            if end is not None:
                ended = insist(lambda: execute.finish(self.store, charge.lease, end, by=self.by), self._wanted)
                log.warning(
                    "job %s attempt %d: %s, now %s", charge.lease.job_id, charge.lease.attempt, end, ended.state
                )
        except StaleExecution:
            log.info("job %s attempt %d had ended before", charge.lease.job_id, charge.lease.attempt)
        finally:
            self.roster.forget(charge)
            self.acted_on()

    def _exit_code(self, charge: Charge) -> int | None:
        deadline = time.monotonic() + EXIT_WITHIN
        while True:
            code = exits.read_exit(self.run_dir, self.agent, charge.seen.pid, charge.seen.started)
            if code is not None or charge.killed_for or time.monotonic() > deadline:
                return code
            time.sleep(0.02)

    def _suspended(self, charge: Charge) -> None:
        try:
            state = insist(lambda: execute.suspend(self.store, charge.lease, self.by), self._wanted)
        except StaleExecution:
            charge.order = Order(Wish.STALE, boottime_ns())
        else:
            if charge.order.wish is Wish.SUSPEND:  # nothing stronger has come meanwhile
                charge.order = Order(Wish.STAY if state is State.PAUSED else Wish.RUN, boottime_ns())
            if charge.standstill is Standstill.STOPPED:
                charge.standstill = Standstill.ACKNOWLEDGED
        self.acted_on()

    def _wanted(self) -> bool:
        return not self._given_up.is_set()
