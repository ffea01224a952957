"""Where the word of one execution goes: reports through the buffer, what must count at once straight to the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from longshore.errors import JobInterrupted
from longshore.progress import Report
from shared import execute, report
from shared.errors import StaleExecution
from shared.execute import Lease
from shared.files import FileStore
from shared.store import Store
from worker.insist import insist
from worker.reporter import Reporter

T = TypeVar("T")


@dataclass
class Ledger:
    """The writes of one execution; each is fenced by its lease."""

    lease: Lease
    by: str
    store: Store
    files: FileStore
    reporter: Reporter
    shield: Callable[[], AbstractContextManager[None]]
    """keeps a cancel waiting while something is written"""
    saved_files: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """files of the last checkpoint by name, as they are on record"""
    _superseded: list[str] = field(default_factory=list)
    """files of the checkpoint before: kept for one more, should a database that crashes forget the last one"""
    pause_asked: Callable[[Lease], None] = lambda _lease: None
    """called when the job has asked for its own pause"""

    def report(self, report: Report, *, stage_changed: bool) -> None:
        """Takes a report."""
        with self.shield():
            self.reporter.report(report, stage_changed=stage_changed)

    def write(self, stream: str, data: bytes) -> None:
        """Takes a piece of log."""
        with self.shield():
            self.reporter.write(stream, data)

    def pause_here(self, stage: str) -> None:
        """The pause that was wished for at this stage."""
        with self.shield():
            self.reporter.flush()
            reason = f"wished for at stage {stage}"
            self._insist(lambda: execute.pause_self(self.store, self.lease, reason, self.by))
            self.pause_asked(self.lease)

    def checkpoint(self, state: Any, files: Mapping[str, Path]) -> None:
        """Stores the files, and then makes them and the state count."""
        with self.shield():
            stored = {name: self._stored(name, path) for name, path in files.items()}
            wanted = {**self.saved_files, **stored}
            before = self._insist(lambda: report.save_checkpoint(self.store, *self._name, state, list(wanted.values())))
            self.saved_files = wanted
            kept = {each["path"] for each in wanted.values()}
            self._remove_superseded()
            self._superseded = [each["path"] for each in before if each["path"] not in kept]

    def _remove_superseded(self) -> None:
        for path in self._superseded:
            self.files.remove(path)

    def save_output(self, name: str, path: Path, media_type: str) -> None:
        """Makes a file an output of the job."""
        with self.shield():
            stored = self.files.adopt(path, *self._name, name, media_type)
            output = report.Output(**vars(stored))
            self._insist(lambda: report.save_output(self.store, *self._name, output))

    def _insist(self, action: Callable[[], T]) -> T:
        try:
            return insist(action)
        except StaleExecution as error:
            raise JobInterrupted from error

    def _stored(self, name: str, path: Path) -> Mapping[str, Any]:
        stored = self.files.adopt(path, *self._name, name)
        return {"name": name, "path": stored.path, "size": stored.size, "sha256": stored.sha256.hex()}

    @property
    def _name(self) -> tuple[UUID, int]:
        return self.lease.job_id, self.lease.attempt
