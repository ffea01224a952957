"""What every home of job code shares: the meaning of the Job protocol, written once.

A home - the worker, the testing kit - subclasses `JobSupport` and says in four hooks where things go:

- `_emit(report, stage_changed)`: take a new report; called often, so it must be cheap. A stage change is
  to be recorded at once, the rest may be coalesced.
- `_obey()`: act on a flag, if there is one, by raising JobCancelled, JobParked or JobInterrupted; called at
  every checkpoint, so without a flag it must cost next to nothing.
- `_checkpoint(state, files)`: keep the files (name -> existing path), then the state, so that a crash in
  between leaves the previous checkpoint whole. `state` is plain JSON.
- `_save_output(name, path, media_type)`: keep an output; the name is safe and the file exists.
"""

from __future__ import annotations

import logging
import mimetypes
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longshore.job import CommandRun, Files, Hook, Item
from longshore.jsonable import jsonable
from longshore.names import file_name, relative_name
from longshore.programs import raise_for_exit, run_program
from longshore.progress import ProgressMeter, Report

_TRACK_INTERVAL = 0.05
"""Seconds between two reports of `track`: nobody reads faster, and the loop of the job stays fast."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What one attempt is given: the job's identity, its args and files, and what earlier attempts saved.

    The saved files already lie in the work directory under their names.
    """

    id: str
    attempt: int
    args: Any
    workdir: Path
    log: logging.Logger
    stages: Sequence[str] = ()
    inputs: Mapping[str, Path | list[Path]] = field(default_factory=dict)
    saved_state: Any = None
    saved_files: Mapping[str, Path] = field(default_factory=dict)


class JobSupport(ABC):
    """The Job protocol over four hooks."""

    def __init__(self, assignment: Assignment) -> None:
        self.id = assignment.id
        self.attempt = assignment.attempt
        self.args: Any = assignment.args
        self.inputs = assignment.inputs
        self.workdir = assignment.workdir
        self.log = assignment.log
        self.saved_state: Any = assignment.saved_state
        self.saved_files = assignment.saved_files
        self._meter = ProgressMeter(assignment.stages)
        self._cancel_hooks: list[Callable[[], object]] = []

    # ---------------------------------------------------------------------------------------- the hooks

    @abstractmethod
    def _emit(self, report: Report, *, stage_changed: bool) -> None:
        """Take a new report."""

    @abstractmethod
    def _obey(self) -> None:
        """Act on a flag, if there is one."""

    @abstractmethod
    def _checkpoint(self, state: Any, files: Mapping[str, Path]) -> None:
        """Keep the files, then the state."""

    @abstractmethod
    def _save_output(self, name: str, path: Path, media_type: str) -> None:
        """Keep an output."""

    # ------------------------------------------------------------------------------- stages and progress

    @property
    def report(self) -> Report:
        """Where the job is now."""
        return self._meter.report

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Begin a declared stage."""
        self._emit(self._meter.enter(name), stage_changed=True)
        return _StageScope(self._leave_stage)

    def _leave_stage(self) -> None:
        self._emit(self._meter.leave(), stage_changed=False)

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how much of the stage is done."""
        self._emit(self._meter.count(done, total, message), stage_changed=False)

    def message(self, text: str) -> None:
        """Show a line about what happens now."""
        self._emit(self._meter.say(text), stage_changed=False)

    def track(self, iterable: Iterable[Item], total: int | None = None) -> Iterator[Item]:
        """Go through the items and report progress."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        done, due = 0, 0.0
        for item in iterable:
            if time.monotonic() >= due:
                self.progress(done, total)
                due = time.monotonic() + _TRACK_INTERVAL
            yield item
            done += 1
        self.progress(done, total)

    # ------------------------------------------------------------------------------ checkpoints and files

    def checkpoint(self, state: Any = None, files: Files = ()) -> None:
        """Save, then let a flag act."""
        if state is not None or files:
            self._checkpoint(jsonable(state, "the saved state"), self._named(files))
        self._obey()

    def save_output(self, name: str, path: str | Path, media_type: str | None = None) -> None:
        """Keep a file as an output of the job."""
        guess = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self._save_output(file_name(name), self._existing(path), media_type or guess)

    def input(self, name: str) -> Path:
        """Give the path of an input that is one file."""
        path = self.inputs[name]
        if isinstance(path, list):
            raise TypeError(f"input {name!r} may hold several files; use job.inputs[{name!r}]")
        return path

    def _named(self, files: Files) -> dict[str, Path]:
        pairs = files.items() if isinstance(files, Mapping) else ((self._place(path), path) for path in files)
        return {relative_name(name): self._existing(path) for name, path in pairs}

    def _place(self, path: str | Path) -> str:
        """Name a file after its place in the work directory, so that it is restored there."""
        whole = self.workdir / path
        return str(whole.relative_to(self.workdir)) if whole.is_relative_to(self.workdir) else whole.name

    def _existing(self, path: str | Path) -> Path:
        whole = self.workdir / path
        if not whole.is_file():
            raise FileNotFoundError(f"{path} is no file (looked for {whole})")
        return whole

    # -------------------------------------------------------------------------------- programs and hooks

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        cwd: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], object] | None = None,
    ) -> CommandRun:
        """Run a program; every line it writes goes to the log."""

        def take(line: str) -> None:
            self.log.info("%s", line)
            if on_line is not None:
                on_line(line)

        done = run_program(argv, self.workdir / (cwd or ""), environment, take)
        if check:
            raise_for_exit(argv, done)
        return done

    def on_cancel(self, hook: Hook) -> Hook:
        """Have a function called when the job is cancelled."""
        self._cancel_hooks.append(hook)
        return hook

    def call_cancel_hooks(self) -> None:
        """For the home: call the hooks, the last one first; one that fails is logged and spoils no other."""
        while self._cancel_hooks:
            hook = self._cancel_hooks.pop()
            try:
                hook()
            except Exception:
                self.log.exception("on_cancel hook %r failed", hook)


class _StageScope(AbstractContextManager[None]):
    """Lets `job.stage(name)` stand alone or in a `with`: at the end of the block the stage counts as done."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._leave()
