"""When a cancel may be raised in the midst of job code, and when it has to wait.

SIGUSR2 only pokes: what the slot says decides. So a signal that comes late, and hits the next job or none, does no
harm. Code of ours that must not be torn (a database transaction, a stored file) runs shielded: the cancel is raised
when it is done. SIGTERM raises once more, for job code that swallowed the first.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from longshore.errors import JobCancelled


class Interrupts:
    """The signals of one pool child, which runs one body at a time in its main thread."""

    def __init__(self) -> None:
        self._wanted: Callable[[], bool] | None = None
        self._armed = False
        self._shields = 0
        self._pending = False
        self._pid = 0
        self.occupied = False
        """whether the child has an execution; without one, SIGTERM ends it as it ends any process"""

    def install(self) -> None:
        """Takes the signals; called in the main thread of the pool child."""
        self._pid = os.getpid()
        signal.signal(signal.SIGUSR2, self._on_poke)
        signal.signal(signal.SIGTERM, self._on_term)

    def forget_after_fork(self) -> None:
        """Gives a process that job code forked the signals of an ordinary one."""
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._wanted = None

    @contextmanager
    def body(self, wanted: Callable[[], bool]) -> Iterator[None]:
        """Job code runs inside; `wanted` says whether it is to be interrupted now. Raises JobCancelled in it."""
        self._pending = False
        self._wanted, self._armed = wanted, True
        try:
            if wanted():
                self._raise()
            yield
        finally:
            self._wanted = None

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """What runs inside is not torn; a poke that came meanwhile takes effect at the end of the outermost."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are handled in the main thread alone
            return
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._pending and not self._shields:
            self._pending = False
            self._act()

    def disarm(self) -> None:
        """Job code has been told; what it does to tidy up is not torn by further pokes."""
        self._armed = False

    def _on_poke(self, _number: int, _frame: FrameType | None) -> None:
        if self._shields:
            self._pending = True
        else:
            self._act()

    def _on_term(self, number: int, _frame: FrameType | None) -> None:
        if not self.occupied or os.getpid() != self._pid:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._armed = True  # outside of the body nobody wants it, and the signal is ignored
        self._on_poke(number, None)

    def _act(self) -> None:
        if self._armed and self._wanted is not None and self._wanted():
            self._raise()

    def _raise(self) -> None:
        self.disarm()
        raise JobCancelled
