"""A command's execution: what the command runner reads and tells, and what its outcome means for the job."""

from __future__ import annotations

import logging
import mimetypes
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from longshore.errors import UndeclaredStage
from longshore.progress import ProgressMeter, Report
from shared.execute import Completed, End, Failed, Interrupted, Parked, Stopped
from worker import inputs
from worker.desk import Desk
from worker.joblog import logging_to
from worker.runners.command import CommandError, CommandExecution, CommandOutcome, run_command
from worker.slots import Flag, Slot

SPARE = 10.0
"""seconds beyond the time limit and the grace after which the agent ends a command that its runner has not ended"""


class CommandHome:
    """The runner's view of one execution."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        claimed = desk.claimed
        self.job_id = str(claimed.lease.job_id)
        self.attempt = claimed.lease.attempt
        self.args: Mapping[str, Any] = claimed.args
        self.workdir = desk.workdir
        self.job_url = f"{desk.settings.public_url}/api/v1/jobs/{self.job_id}"
        self.job_token = claimed.token or ""
        self.slot: Slot = desk.slot
        self._stages: Sequence[str] = claimed.declaration.get("stages") or ()
        self._meter = ProgressMeter(self._stages)

    @cached_property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The input files, by the inputs' names."""
        return inputs.fetch(self._desk)

    def stage(self, name: str) -> None:
        """Takes a stage; where none are declared, any name will do."""
        try:
            report = self._meter.enter(name) if self._stages else Report(stage=name)
        except UndeclaredStage as error:
            self.write_log("log", f"{error}\n".encode())
            return
        self._desk.ledger.report(report, stage_changed=True)
        if name == self._desk.claimed.pause_at:
            self._desk.ledger.pause_here(name)

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Takes what is done, of how much."""
        self._desk.ledger.report(self._meter.count(done, total, message), stage_changed=False)

    def message(self, text: str) -> None:
        """Takes what the command says it is at."""
        self._desk.ledger.report(self._meter.say(text), stage_changed=False)

    def write_log(self, stream: str, data: bytes) -> None:
        """Takes a piece of output."""
        self._desk.ledger.write(stream, data)

    def save_output(self, name: str, path: Path) -> None:
        """Makes a file an output of the job."""
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self._desk.ledger.save_output(name, path, media_type)


def run(desk: Desk) -> End:
    """Performs one execution of a command and says how it ended."""
    claimed, declaration = desk.claimed, desk.claimed.declaration
    grace = declaration.get("grace", desk.settings.grace_kill)
    execution = CommandExecution(
        command=declaration["command"],
        args_schema=declaration.get("args") or {},
        timeout=claimed.timeout,
        grace=grace,
        run_as=desk.settings.run_as,
        search_path=os.pathsep.join(os.get_exec_path()),  # who starts the worker says where its programs are
    )
    home = CommandHome(desk)
    with logging_to(lambda line: home.write_log("log", line), logging.WARNING):
        _ = home.inputs  # fetched before the time of the command counts
        desk.slot_body(claimed.timeout + grace + SPARE if claimed.timeout else None)
        outcome = run_command(execution, home)
    return end_of(outcome)


def end_of(outcome: CommandOutcome) -> End:
    """What the end of a command means: one that a flag has ended did not fail."""
    if outcome.error is None:
        return Completed(exit_code=outcome.exit_code)
    if outcome.flag is Flag.CANCEL:
        return Stopped()
    if outcome.flag is Flag.PAUSE_PARK:
        return Parked()
    if outcome.flag in {Flag.DRAIN, Flag.STALE} and not outcome.timed_out:
        return Interrupted()
    error = _error(outcome.error, "timed-out" if outcome.timed_out else outcome.error.name)
    return Failed(error, outcome.error.retry, outcome.exit_code, outcome.signal)


def _error(error: CommandError, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": error.title,
        "category": error.category,
        "message": error.message,
        "details": dict(error.details),
    }
