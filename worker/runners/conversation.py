"""While a command runs: take its output, hear of its end, keep it within its bounds."""

from __future__ import annotations

import math
import os
import selectors
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from worker.clocks import NANOSECONDS, boottime_ns
from worker.runners import directives
from worker.runners.contract import CommandContext, CommandExecution, SlotReader
from worker.runners.shim_process import ShimProcess
from worker.slots import Flag

TICK = 0.2
"""seconds between two looks at the slot and at the time limit, when nothing else happens"""
_CHUNK = 1 << 16


class Bounds:
    """Ends the command when its time is up, or when its job is not ours any more."""

    def __init__(self, execution: CommandExecution, slot: SlotReader, shim: ShimProcess) -> None:
        self._slot = slot
        self._shim = shim
        self._begun = boottime_ns() - slot.stopped_ns(boottime_ns())
        self._limit = math.inf if execution.timeout is None else execution.timeout
        self._grace = execution.grace
        self.time_is_up = False

    def keep(self) -> None:
        """Look at the clock and at the flag, and act."""
        ran = self._ran()
        if self._slot.flag is Flag.STALE or ran > self._limit + self._grace:
            self._shim.kill()
        elif ran > self._limit and not self.time_is_up:
            self.time_is_up = True
            self._shim.terminate()

    def _ran(self) -> float:
        """Seconds that the command has run, without those it was suspended."""
        now = boottime_ns()
        return (now - self._begun - self._slot.stopped_ns(now)) / NANOSECONDS


class Attention:
    """Waits for output, for the end and for pokes, whichever comes first, and passes the output on."""

    def __init__(self, shim: ShimProcess, context: CommandContext, poked: int | None) -> None:
        self._shim = shim
        self._context = context
        self._reader = directives.DirectiveReader()
        self._selector = selectors.DefaultSelector()
        self._ended = False
        for descriptor, act in ((shim.stdout, self._read_stdout), (shim.stderr, self._read_stderr)):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ, act)
        self._selector.register(shim.results, selectors.EVENT_READ, self._read_report)
        if poked is not None:
            self._selector.register(poked, selectors.EVENT_READ, lambda: os.read(poked, _CHUNK))

    def __enter__(self) -> Attention:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    def turn(self) -> bool:
        """Wait for one tick at most; whether the command has ended."""
        for key, _ in self._selector.select(TICK):
            key.data()
        return self._ended

    def read_the_rest(self) -> None:
        """What the pipes still hold after the end; nobody is left who could write more."""
        for descriptor, read in ((self._shim.stdout, self._read_stdout), (self._shim.stderr, self._read_stderr)):
            while descriptor in self._selector.get_map() and read():
                pass
        self._tell(self._reader.end())

    def _read_report(self) -> None:
        self._shim.read_report()
        self._ended = True

    def _read_stdout(self) -> bool:
        data = self._read(self._shim.stdout)
        self._context.write_log("stdout", data) if data else None
        self._tell(self._reader.feed(data))
        return bool(data)

    def _read_stderr(self) -> bool:
        data = self._read(self._shim.stderr)
        self._context.write_log("stderr", data) if data else None
        return bool(data)

    def _read(self, descriptor: int) -> bytes:
        """What is there now, none if nothing is; a stream that has ended is looked at no more."""
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            self._selector.unregister(descriptor)
        return data

    def _tell(self, found: Iterator[directives.Directive]) -> None:
        for directive in found:
            match directive:
                case directives.Stage(name):
                    self._context.stage(name)
                case directives.Progress(done, total, message):
                    self._context.progress(done, total, message)
                case directives.Message(text):
                    self._context.message(text)


@contextmanager
def pokes() -> Iterator[int | None]:
    """A descriptor that becomes readable when this process is signalled, so that no poke waits for a tick."""
    if threading.current_thread() is not threading.main_thread():
        yield None  # signals are the main thread's; the tick must do
        return
    heard, hear = os.pipe()
    os.set_blocking(hear, False)
    before = signal.set_wakeup_fd(hear, warn_on_full_buffer=False)
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(before)
        os.close(heard)
        os.close(hear)
