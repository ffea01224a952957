"""What one check found, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Status(StrEnum):
    """How bad it is; only FAIL makes the command's exit status 1."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    check: str
    status: Status
    detail: str
    remedy: str = ""

    def shown(self) -> dict[str, str]:
        """As JSON."""
        return asdict(self)


def fine(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, detail)


def warn(check: str, detail: str, remedy: str) -> Finding:
    """It works, but somebody should know."""
    return Finding(check, Status.WARN, detail, remedy)


def fail(check: str, detail: str, remedy: str) -> Finding:
    """It does not work, or not for long."""
    return Finding(check, Status.FAIL, detail, remedy)
