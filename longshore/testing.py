"""Test a job without a server: run it here and now, pause it at any checkpoint, resume it, cancel it.

The files, checkpoints and flags mean what they mean on a worker: every attempt has a fresh work directory, and
only what was checkpointed survives.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

from longshore.declare import JobType
from longshore.errors import (
    Failure,
    FieldProblem,
    InvalidArguments,
    JobCancelled,
    JobInterrupted,
    JobParked,
    JobStopped,
    failure_of,
)
from longshore.jsonable import jsonable
from longshore.progress import Report
from longshore.support import Assignment, JobSupport

__all__ = ["Outcome", "Output", "run_job"]

Moment = int | str | None
"""When a flag acts: at the n-th checkpoint (from 1), or once a stage is reached."""
Inputs = Mapping[str, str | Path | Sequence[str | Path]]


class Output(NamedTuple):
    """A file that the job kept as an output."""

    path: Path
    media_type: str


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt.

    `state` is the state of the job after it: `paused` after a pause, `queued` when the worker gave it back.
    `error` is what the broker would record, `exception` what was raised. The files stay
    on disk until the tests end.
    """

    state: Literal["completed", "failed", "cancelled", "paused", "queued"]
    result: Any
    error: Failure | None
    exception: BaseException | None
    attempt: int
    stages: list[str]
    progress: list[Report]
    log: list[str]
    outputs: dict[str, Output]
    saved_state: Any
    saved_files: dict[str, Path]
    checkpoints: int


def run_job(
    declared: JobType[Any],
    args: Any = None,
    inputs: Inputs | None = None,
    *,
    pause_at_checkpoint: Moment = None,
    cancel_at: Moment = None,
    interrupt_at: Moment = None,
    resume_from: Outcome | None = None,
) -> Outcome:
    """Run one attempt of a job and give everything that came of it; job errors are in the outcome, not raised.

    `args` is a dictionary or the declared dataclass; `resume_from` is the outcome of the attempt before. Raises
    InvalidArguments for args and inputs that the broker would refuse.
    """
    raw = jsonable(args, "args") if is_dataclass(args) else args
    flags = [
        _Flag(JobCancelled, cancel_at),
        _Flag(JobParked, pause_at_checkpoint),
        _Flag(JobInterrupted, interrupt_at),
    ]
    rehearsal = _Rehearsal(declared, declared.arguments.decode(raw), _checked(declared, inputs or {}), resume_from)
    return rehearsal.perform(declared, [flag for flag in flags if flag.moment is not None])


@dataclass(frozen=True)
class _Flag:
    stop: type[JobStopped]
    moment: Moment


