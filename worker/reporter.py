"""Buffered reports: job code goes on at once, a thread of the pool child writes what it said, in order.

A stage change is written at once, progress twice a second at most, with its last value always kept. While the
database is away the thread tries again; what does not fit into the bounds of the backlog loses its oldest part.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from longshore.progress import Report
from shared.errors import StaleExecution, Unavailable
from shared.execute import Lease
from shared.report import LogPiece
from worker.backlog import Backlog, Batch
from worker.insist import insist

log = logging.getLogger(__name__)

Push = Callable[[Lease, Sequence[Report]], object]
Write = Callable[[Lease, Sequence[LogPiece]], object]


class Reporter:
    """Reports and log of the execution that the pool child runs at present."""

    def __init__(self, push: Push, write: Write) -> None:
        """`push` and `write` put reports and log on record; they raise `StaleExecution` or `Unavailable`."""
        self._push = push
        self._write = write
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._lease: Lease | None = None
        self._backlog = Backlog()
        self._offsets: Counter[str] = Counter()
        self._writing = False
        self._hurry = False
        self.stale = False
        """whether a write was refused because the execution no longer holds its job"""

    def begin(self, lease: Lease) -> None:
        """An execution begins."""
        with self._changed:
            self._lease, self._backlog, self.stale = lease, Backlog(), False
            self._offsets.clear()

    def end(self) -> None:
        """The execution has ended; what nobody has written is dropped."""
        with self._changed:
            self._lease, self._backlog = None, Backlog()

    def report(self, report: Report, *, stage_changed: bool) -> None:
        """Takes a report."""
        with self._changed:
            if self._is_open():
                self._backlog.report(report, time.monotonic(), stage_changed=stage_changed)
                self._wake()

    def write(self, stream: str, data: bytes) -> None:
        """Takes a piece of a log stream: stdout, stderr or log."""
        if not data:
            return
        with self._changed:
            if self._is_open():
                self._backlog.write(stream, data, time.monotonic())
                self._wake()

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until all that was said is on record, or cannot be any more; False after `timeout` seconds."""
        with self._changed:
            if self._backlog.due(0.0) is None and not self._writing:
                return True
            self._hurry = True
            self._wake()
            done = self._changed.wait_for(self._is_written, timeout)
            self._hurry = False
            return done

    def _is_open(self) -> bool:
        return self._lease is not None and not self.stale

    def _is_written(self) -> bool:
        return not self._writing and (self.stale or self._lease is None or self._backlog.due(0.0) is None)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            lease, batch = self._next()
            try:
                self._record(lease, batch)
            finally:
                with self._changed:
                    self._writing = False
                    self._changed.notify_all()

    def _next(self) -> tuple[Lease, Batch]:
        with self._changed:
            while True:
                now = time.monotonic()
                due = self._backlog.due(now)
                if self._lease is not None and due is not None and (self._hurry or due <= 0):
                    batch = self._backlog.take(now, everything=self._hurry)
                    if batch:
                        self._writing = True
                        return self._lease, batch
                self._changed.wait(due)

    def _record(self, lease: Lease, batch: Batch) -> None:
        if batch.reports:
            self._insist(lease, lambda: self._push(lease, batch.reports))
        if batch.log:
            pieces = self._placed(batch.log)
            self._insist(lease, lambda: self._write(lease, pieces))

    def _placed(self, log_of_batch: Sequence[tuple[str, bytes]]) -> list[LogPiece]:
        """Pieces with their offsets, by which a repeated one is known."""
        pieces = []
        for stream, data in log_of_batch:
            pieces.append(LogPiece(stream, self._offsets[stream], data))
            self._offsets[stream] += len(data)
        return pieces

    def _insist(self, lease: Lease, action: Callable[[], object]) -> None:
        try:
            insist(action, lambda: self._lease is lease and not self.stale)
        except (StaleExecution, Unavailable):
            self.stale = True
        except Exception:
            log.exception("a report of job %s could not be recorded", lease.job_id)

    # -------------------------------------------------------------------------- around a fork in job code

    def forget_after_fork(self) -> None:
        """In a process that job code forked: there is nobody here who writes, so nothing is taken any more."""
        self._changed = threading.Condition(threading.Lock())
        self._thread, self._lease, self._backlog, self._writing = None, None, Backlog(), False
