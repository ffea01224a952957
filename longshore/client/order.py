"""What a submission says, in the form the API wants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypedDict, runtime_checkable

from longshore.jsonable import jsonable


class OrderFields(TypedDict, total=False):
    """The wishes that may go with a job; durations are seconds or timedeltas."""

    version: str
    title: str
    labels: list[str]
    priority: int
    queue: str
    not_before: datetime | timedelta | str
    timeout: float | timedelta
    max_attempts: int
    backoff: Mapping[str, float]
    pause_at: str
    draft: bool
    expires_after: float | timedelta
    extra: Mapping[str, Any]


@runtime_checkable
class Declared(Protocol):
    """A job type as `@job_type` makes it; it may stand for its name and version."""

    @property
    def declaration(self) -> Mapping[str, Any]:
        """The JSON that declares it."""


def order_document(
    type: str | Declared, args: Any, inputs: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the body of a submission; None means that the job type's default holds."""
    document: dict[str, Any] = {"args": {} if args is None else jsonable(args, "args")}
    if isinstance(type, str):
        document["type"] = type
    else:
        document |= {"type": type.declaration["name"], "version": type.declaration["version"]}
    if inputs:
        document["inputs"] = dict(inputs)
    document |= {name: _plain(value) for name, value in fields.items() if value is not None}
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return _iso_duration(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return jsonable(value, "the order")


def _iso_duration(value: timedelta) -> str:
    return f"PT{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "S"
