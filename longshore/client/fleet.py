"""Queues and workers: what runs the jobs."""

from __future__ import annotations

from collections.abc import Iterator

from longshore.client.transport import Call, Transport
from longshore.models import Queue, Worker


class Queues:
    """The queues of the broker."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Iterator[Queue]:
        """Go through all queues."""
        return map(Queue.read, self._transport.get("queues")["items"])

    def pause(self, name: str, *, reason: str | None = None) -> None:
        """Start no more jobs of a queue; this needs the scope workers:control."""
        self._act(name, "pause", reason)

    def resume(self, name: str, *, reason: str | None = None) -> None:
        """Start the jobs of a queue again."""
        self._act(name, "resume", reason)

    def _act(self, name: str, action: str, reason: str | None) -> None:
        body = {} if reason is None else {"reason": reason}
        self._transport.send(Call("POST", f"queues/{name}/{action}", json=body))


class Workers:
    """The workers of the broker."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, absent: bool = False) -> Iterator[Worker]:
        """Go through the workers that are there, with `absent` also through those that are gone."""
        parameters = {"limit": 1000, "absent": "true" if absent else None}
        return map(Worker.read, self._transport.pages("workers", parameters))