class _Keeper(logging.Handler):
    """Keeps the log of the job as lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class _Rehearsal(JobSupport):
    """The home of a job under test: memory for what it says, a temporary directory for its files."""

    def __init__(
        self, declared: JobType[Any], args: Any, inputs: dict[str, Path | list[Path]], before: Outcome | None
    ) -> None:
        self._root = _new_directory()
        self._keeper = _Keeper()
        self._flags: list[_Flag] = []
        self._raised: type[JobStopped] | None = None
        self._interrupts = declared.declaration["cancel"] == "interrupt"
        self.stages: list[str] = []
        self.reports: list[Report] = []
        self.outputs: dict[str, Output] = {}
        self.state = before.saved_state if before else None
        self.files = dict(before.saved_files) if before else {}
        self.checkpoints = 0
        super().__init__(self._assignment(declared, args, inputs, before))

    def _assignment(
        self, declared: JobType[Any], args: Any, inputs: dict[str, Path | list[Path]], before: Outcome | None
    ) -> Assignment:
        workdir = self._root / "work"
        workdir.mkdir()
        return Assignment(
            id=str(uuid.uuid4()),
            attempt=before.attempt + 1 if before else 1,
            args=args,
            workdir=workdir,
            log=_logger(self._keeper),
            stages=declared.declaration["stages"],
            inputs=inputs,
            saved_state=self.state,
            saved_files={name: _copy(kept, workdir / name) for name, kept in self.files.items()},
        )

    # ---------------------------------------------------------------------------------------- the attempt

    def perform(self, declared: JobType[Any], flags: list[_Flag]) -> Outcome:
        """Run the body and sum up."""
        self._flags = flags
        result: Any = None
        failure: Failure | None = None
        exception: BaseException | None = None
        try:
            result = jsonable(declared.function(self), "the result")
        except JobStopped as stop:
            self._raised = type(stop)
        except (Exception, SystemExit) as error:
            self.log.exception("the job failed")
            failure, exception = failure_of(error), error
        if self._raised is JobCancelled:
            self.call_cancel_hooks()
        shutil.rmtree(self.workdir, ignore_errors=True)
        return self._outcome(result, failure, exception)

    def _outcome(self, result: Any, failure: Failure | None, exception: BaseException | None) -> Outcome:
        return Outcome(
            state=self._final_state(failure),
            result=result,
            error=failure,
            exception=exception,
            attempt=self.attempt,
            stages=self.stages,
            progress=self.reports,
            log=self._keeper.lines,
            outputs=self.outputs,
            saved_state=self.state,
            saved_files=self.files,
            checkpoints=self.checkpoints,
        )

    def _final_state(self, failure: Failure | None) -> Literal["completed", "failed", "cancelled", "paused", "queued"]:
        if self._raised is JobCancelled:
            return "cancelled"
        if failure is not None:
            return "failed"
        if self._raised is JobParked:  # also when the job swallowed it: its outcome is then held
            return "paused"
        return "queued" if self._raised is JobInterrupted else "completed"

    # ------------------------------------------------------------------------------ hooks of JobSupport

    def _emit(self, report: Report, *, stage_changed: bool) -> None:
        self.reports.append(report)
        if stage_changed and report.stage is not None:
            self.stages.append(report.stage)
            self._interrupt(report.stage)

    def _interrupt(self, stage: str) -> None:
        """Cancel in the middle of things, as it happens to jobs that do not ask for a checkpoint first."""
        if self._interrupts and any(f.stop is JobCancelled and f.moment == stage for f in self._flags):
            self._raise(JobCancelled)

    def _obey(self) -> None:
        self.checkpoints += 1
        for flag in self._flags:
            if flag.moment == self.checkpoints or flag.moment in self.stages:
                self._raise(flag.stop)

    def _raise(self, stop: type[JobStopped]) -> None:
        self._raised = stop
        raise stop

    def _checkpoint(self, state: Any, files: Mapping[str, Path]) -> None:
        place = self._root / "saved" / str(self.checkpoints)
        self.files |= {name: _copy(path, place / name) for name, path in files.items()}
        self.state = state

    def _save_output(self, name: str, path: Path, media_type: str) -> None:
        self.outputs[name] = Output(_copy(path, self._root / "outputs" / name), media_type)


_DIRECTORIES: list[TemporaryDirectory[str]] = []
"""Kept to the end of the process, which removes them, so that a test may hold on to any file of an outcome."""


def _new_directory() -> Path:
    _DIRECTORIES.append(TemporaryDirectory(prefix="longshore-test-"))
    return Path(_DIRECTORIES[-1].name)


def _copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def _logger(keeper: logging.Handler) -> logging.Logger:
    """Make a logger of this run alone that still shows up in what a test runner captures."""
    logger = logging.Logger("longshore.job", logging.DEBUG)  # noqa: LOG001 - not registered: one per run
    logger.parent = logging.getLogger("longshore.job")
    logger.addHandler(keeper)
    return logger


# ------------------------------------------------------------------------------------------- the inputs


def _checked(declared: JobType[Any], inputs: Inputs) -> dict[str, Path | list[Path]]:
    """Refuse what the broker would refuse, and give paths."""
    known: dict[str, dict[str, Any]] = declared.declaration["inputs"]
    problems = [FieldProblem(f"inputs.{name}", "is not a known input") for name in inputs if name not in known]
    problems += [
        FieldProblem(f"inputs.{name}", "is required")
        for name, entry in known.items()
        if entry["required"] and name not in inputs
    ]
    if problems:
        raise InvalidArguments(problems)
    return {name: _paths(name, given, multiple=known[name]["multiple"]) for name, given in inputs.items()}


def _paths(name: str, given: str | Path | Sequence[str | Path], *, multiple: bool) -> Path | list[Path]:
    paths = [Path(given)] if isinstance(given, str | Path) else [Path(one) for one in given]
    missing = [path for path in paths if not path.is_file()]
    if missing or (len(paths) != 1 and not multiple):
        reason = f"{missing[0]} is no file" if missing else "takes one file"
        raise InvalidArguments([FieldProblem(f"inputs.{name}", reason)])
    resolved = [path.resolve() for path in paths]
    return resolved if multiple else resolved[0]
