"""Exit codes, and how an error is told to people and to programs."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from longshore.models import Job


class Exit(IntEnum):
    """What the exit code of every command means."""

    OK = 0
    """It worked; with --wait or --exit-status: the job completed."""
    FAILURE = 1
    """It did not work; with --wait or --exit-status: the job failed."""
    CANCELLED = 2
    """The job was cancelled, you stopped the command with Ctrl-C, or the command line is wrong."""
    TIMEOUT = 3
    """The time to wait is over; the job goes on."""
    LOGIN = 4
    """The broker does not accept the credentials, or they do not permit this."""
    UNREACHABLE = 5
    """No broker is known, it cannot be reached, or it cannot answer now."""


_BY_STATE = {"completed": Exit.OK, "failed": Exit.FAILURE, "cancelled": Exit.CANCELLED}


class Stop(Exception):
    """Ends the command with an exit code; what had to be said has been said."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code)
        self.code = code


def exit_of(job: Job) -> Exit:
    """Give the exit code that tells how a job ended."""
    return _BY_STATE.get(job.state, Exit.FAILURE)


def report(error: Exception, *, as_json: bool) -> Exit:
    """Tell an error on stderr, and give the exit code for it."""
    code, document = _classified(error)
    if as_json:
        click.echo(json.dumps({"error": document}), err=True)
    elif isinstance(error, click.ClickException):
        error.show()
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
    return code


def _classified(error: Exception) -> tuple[Exit, dict[str, Any]]:
    # Imported here because nobody who gets no error needs it.
    from longshore.client import problems  # noqa: PLC0415 - keeps `longshore --help` fast
    from longshore.settings import NotConfigured  # noqa: PLC0415 - keeps `longshore --help` fast

    if isinstance(error, problems.ClientError):
        codes: list[tuple[type[Exception], Exit]] = [
            (problems.NotAuthenticated, Exit.LOGIN),
            (problems.NotPermitted, Exit.LOGIN),
            (problems.Unavailable, Exit.UNREACHABLE),
            (problems.WaitTimeout, Exit.TIMEOUT),
            (problems.JobWasCancelled, Exit.CANCELLED),
        ]
        return next((code for kind, code in codes if isinstance(error, kind)), Exit.FAILURE), error.as_json()
    if isinstance(error, click.ClickException):
        return Exit(min(error.exit_code, 2)), {
            "code": "usage",
            "title": "Wrong usage",
            "detail": error.format_message(),
        }
    if isinstance(error, NotConfigured):
        return Exit.UNREACHABLE, {
            "code": "not-configured",
            "title": "No broker is known",
            "detail": str(error),
        }
    return Exit.FAILURE, {"code": "local-error", "title": type(error).__name__, "detail": str(error)}
