"""The one error tree: a class's docstring is its title for people, `code` its stable name, `status` its HTTP status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldProblem:
    """What is wrong with one field of the input: its path, what is wrong, and what was expected."""

    field: str
    message: str
    expected: str = ""


class LongshoreError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str = "", *, problems: Sequence[FieldProblem] = ()) -> None:
        self.title = (type(self).__doc__ or "").strip()
        self.detail = detail or self.title
        self.problems = tuple(problems)
        super().__init__(self.detail)


class InvalidInput(LongshoreError):
    """The request is not valid."""

    code = "invalid-input"
    status = 422


class KeyReused(LongshoreError):
    """This Idempotency-Key was used before with another body."""

    code = "idempotency-key-reused"
    status = 422


class NotAuthenticated(LongshoreError):
    """Valid credentials are required."""

    code = "not-authenticated"
    status = 401


class NotPermitted(LongshoreError):
    """These credentials do not permit this."""

    code = "not-permitted"
    status = 403


class NotFound(LongshoreError):
    """There is no such thing here."""

    code = "not-found"
    status = 404


class NotPossible(LongshoreError):
    """This is not possible from the present state."""

    code = "not-possible"
    status = 409


class AlreadyExists(LongshoreError):
    """Something of that name exists already."""

    code = "already-exists"
    status = 409


class StaleExecution(LongshoreError):
    """This execution no longer holds the job; its writes are not accepted."""

    code = "stale-execution"
    status = 409


class EditConflict(LongshoreError):
    """The job was changed by somebody else meanwhile."""

    code = "edit-conflict"
    status = 412


class TooLarge(LongshoreError):
    """The input is larger than allowed."""

    code = "too-large"
    status = 413


class TooMany(LongshoreError):
    """Too many at once; try again later."""

    code = "too-many"
    status = 503


class Unavailable(LongshoreError):
    """The database cannot be reached now."""

    code = "unavailable"
    status = 503


class OutcomeUnknown(Unavailable):
    """The database was lost in the moment of the change; see whether it was made before asking again."""

    code = "outcome-unknown"


class BrokerUnavailable(LongshoreError):
    """The broker cannot be reached now."""

    code = "broker-unavailable"
    status = 503


class ConfigurationError(LongshoreError):
    """A setting is wrong, so nothing was started."""

    code = "configuration"
    status = 500
