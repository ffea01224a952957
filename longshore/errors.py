"""The errors that job code raises, and those that tell an author what is wrong with a job type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Category = Literal["SYSTEM", "DATA", "ALGORITHM"]
"""Where the cause lies: in the machines (worth a retry), in the input, or in the computation itself."""


class LongshoreError(Exception):
    """Root of the errors that this package raises."""


# ------------------------------------------------------------------------------------ raised by job code


class JobError(LongshoreError):
    """Ends a job as failed under a name of its own.

    `name` is short and stable, for programs (`bad-fasta`); `message` is for people. `retry=None` leaves the
    decision to the category: SYSTEM is tried again while the budget lasts, DATA and ALGORITHM are not.
    `details` is any JSON that helps to find the cause.
    """

    def __init__(
        self,
        name: str,
        message: str = "",
        category: Category = "ALGORITHM",
        *,
        retry: bool | None = None,
        details: Any = None,
    ) -> None:
        super().__init__(message or name)
        self.name = name
        self.message = message or name
        self.category = category
        self.retry = category == "SYSTEM" if retry is None else retry
        self.details = details


class FieldProblem(NamedTuple):
    """One thing that is wrong in a document: where, what, and what would be right."""

    field: str
    message: str
    expected: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class InvalidArguments(JobError):
    """The args of a job do not fit its job type; `problems` names every field that is wrong."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        details = [problem._asdict() for problem in problems]
        super().__init__("invalid-args", "; ".join(map(str, problems)), "DATA", details=details)
        self.problems = tuple(problems)


# ------------------------------------------------------------- raised through job code by a control flag


class JobStopped(BaseException):
    """Leaves the body of a job because a flag asks for it; job code lets it pass and only tidies up.

    Not an `Exception`, so that an `except Exception` in job code does not swallow it.
    """


class JobCancelled(JobStopped):
    """The job was cancelled."""


class JobParked(JobStopped):
    """The job was paused: it goes on from its last checkpoint, anywhere, when it is resumed."""


class JobInterrupted(JobStopped):
    """The worker gives the job back, because it drains or has lost its lease; the attempt is not burnt."""


# ---------------------------------------------------------------------------------- mistakes of an author


class InvalidDeclaration(LongshoreError, ValueError):
    """A job type is declared wrongly."""


class JobModuleError(LongshoreError):
    """A module of job types cannot be loaded."""


class UndeclaredStage(LongshoreError, ValueError):
    """A job named a stage that its job type does not declare."""

    def __init__(self, stage: str, declared: Sequence[str]) -> None:
        known = ", ".join(declared) if declared else "none; add stages=[...] to @job_type"
        super().__init__(f"stage {stage!r} is not declared by this job type (declared: {known})")


class NotJson(LongshoreError, TypeError):
    """A value that must be stored as JSON holds something that JSON cannot express."""


# -------------------------------------------------------------------------- how a failure is recorded


class Failure(NamedTuple):
    """What is recorded of an exception that ended an attempt."""

    name: str
    title: str
    category: Category
    message: str
    retry: bool
    details: Any = None


def failure_of(error: BaseException) -> Failure:
    """Say how an exception that left job code is recorded, and whether another attempt may help.

    An exception that nobody named counts as SYSTEM: a full disk or a lost connection is worth a retry.
    """
    if isinstance(error, JobError):
        title = error.name.replace("-", " ").replace("_", " ").capitalize()
        return Failure(error.name, title, error.category, error.message, error.retry, error.details)
    name = type(error).__name__
    return Failure(name, name, "SYSTEM", str(error) or name, retry=True)
