"""Reading the log of a job, as it stands or while it grows."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, TypedDict

from longshore.client.problems import Unavailable
from longshore.client.retrying import Deadline, Outage
from longshore.client.streaming import Feed, Hint, Message
from longshore.client.transport import Call, Transport
from longshore.client.waiting import OUTAGE, Snapshots
from longshore.models import FINAL_STATES, Job


class LogChoice(TypedDict, total=False):
    """Which log: of which attempt (none: the latest), of which stream (none: all), only how many last lines."""

    attempt: int | None
    stream: str | None
    tail: int | None


class AttemptLog:
    """The log of one attempt; what was read is not read again."""

    def __init__(self, transport: Transport, job_id: str, choice: LogChoice) -> None:
        self._transport = transport
        self._path = f"jobs/{job_id}/logs"
        self._choice = choice
        self._offset: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._ended = False

    def present(self) -> Iterator[str]:
        """Give what there is now, piece by piece."""
        while piece := self._next_piece():
            yield piece

    def followed(self) -> Iterator[str]:
        """Give what there is and what comes, until the attempt has ended."""
        outage = Outage(OUTAGE)
        feed = Feed(self._transport, self._path, Deadline(None), self._parameters() | {"follow": "true"})
        for message in feed:
            if message is Hint.TICK:
                yield from self._patiently(outage)
                feed.last_id = None if self._offset is None else str(self._offset)
            elif isinstance(message, Message):
                yield from self._told(message)
            if self._ended:
                return

    def _patiently(self, outage: Outage) -> Iterator[str]:
        try:
            yield from self.present()
        except Unavailable as error:
            outage.bear(error)
        else:
            outage.is_over()

    def _told(self, message: Message) -> Iterator[str]:
        self._ended = message.event == "end"
        if message.data.get("text"):
            self._offset = message.data["offset"]
            yield message.data["text"]

    def _next_piece(self) -> str:
        response = self._transport.send(Call("GET", self._path, self._parameters(), headers={"Accept": "text/plain"}))
        self._offset = int(response.headers.get("X-Next-Offset", 0))
        self._ended = response.headers.get("X-Log-Ended") == "true" and not response.content
        return self._decoder.decode(response.content)

    def _parameters(self) -> dict[str, Any]:
        if self._offset is None:
            return dict(self._choice)
        return {**self._choice, "tail": None, "offset": self._offset}


def followed_to_the_end(transport: Transport, job_id: str, choice: LogChoice) -> Iterator[str]:
    """Give the log of the attempt chosen, or of the latest and all that follow, until the job is final."""
    if choice.get("attempt") is not None:
        yield from AttemptLog(transport, job_id, choice).followed()
        return
    job = _with_attempt_after(transport, job_id, 0)
    while job.attempt:
        yield from AttemptLog(transport, job_id, {**choice, "attempt": job.attempt}).followed()
        after, choice = job.attempt, {**choice, "tail": None}
        job = _with_attempt_after(transport, job_id, after)
        if job.attempt == after:
            return


def _with_attempt_after(transport: Transport, job_id: str, attempt: int) -> Job:
    """Wait until the job is claimed again, or is final and never will be."""
    job = Job()
    for job in Snapshots(transport, job_id, Deadline(None), FINAL_STATES):
        if job.attempt > attempt:
            break
    return job
