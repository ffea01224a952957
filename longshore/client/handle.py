"""A handle on one job: ask, wait, steer, fetch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any, Literal, Unpack, overload

from longshore.client.logs import AttemptLog, LogChoice, followed_to_the_end
from longshore.client.problems import JobFailed, JobWasCancelled, NotFound, WaitTimeout
from longshore.client.retrying import Deadline
from longshore.client.storage import Files, target_below
from longshore.client.transport import Call, Transport
from longshore.client.waiting import PAGE, History, Snapshots, wait_until
from longshore.models import FINAL_STATES, Execution, Job, StatusRecord, StoredFile, Why

PauseMode = Literal["park", "suspend"]


class JobHandle:
    """One job of the broker. `job` is its state as it was last seen; `status()` asks anew."""

    def __init__(self, transport: Transport, job: Job) -> None:
        self._transport = transport
        self.job = job

    @property
    def id(self) -> str:
        """The job's public id."""
        return self.job.id

    @property
    def number(self) -> int:
        """The job's number: short, in order of acceptance."""
        return self.job.number

    # ---------------------------------------------------------------------------------------- asking

    def status(self) -> Job:
        """Ask for the job's present state."""
        return self._seen(self._transport.get(self._path()))

    def why(self) -> Why:
        """Ask why the job is not running, or what it waits for."""
        return Why.read(self._transport.get(self._path("why")))

    def records(self, after: int = 0) -> Iterator[StatusRecord]:
        """Go through the history as it stands, from the record after number `after`."""
        full = True
        while full:
            page = self._transport.get(self._path("status-records"), {"after": after, "limit": PAGE})["items"]
            yield from map(StatusRecord.read, page)
            full = len(page) == PAGE
            after = page[-1]["seq"] if page else after

    def executions(self) -> list[Execution]:
        """Give each run of the job on a worker."""
        return [Execution.read(each) for each in self._transport.get(self._path("executions"))["items"]]

    # --------------------------------------------------------------------------------------- waiting

    def wait(
        self,
        timeout: float | None = None,
        *,
        until: str | Collection[str] = FINAL_STATES,
        progress: bool | None = None,
    ) -> Job:
        """Wait until the job is final (or in a state of `until`, for example "paused") and give it.

        A failed job is given like a completed one; `result()` raises instead. By default a progress bar is
        shown where stderr is a terminal. Raises WaitTimeout after `timeout` seconds.
        """
        states = {until} if isinstance(until, str) else set(until)
        self.job = wait_until(self._transport, self.job, states, timeout, progress=progress)
        return self.job

    def result(self, timeout: float | None = None, *, progress: bool | None = None) -> Any:
        """Wait for the end and give the job's result. Raises JobFailed, JobWasCancelled, WaitTimeout."""
        job = self.wait(timeout, progress=progress)
        if job.state == "failed":
            raise JobFailed(job)
        if job.state == "cancelled":
            raise JobWasCancelled(job)
        return job.result

    def events(self, *, after: int = 0, timeout: float | None = None) -> Iterator[StatusRecord]:
        """Go through the history, live, until the job is final: each record once and in order. Raises WaitTimeout."""
        yield from History(self._transport, self.id, after, Deadline(timeout))

    def snapshots(self, timeout: float | None = None) -> Iterator[Job]:
        """Give the job each time it has changed, until it is final. Raises WaitTimeout."""
        for job in Snapshots(self._transport, self.id, Deadline(timeout), FINAL_STATES):
            self.job = job
            yield job
        if not self.job.is_final:
            raise WaitTimeout(f"Job {self.number} is {self.job.shown_state} after {timeout:g} s; it goes on")

    @overload
    def logs(self, *, follow: Literal[False] = False, **choice: Unpack[LogChoice]) -> str: ...

    @overload
    def logs(self, *, follow: Literal[True], **choice: Unpack[LogChoice]) -> Iterator[str]: ...

    def logs(self, *, follow: bool = False, **choice: Unpack[LogChoice]) -> str | Iterator[str]:
        """Give the log as text; with `follow` an iterator over its pieces, live, until the job is final.

        Without `attempt` it is the log of the latest one, and with `follow` of those after it too; `stream` is
        stdout, stderr or log; `tail` keeps only so many last lines.
        """
        if follow:
            return followed_to_the_end(self._transport, self.id, choice)
        return "".join(AttemptLog(self._transport, self.id, choice).present())

    # -------------------------------------------------------------------------------------- steering

    def pause(self, *, mode: PauseMode | None = None, reason: str | None = None) -> Job:
        """Ask for a pause: `park` saves and frees the slot, `suspend` stops the process in place.

        The answer may still be running with a flag; `wait(until="paused")` waits for the worker's word.
        """
        return self._act("pause", reason=reason, mode=mode)

    def resume(self, *, reason: str | None = None) -> Job:
        """Let a paused job go on, or take a pause back that is not acknowledged yet."""
        return self._act("resume", reason=reason)

    def cancel(self, reason: str | None = None) -> Job:
        """Cancel the job. Raises Conflict when it is final already."""
        return self._act("cancel", reason=reason)

    def rerun(self, *, reason: str | None = None) -> Job:
        """Run a failed or cancelled job again."""
        return self._act("rerun", reason=reason)

    def submit(self, *, reason: str | None = None) -> Job:
        """Submit a draft."""
        return self._act("submit", reason=reason)

    def edit(self, **changes: Any) -> Job:
        """Change fields of a job that has not started, for example `priority=10`."""
        return self._seen(self._transport.send(Call("PATCH", self._path(), json=changes)).json())

    def remove(self) -> None:
        """Delete a job that is final, with its history and files."""
        self._transport.delete(self._path())

    # ----------------------------------------------------------------------------------------- files

    def files(self) -> list[StoredFile]:
        """Give the job's inputs and outputs."""
        return list(Files(self._transport).list(job=self.id))

    def download(
        self, directory: Path | str = ".", names: Iterable[str] | None = None, *, progress: bool | None = None
    ) -> list[Path]:
        """Download all outputs, or those named, and give their paths.

        What is there already is kept, what was begun is continued, and everything is checked against its
        SHA-256. Raises NotFound for a name that is no output, Damaged for a wrong checksum.
        """
        outputs = {each.name: each for each in self.files() if each.role == "output"}
        wanted = list(outputs) if names is None else list(names)
        if missing := [name for name in wanted if name not in outputs]:
            known = ", ".join(sorted(outputs)) or "none"
            raise NotFound(f"Job {self.number} has no output {', '.join(missing)} (it has: {known})")
        store, below = Files(self._transport), Path(directory)
        return [store.download(outputs[name], target_below(below, name), progress=progress) for name in wanted]

    # ------------------------------------------------------------------------------------- internals

    def _path(self, part: str = "") -> str:
        return f"jobs/{self.id}/{part}" if part else f"jobs/{self.id}"

    def _act(self, action: str, **body: Any) -> Job:
        """Ask for an action. Asking twice is asking once, but for a rerun of a job that fails at once."""
        given = {name: value for name, value in body.items() if value is not None}
        return self._seen(self._transport.post(self._path(action), given, repeatable=action != "rerun"))

    def _seen(self, document: dict[str, Any]) -> Job:
        self.job = Job.read(document)
        return self.job

    def __repr__(self) -> str:
        """Show which job it is and where it was last seen."""
        return f"<JobHandle {self.number} {self.job.type} {self.job.shown_state} {self.job.progress:.0%} id={self.id}>"

    def _repr_html_(self) -> str:
        """Show the job as a small table in notebooks."""
        job = self.job
        rows = {
            "job": f"{job.number} ({job.id})",
            "type": f"{job.type} {job.version}",
            "state": job.shown_state,
            "stage": job.stage or "",
            "message": job.message,
            "error": f"{job.error.name}: {job.error.message}" if job.error else "",
        }
        cells = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in rows.items() if text)
        meter = f'<progress value="{job.progress:.4f}" max="1"></progress> {job.progress:.0%}'
        return f"<table>{cells}<tr><th>progress</th><td>{meter}</td></tr></table>"
