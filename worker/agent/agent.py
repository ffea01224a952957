"""The agent's main loop: looks at the slots, acts on executions, keeps Celery main running, leaves nothing behind."""

from __future__ import annotations

import logging
import os
import signal
import threading
from dataclasses import dataclass
from types import FrameType

from worker import trees
from worker.agent.celery import CeleryMain
from worker.agent.charge import Cause
from worker.agent.drain import Drain
from worker.agent.ends import Ends
from worker.agent.heartbeat import Heartbeat
from worker.agent.ladder import Ladder
from worker.agent.roster import Roster
from worker.clocks import boottime_ns
from worker.slots import Slots

log = logging.getLogger(__name__)

BUSY_LOOK = 0.05
"""seconds between two looks while jobs run"""
IDLE_LOOK = 0.2


@dataclass
class Agent:
    """One launch of a worker, from start to end."""

    slots: Slots
    roster: Roster
    main: CeleryMain
    ladder: Ladder
    heartbeat: Heartbeat
    ends: Ends
    drain: Drain
    wake: threading.Event
    _launcher: tuple[int, int | None] | None = None
    _failed: bool = False
    _asked_to_end: bool = False

    def run(self) -> int:
        """Runs until the worker has ended; gives the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_end_signal)
        signal.signal(signal.SIGCHLD, self._on_child)
        while not self._tick():
            self.wake.wait(BUSY_LOOK if self.roster.all() else IDLE_LOOK)
            self.wake.clear()
        self._leave_nothing()
        return 1 if self._failed else 0

    def fail(self) -> None:
        """The worker cannot start at all: ends it with a bad status."""
        self._failed = self._asked_to_end = True
        self.wake.set()

    def end_without(self, launcher: int) -> None:
        """The worker is to end, and soon, when this process is gone; 0 for none."""
        if launcher:
            self._launcher = launcher, trees.start_time(launcher)

    def _on_end_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_end = True
        self.wake.set()

    def _on_child(self, _number: int, _frame: FrameType | None) -> None:
        self.wake.set()

    def _tick(self) -> bool:
        """One round; whether all is over."""
        self._look_at_celery()
        self._collect_orphans()
        if self.roster.refresh():
            self.heartbeat.soon()
        self._act()
        orphaned = self._launcher is not None and not trees.alive(*self._launcher)
        if (self._asked_to_end or orphaned) and not self.drain.begun:
            self.drain.begin(hurry=orphaned)
            self.heartbeat.present_now()
        if self.drain.begun:
            self.drain.step()
        return self.drain.is_over()

    def _look_at_celery(self) -> None:
        if self.main.collect():
            log.log(
                logging.INFO if self.drain.begun else logging.ERROR,
                "Celery main ended with %s", self.main.exit_code,
            )  # fmt: skip
            self._leave_nothing()
        if not self.main.alive and not self.drain.begun and self.main.is_due():
            self.main.start()

    def _collect_orphans(self) -> None:
        """Reaps what fell to this process; Celery main is waited for where its end is acted on."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid == self.main.pid:
                return
            os.waitpid(found.si_pid, os.WNOHANG)

    def _act(self) -> None:
        now = boottime_ns()
        fenced = self.slots.fence_passed(now)
        for charge in self.roster.all():
            if charge.ended:
                continue
            if not charge.seen.alive:
                if fenced and charge.killed_for is None:
                    charge.killed_for = Cause.FENCE  # by Celery main, which watches the fence as well
                self._kill_orphans()
                self.ends.end(charge)
            elif fenced and charge.killed_for is None and charge.has_job_code:
                self.ladder.kill(charge, Cause.FENCE)
            else:
                self.ladder.step(charge, now)

    def _kill_orphans(self) -> None:
        """What descended from a dead pool child is ours now, for we are the next subreaper above it."""
        trees.kill_tree(os.getpid(), include_root=False, spare={self.main.pid} if self.main.alive else set())

    def _leave_nothing(self) -> None:
        trees.kill_tree(os.getpid(), include_root=False, spare={self.main.pid} if self.main.alive else set())
        trees.reap_children(spare={self.main.pid} if self.main.alive else set())
