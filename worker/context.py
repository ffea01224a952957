"""What job code holds: the Job protocol on a worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longshore.errors import JobCancelled, JobInterrupted, JobParked
from longshore.progress import Report
from longshore.support import Assignment, JobSupport
from worker.ledger import Ledger
from worker.slots import Flag, Slot

_STOPS = {
    Flag.CANCEL: JobCancelled,
    Flag.PAUSE_PARK: JobParked,
    Flag.DRAIN: JobInterrupted,
    Flag.STALE: JobInterrupted,
}
"""How job code learns of a flag at its checkpoint; a suspension stops its process without a word."""


class WorkerJob(JobSupport):
    """A job on a pool child: flags are read from its slot, what it says goes to the ledger."""

    def __init__(self, assignment: Assignment, slot: Slot, ledger: Ledger, pause_at: str | None) -> None:
        super().__init__(assignment)
        self._slot = slot
        self._ledger = ledger
        self._pause_at = pause_at

    def _emit(self, report: Report, *, stage_changed: bool) -> None:
        self._ledger.report(report, stage_changed=stage_changed)
        if stage_changed and self._pause_at is not None and report.stage == self._pause_at:
            self._ledger.pause_here(self._pause_at)
            self._pause_at = None

    def _obey(self) -> None:
        flag = self._slot.flag
        if flag and flag in _STOPS:
            raise _STOPS[flag]

    def _checkpoint(self, state: Any, files: Mapping[str, Path]) -> None:
        self._ledger.checkpoint(state, files)

    def _save_output(self, name: str, path: Path, media_type: str) -> None:
        self._ledger.save_output(name, path, media_type)
