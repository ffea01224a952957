"""The errors of the client, made from the problem documents (RFC 9457) of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from longshore.errors import FieldProblem, LongshoreError
from longshore.models import Job


class ClientError(LongshoreError):
    """Something that was asked of the broker did not succeed.

    `code` is stable and for programs, `title` and `detail` are for people, `status` is the HTTP status (None
    when there was no answer), and `problems` names each field that is wrong.
    """

    code: ClassVar[str] = "error"

    def __init__(
        self,
        detail: str,
        *,
        title: str = "",
        status: int | None = None,
        code: str | None = None,
        problems: tuple[FieldProblem, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.title = title or (type(self).__doc__ or "").strip().splitlines()[0]
        self.detail = detail
        self.status = status
        self.problem_code = code or self.code
        self.problems = problems

    def __str__(self) -> str:
        """The detail, and below it one line for each field that is wrong."""
        lines = [self.detail]
        for problem in self.problems:
            expected = f" (expected: {problem.expected})" if problem.expected else ""
            lines.append(f"  {problem.field}: {problem.message}{expected}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The error as the CLI prints it in JSON mode."""
        return {
            "code": self.problem_code,
            "title": self.title,
            "detail": self.detail,
            "status": self.status,
            "errors": [problem._asdict() for problem in self.problems],
        }


class NotFound(ClientError):
    """There is no such thing, or it belongs to somebody else."""

    code = "not-found"


class Conflict(ClientError):
    """Not possible from the present state."""

    code = "conflict"


class InvalidInput(ClientError):
    """The request is not valid; `problems` says what is wrong where."""

    code = "invalid-input"

    @property
    def fields(self) -> dict[str, str]:
        """Field path (for example `args.k`) -> what is wrong with it."""
        return {problem.field: problem.message for problem in self.problems}


class NotAuthenticated(ClientError):
    """The broker does not know these credentials."""

    code = "not-authenticated"


class NotPermitted(ClientError):
    """These credentials do not permit this."""

    code = "not-permitted"


class Unavailable(ClientError):
    """The broker cannot be reached, or cannot answer now."""

    code = "unavailable"


class ServerFault(ClientError):
    """The broker failed to handle the request."""

    code = "server-fault"


class Damaged(ClientError):
    """What was downloaded is not what the broker stored."""

    code = "damaged"


class WaitTimeout(ClientError, TimeoutError):
    """The time to wait is over; the job goes on."""

    code = "wait-timeout"


class JobEnded(ClientError):
    """A job ended without a result; `job` is its last state."""

    code = "job-ended"

    def __init__(self, detail: str, job: Job) -> None:
        super().__init__(detail)
        self.job = job


class JobFailed(JobEnded):
    """The job failed; `error` says why."""

    code = "job-failed"

    def __init__(self, job: Job) -> None:
        self.error = job.error
        cause = f"{job.error.name}: {job.error.message}" if job.error else "no cause was recorded"
        super().__init__(f"Job {job.number} ({job.id}) failed: {cause}", job)


class JobWasCancelled(JobEnded):
    """The job was cancelled."""

    code = "job-cancelled"

    def __init__(self, job: Job) -> None:
        super().__init__(f"Job {job.number} ({job.id}) was cancelled", job)


_BY_STATUS: Mapping[int, type[ClientError]] = {
    400: InvalidInput,
    401: NotAuthenticated,
    403: NotPermitted,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    412: Conflict,
    413: InvalidInput,
    415: InvalidInput,
    422: InvalidInput,
    428: Conflict,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def problem_error(status: int, document: Any) -> ClientError:
    """Make the error for an answer that is none of success; `document` may be anything a proxy sent."""
    kind = _BY_STATUS.get(status, ServerFault if status >= 500 else ClientError)  # noqa: PLR2004 - HTTP
    known: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
    title = str(known.get("title") or "")
    return kind(
        str(known.get("detail") or title or f"The broker answered with HTTP status {status}"),
        title=title,
        status=status,
        code=known.get("code"),
        problems=_field_problems(known.get("errors")),
    )


def _field_problems(errors: Any) -> tuple[FieldProblem, ...]:
    if not isinstance(errors, list):
        return ()
    return tuple(
        FieldProblem(str(each.get("field", "")), str(each.get("message", "")), str(each.get("expected") or ""))
        for each in errors
        if isinstance(each, Mapping)
    )
