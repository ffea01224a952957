"""Components as processes: what one is, how it is started under its guard, and how a process is known again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher import guard

ORPHAN_GRACE = 8.0
"""seconds a component gets to stop when the supervisor is gone; all of it is over well within 15 s"""

FIRST_PAUSE, LONGEST_PAUSE, SETTLED = 0.5, 30.0, 60.0
"""seconds: pause before the first restart, the longest pause, and the life after which pauses start anew"""


@dataclass(frozen=True)
class Identity:
    """One process and no later one of the same number: its id and when it started, in ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this id now; None when there is none, or only its exit status is left."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in {b"Z", b"X"} else cls(pid, int(fields[19]))

    def lives(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Send a signal if it still runs; says whether it did."""
        if not self.lives():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


@dataclass(frozen=True)
class Component:
    """One part of the installation: how to start it, how to tell that it serves, how long it may take to stop."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stops_within: float
    serves: Callable[[], bool] = lambda: True
    inherits: tuple[int, ...] = ()
    """numbers of the open files handed down, such as the listening socket"""


@dataclass
class Child:
    """A component that is kept running: its guard's process, and when to start it again after a death."""

    component: Component
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float | None = None
    pause: float = field(default=FIRST_PAUSE)

    def start(self) -> None:
        """Start the component under a guard. Only the main thread may: its end is the guard's signal to stop."""
        wanted = self.component
        guarded = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(ORPHAN_GRACE)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*guarded, *wanted.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(wanted.environment),
                pass_fds=wanted.inherits,
                start_new_session=True,
            )
        self.started_at, self.start_again_at = time.monotonic(), None

    @property
    def identity(self) -> Identity | None:
        """The guard's process, while it runs."""
        return Identity.of(self.process.pid) if self.process else None

    def ended(self) -> int | None:
        """The exit status of a component that has ended and is not waiting to be started again."""
        if self.process is None or self.start_again_at is not None:
            return None
        return self.process.poll()

    def start_later(self) -> float:
        """Plan the next start; returns the pause in seconds, which doubles while starts keep failing."""
        if time.monotonic() - self.started_at > SETTLED:
            self.pause = FIRST_PAUSE
        pause, self.pause = self.pause, min(self.pause * 2, LONGEST_PAUSE)
        self.start_again_at = time.monotonic() + pause
        return pause

    def is_due(self) -> bool:
        """Whether the pause before its next start is over."""
        return self.start_again_at is not None and time.monotonic() >= self.start_again_at

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the guard, which passes it on; SIGQUIT makes it kill the whole tree."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)

    def record(self) -> dict[str, Any] | None:
        """What a later supervisor needs to end this one if nobody else did."""
        found = self.identity
        return {"name": self.component.name, "pid": found.pid, "started": found.started} if found else None
