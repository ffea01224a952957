"""Celery main as the agent's child: started or adopted, watched, started again, ended."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from worker import trees

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE, SETTLED = 0.5, 30.0, 60.0
"""seconds: before the first restart, at most, and the life after which pauses start anew"""


class CeleryMain:
    """The one Celery worker beside this agent."""

    def __init__(self, argv: Sequence[str], adopted: int | None = None) -> None:
        """`adopted` is a Celery main that forked this agent's process from under it; `argv` starts another."""
        self._argv = list(argv)
        self.pid = 0
        self.exit_code: int | None = None
        self._pause = FIRST_PAUSE
        self._started_at = time.monotonic()
        self._start_again_at = 0.0
        if adopted:
            self.pid = adopted
            self._argv = _command_of(adopted) or self._argv

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.pid > 0

    def is_due(self) -> bool:
        """Whether it may be started (again) now."""
        return time.monotonic() >= self._start_again_at

    def start(self) -> None:
        """Starts it. Only the main thread may: its end is Celery main's signal that the agent is gone."""
        process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL)
        self.pid, self._started_at, self.exit_code = process.pid, time.monotonic(), None
        process.returncode = 0  # this object waits for it by itself

    def collect(self) -> bool:
        """Whether it has ended since the last call."""
        if not self.pid:
            return False
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, 0
        if not pid:
            return False
        self.exit_code = os.waitstatus_to_exitcode(status)
        self.pid = 0
        self._plan_restart()
        return True

    def _plan_restart(self) -> None:
        if time.monotonic() - self._started_at > SETTLED:
            self._pause = FIRST_PAUSE
        self._start_again_at = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def ask_to_end(self) -> None:
        """Warm shutdown: it takes no more messages, and ends when its pool children are idle."""
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and all that is below it, at once."""
        if self.pid:
            trees.kill_tree(self.pid)


def command(name: str, slots: int, queues: Sequence[str], level: str) -> list[str]:
    """How the agent starts Celery main."""
    words = ["--quiet", "worker", "--pool", "prefork", "--concurrency", str(slots), "--queues", ",".join(queues)]
    words += ["--hostname", name, "--loglevel", level, "--without-gossip", "--without-mingle"]
    return [sys.executable, "-P", "-m", "worker.celery_main", *words]


def _command_of(pid: int) -> list[str]:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
    return [os.fsdecode(word) for word in words if word]
