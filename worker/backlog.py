"""What a job has said and nobody has written down yet: in order, coalesced, and bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from longshore.progress import Report

PROGRESS_GAP = 0.5
"""seconds between two progress rows of a job: at most two a second"""
GATHER = 0.02
"""seconds for which reports are gathered before they are written together"""
LOG_GAP = 0.1
"""seconds for which log is gathered"""
LOG_FULL = 64 * 1024
"""bytes of log that are written at once, without gathering more"""
MAX_LOG = 4 * 1024 * 1024
"""bytes of log kept while the database is away; the oldest go first"""
MAX_STAGES = 1000
"""stage changes kept while the database is away; the oldest go first"""


@dataclass(frozen=True)
class Batch:
    """What is written together: reports in order, and pieces of log streams in order."""

    reports: Sequence[Report]
    log: Sequence[tuple[str, bytes]]

    def __bool__(self) -> bool:
        return bool(self.reports or self.log)


@dataclass
class Backlog:
    """Gathers reports and log of one execution. Not locked: its owner is."""

    stages: deque[Report] = field(default_factory=lambda: deque(maxlen=MAX_STAGES))
    latest: Report | None = None
    log: deque[tuple[str, bytes]] = field(default_factory=deque)
    _log_size: int = 0
    _dropped: int = 0
    _progress_due: float = 0.0
    _log_due: float = 0.0
    _last_progress: float = 0.0

    def report(self, report: Report, now: float, *, stage_changed: bool) -> None:
        """Takes a report; a newer one of the same stage replaces an older one."""
        if stage_changed:
            self._keep_latest()
            self.stages.append(report)
            return
        if self.latest is None:
            self._progress_due = max(now + GATHER, self._last_progress + PROGRESS_GAP)
        self.latest = report

    def _keep_latest(self) -> None:
        """The last word on a stage goes on record before the next stage does."""
        if self.latest is not None:
            self.stages.append(self.latest)
            self.latest = None

    def write(self, stream: str, data: bytes, now: float) -> None:
        """Takes a piece of log; while more than `MAX_LOG` bytes wait, the oldest are dropped and counted."""
        if not self.log:
            self._log_due = now + LOG_GAP
        self.log.append((stream, data))
        self._log_size += len(data)
        while self._log_size > MAX_LOG and len(self.log) > 1:
            lost = len(self.log.popleft()[1])
            self._log_size -= lost
            self._dropped += lost

    def due(self, now: float) -> float | None:
        """Seconds until something is to be written; None when nothing waits."""
        if self.stages:
            return 0.0
        times = []
        if self.latest is not None:
            times.append(self._progress_due)
        if self.log:
            times.append(0.0 if self._log_size >= LOG_FULL else self._log_due)
        return max(0.0, min(times) - now) if times else None

    def take(self, now: float, *, everything: bool = False) -> Batch:
        """What is to be written now; a progress value not yet due stays, unless `everything` is asked for."""
        if self.latest is not None and (everything or now >= self._progress_due):
            self._last_progress = now
            self._keep_latest()
        reports = list(self.stages)
        self.stages.clear()
        return Batch(reports, self._take_log())

    def _take_log(self) -> list[tuple[str, bytes]]:
        pieces: list[tuple[str, bytes]] = []
        if self._dropped:
            note = f"[{self._dropped} bytes of log were dropped here: the database was not reachable]\n"
            pieces.append(("log", note.encode()))
        for stream, data in self.log:
            if pieces and pieces[-1][0] == stream:
                pieces[-1] = (stream, pieces[-1][1] + data)
            else:
                pieces.append((stream, data))
        self.log.clear()
        self._log_size = self._dropped = 0
        return pieces
