"""The Job protocol: everything that the code of a job may use of the job it runs for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # The default lets authors who do not care about the type of their args write plain `Job`.
    ArgsT_co = TypeVar("ArgsT_co", covariant=True, default=Any)
    Hook = TypeVar("Hook", bound=Callable[[], object])
    Item = TypeVar("Item")
else:
    from typing import TypeVar

    ArgsT_co = TypeVar("ArgsT_co", covariant=True)
    Hook = TypeVar("Hook")
    Item = TypeVar("Item")

Files = Mapping[str, str | Path] | Sequence[str | Path]
"""Files of a checkpoint: paths in the work directory, or name -> path."""


class CommandRun(NamedTuple):
    """How a program ended that a job ran: its exit code (-9: killed by signal 9) and its last lines."""

    exit_code: int
    tail: list[str]


class Job(Protocol[ArgsT_co]):
    """One job, as its own code sees it.

    The same object serves on a worker and under `longshore.testing`. `Job[CountArgs]` names the type of
    `args` for type checkers; a plain `Job` will do.
    """

    @property
    def id(self) -> str:
        """Id of the job, the same in every attempt."""

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1; grows by one whenever the job is started or resumed."""

    @property
    def args(self) -> ArgsT_co:
        """Validated args: the declared dataclass, else a dictionary."""

    @property
    def inputs(self) -> Mapping[str, Path | list[Path]]:
        """Input files by their declared names; a list for an input declared `multiple`. Read only."""

    @property
    def workdir(self) -> Path:
        """Private, empty directory of this attempt, but for the checkpointed files; removed afterwards."""

    @property
    def log(self) -> logging.Logger:
        """Log that is kept with the job and readable while it runs."""

    @property
    def saved_state(self) -> Any:
        """State given to the last checkpoint of an earlier attempt; None when there was none."""

    @property
    def saved_files(self) -> Mapping[str, Path]:
        """Files of earlier checkpoints by name, back in place at `workdir / name`."""

    def input(self, name: str) -> Path:
        """Give the path of an input that is one file. Raises KeyError when it was not given."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Say that a declared stage begins; used with `with`, also that it is done at the end.

        A stage is recorded at once. Raises UndeclaredStage for a name missing in the declaration.
        """

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how much of the stage is done; `total` is remembered within the stage. Cheap: call it often."""

    def message(self, text: str) -> None:
        """Show a line about what happens now."""

    def track(self, iterable: Iterable[Item], total: int | None = None) -> Iterator[Item]:
        """Go through the items and report progress; `total` is needed only where `len()` does not work."""

    def checkpoint(self, state: Any = None, files: Files = ()) -> None:
        """Let a pause or cancel act here, and save what the job needs to go on from here.

        `state` (JSON) replaces the saved state, and `files` are added to the saved files: one given again
        under its name replaces the older one. Files are stored before the state counts, so both always fit
        together. Without arguments nothing is saved and the call costs microseconds.

        Raises JobCancelled, JobParked or JobInterrupted when the job has to stop: let them pass.
        """

    def save_output(self, name: str, path: str | Path, media_type: str | None = None) -> None:
        """Keep a file (relative to the work directory) as an output of the job.

        Others see it at once; it belongs to the result when the job completes. A second one of the same name
        replaces the first.
        """

    def on_cancel(self, hook: Hook) -> Hook:
        """Have a function called on cancel, e.g. to end what runs elsewhere; a decorator too."""

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        cwd: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], object] | None = None,
    ) -> CommandRun:
        """Run a program in the work directory; every line it writes goes to the log (and to `on_line`).

        No shell: `argv` is the program and its arguments. The program ends with the job, whatever happens.
        With `check`, an exit code other than 0 raises JobError `exit-<n>` (ALGORITHM), and death by a signal
        `signal-<n>` (SYSTEM); a missing program is `program-not-found` (SYSTEM).
        """
