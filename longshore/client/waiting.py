"""Watching one job: its snapshots as they change, its history as it grows, and waiting for a state."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

from longshore.client.bars import Bar, bar
from longshore.client.problems import Unavailable, WaitTimeout
from longshore.client.retrying import Deadline, Outage
from longshore.client.streaming import Feed, Hint, Message
from longshore.client.transport import Call, Transport
from longshore.models import FINAL_STATES, Job, StatusRecord

SHOWN_AT_MOST_EVERY = 0.2
"""seconds between two looks at a job that reports faster than anybody reads"""
OUTAGE = 300.0
"""seconds for which a watcher rides out a broker that cannot be reached"""
PAGE = 1000


class Snapshots:
    """A job each time it has changed. Ends after the first in one of the states of `until`, or at the deadline."""

    def __init__(self, transport: Transport, job_id: str, deadline: Deadline, until: Collection[str]) -> None:
        self._transport = transport
        self._path = f"jobs/{job_id}"
        self._deadline = deadline
        self._until = frozenset(until)
        self._etag: str | None = None
        self._rest = Deadline(0)
        self._outage = Outage(OUTAGE)

    def __iter__(self) -> Iterator[Job]:
        """Look at the job now, and whenever the broker says that something happened."""
        for message in chain([Hint.TICK], Feed(self._transport, f"{self._path}/events", self._deadline)):
            job = self._look(message)
            if job is not None:
                yield job
                if job.state in self._until or job.is_final:
                    return

    def _look(self, message: Message | Hint) -> Job | None:
        if isinstance(message, Message) and not (self._rest.passed or _is_weighty(message, self._until)):
            return None
        self._rest = Deadline(SHOWN_AT_MOST_EVERY)
        try:
            job = self._changed()
        except Unavailable as error:
            self._outage.bear(error)
            return None
        self._outage.is_over()
        return job

    def _changed(self) -> Job | None:
        headers = {"If-None-Match": self._etag} if self._etag else {}
        patience = min(self._transport.settings.patience, self._deadline.remaining())
        response = self._transport.send(Call("GET", self._path, headers=headers, patience=patience))
        self._etag = response.headers.get("ETag")
        return Job.read(response.json()) if response.is_success else None


def _is_weighty(message: Message, until: Collection[str]) -> bool:
    """Whether the message tells of a state that may end the watching: it is never skipped."""
    state = message.data.get("state")
    return state in until or state in FINAL_STATES


class History:
    """The status records of a job, each once and in order, the old ones first. Ends with the final one.

    Raises WaitTimeout when the deadline comes before it.
    """

    def __init__(self, transport: Transport, job_id: str, after: int, deadline: Deadline) -> None:
        self._transport = transport
        self._path = f"jobs/{job_id}"
        self._last = after
        self._deadline = deadline
        self._outage = Outage(OUTAGE)

    def __iter__(self) -> Iterator[StatusRecord]:
        """Take records from the stream; what it leaves out is asked for, since their numbers have no gaps."""
        for message in Feed(self._transport, f"{self._path}/events", self._deadline):
            try:
                is_over = self._is_over(message)  # asked before the records are read, so that none is missing
                for record in self._asked_for() if is_over else self._new(message):
                    self._last = record.seq
                    yield record
            except Unavailable as error:
                self._outage.bear(error)
                continue
            self._outage.is_over()
            if is_over:
                return
        raise WaitTimeout("The time to follow the job is over; it goes on")

    def _is_over(self, message: Message | Hint) -> bool:
        """Whether the job is final; the end that a message tells of may be an old one, before a rerun."""
        if message is Hint.BEAT or (isinstance(message, Message) and not _is_weighty(message, FINAL_STATES)):
            return False
        return Job.read(self._transport.get(self._path)).is_final

    def _new(self, message: Message | Hint) -> Iterator[StatusRecord]:
        if isinstance(message, Hint):
            return iter(()) if message is Hint.BEAT else self._asked_for()
        record = StatusRecord.read(message.data)
        if record.seq <= self._last:
            return iter(())
        return iter((record,)) if record.seq == self._last + 1 else self._asked_for()

    def _asked_for(self) -> Iterator[StatusRecord]:
        path = f"{self._path}/status-records"
        while True:
            page = self._transport.get(path, {"after": self._last, "limit": PAGE})["items"]
            yield from map(StatusRecord.read, page)
            if len(page) < PAGE:
                return


def wait_until(
    transport: Transport, job: Job, states: Collection[str], timeout: float | None, *, progress: bool | None
) -> Job:
    """Wait for one of `states` or a final one, and give the job. Raises WaitTimeout."""
    deadline = Deadline(timeout)
    with bar(_label(job), wanted=progress, total=1.0) as shown:
        for job in Snapshots(transport, job.id, deadline, states):  # noqa: B020, PLR1704 - the newest is what counts
            show_job(shown, job)
            if job.state in states or job.is_final:
                return job
    raise WaitTimeout(f"Job {job.number} is {job.shown_state} after {timeout:g} s of waiting; it goes on")


def show_job(shown: Bar, job: Job) -> None:
    """Move a bar to where the job is."""
    shown.show(1.0 if job.state == "completed" else job.progress, 1.0, _label(job))


def _label(job: Job) -> str:
    parts = [f"{job.type or 'job'} {job.number}", job.shown_state, job.stage or "", _count(job), job.message]
    return " · ".join(part for part in parts if part)


def _count(job: Job) -> str:
    if job.done is None:
        return ""
    return f"{job.done:g}" if job.total is None else f"{job.done:g}/{job.total:g}"
