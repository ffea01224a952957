"""Job types: what the broker can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from longshore.client.problems import NotFound
from longshore.client.transport import Call, Transport
from longshore.models import JobType


class JobTypes:
    """The job types of the broker."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Iterator[JobType]:
        """Go through all job types."""
        return map(JobType.read, self._transport.pages("job-types", {"limit": 1000}))

    def get(self, name: str, version: str | None = None) -> JobType:
        """Give one job type; without a version the newest. Raises NotFound."""
        if version is None:
            version = self._newest(name)
        return JobType.read(self._transport.get(f"job-types/{name}/{version}"))

    def define(self, declaration: Mapping[str, Any]) -> JobType:
        """Declare a command type; this needs the scope admin. Raises Conflict when there is one of that name."""
        return JobType.read(self._transport.post("job-types", dict(declaration), repeatable=False))

    def revise(self, name: str, version: str, changes: Mapping[str, Any]) -> JobType:
        """Give a command type a new revision, with other values for some fields; this needs the scope admin."""
        call = Call("PATCH", f"job-types/{name}/{version}", json=dict(changes))
        return JobType.read(self._transport.send(call).json())

    def remove(self, name: str, version: str) -> None:
        """Remove a type that has no jobs; this needs the scope admin."""
        self._transport.delete(f"job-types/{name}/{version}")

    def pause(self, name: str, version: str, *, reason: str | None = None) -> JobType:
        """Let its jobs wait: they are accepted but not claimed."""
        return self._act(name, version, "pause", reason)

    def resume(self, name: str, version: str, *, reason: str | None = None) -> JobType:
        """Let its jobs be claimed again."""
        return self._act(name, version, "resume", reason)

    def _act(self, name: str, version: str, action: str, reason: str | None) -> JobType:
        body = {} if reason is None else {"reason": reason}
        call = Call("POST", f"job-types/{name}/{version}/{action}", json=body)
        return JobType.read(self._transport.send(call).json())

    def _newest(self, name: str) -> str:
        versions = [each.version for each in self.list() if each.name == name]
        if not versions:
            raise NotFound(f"There is no job type {name!r}")
        return max(versions, key=_version_order)


def _version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order 2 before 10, and words after numbers."""
    parts = version.replace("-", ".").split(".")
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
