"""What the runner of commands is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from worker.slots import Flag

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SlotReader(Protocol):
    """What the runner reads from the slot of its pool child."""

    @property
    def flag(self) -> Flag:
        """What is asked of this execution."""

    def stopped_ns(self, now: int) -> int:
        """For how long it has been suspended until `now`, in nanoseconds."""


class CommandContext(Protocol):
    """One execution as its runner sees it: what it is about, and where its word goes."""

    @property
    def job_id(self) -> str:
        """The job's public id."""

    @property
    def attempt(self) -> int:
        """The attempt."""

    @property
    def args(self) -> Mapping[str, Any]:
        """The job's args."""

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The input files, by the inputs' names."""

    @property
    def workdir(self) -> Path:
        """A fresh directory of this execution's own."""

    @property
    def job_url(self) -> str:
        """Where the job is found over HTTP."""

    @property
    def job_token(self) -> str:
        """The execution's own credential."""

    @property
    def slot(self) -> SlotReader:
        """The slot of the pool child."""

    def stage(self, name: str) -> None:
        """Takes the stage that the command has come to."""

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Takes what is done, of how much."""

    def message(self, text: str) -> None:
        """Takes what the command says it is at."""

    def write_log(self, stream: str, data: bytes) -> None:
        """Takes a piece of output; `stream` is stdout, stderr, or log for remarks of the runner."""

    def save_output(self, name: str, path: Path) -> None:
        """Makes a file an output of the job."""


@dataclass(frozen=True)
class CommandExecution:
    """What to run, and within which bounds."""

    command: Mapping[str, Any]
    """`argv`, `environment`, `exit_codes` and `limits` as the job type declares them"""
    args_schema: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    """seconds that it may run, time spent suspended not included; None for no limit"""
    grace: float = 13.0
    """seconds from SIGTERM to SIGKILL when its time is up"""
    run_as: str = ""
    """the system user to run as; empty for the worker's own"""
    search_path: str = SEARCH_PATH
    """where programs are looked for, unless the command's environment says otherwise"""


@dataclass(frozen=True)
class CommandError:
    """Why a command counts as failed."""

    name: str
    title: str
    category: str
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def retry(self) -> bool:
        """Whether another attempt may help: only the system was at fault."""
        return self.category == "SYSTEM"


@dataclass(frozen=True)
class CommandOutcome:
    """How a command ended; `error` is None when it completed."""

    exit_code: int | None = None
    signal: int | None = None
    error: CommandError | None = None
    timed_out: bool = False
    flag: Flag = Flag.NONE
    """what was asked of the execution when the command had ended: it may have ended because of that"""
    max_rss_kib: int = 0
    cpu_seconds: float = 0.0
