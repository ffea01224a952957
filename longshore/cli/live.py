"""The live picture of one job on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from longshore.cli.output import clean, length
from longshore.models import Job, StatusRecord

if TYPE_CHECKING:
    from longshore.client import Client, JobHandle

_STYLES = {
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
    "paused": "yellow",
    "running": "blue",
}
_MARKS = {
    "done": ("✓", "green"),
    "now": ("", "blue"),
    "stopped": ("✗", "red"),
    "held": ("‖", "yellow"),
    "ahead": ("·", "dim"),
}


@dataclass
class Stages:
    """When each stage began and ended, as the history tells."""

    names: list[str]
    times: dict[str, list[datetime | None]] = field(default_factory=dict)
    current: str | None = None

    def take(self, record: StatusRecord) -> None:
        """Note the stage that a record names; a stage that comes back begins anew."""
        if record.event == "rerun":
            self.times, self.current = {}, None
        if record.stage == self.current:
            return
        if self.current in self.times:
            self.times[self.current][1] = record.at
        self.current = record.stage
        if record.stage:
            self.times[record.stage] = [record.at, None]
            if record.stage not in self.names:
                self.names.append(record.stage)

    def status(self, name: str, job: Job) -> str:
        """Say how a stage is marked."""
        if name != job.stage:
            return "done" if name in self.times and self._is_before(name, job.stage) else "ahead"
        marks = {"completed": "done", "failed": "stopped", "cancelled": "stopped", "running": "now"}
        return marks.get(job.state, "held")

    def _is_before(self, name: str, current: str | None) -> bool:
        return current is None or self.names.index(name) < self.names.index(current)

    def took(self, name: str, job: Job) -> str:
        """Say how long a stage took, or has taken so far."""
        begin, end = self.times.get(name, [None, None])
        if begin is None:
            return ""
        until = end or (job.finished_at if job.is_final else datetime.now(UTC)) or begin
        return length((until - begin).total_seconds())


class Picture:
    """What is drawn: the job's head, its stages, the bar of the current one, the last message."""

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.job = Job()
        self._spinner = Spinner("dots", style="blue")

    def __rich__(self) -> RenderableType:
        """Draw the picture as of now, so that times go on between two changes."""
        return Group(*self._parts())

    def _parts(self) -> Iterator[RenderableType]:
        job = self.job
        yield self._head(job)
        if self.stages.names:
            yield self._table(job)
        else:
            yield ProgressBar(total=1.0, completed=job.progress, width=40)
        if job.message:
            yield Text(f"  {clean(job.message)}", style="dim", no_wrap=True, overflow="ellipsis")
        if job.flag:
            reason = f" ({clean(job.flag.reason)})" if job.flag.reason else ""
            yield Text(
                f"  {job.flag.kind} asked by {clean(job.flag.by)}{reason}; waiting for the worker",
                style="yellow",
            )
        if job.error:
            yield Text(f"  {clean(job.error.name)}: {clean(job.error.message)}", style="red")

    def _head(self, job: Job) -> Text:
        style = _STYLES.get(job.state, "cyan")
        text = Text.assemble((f"{job.type} {job.number}", "bold"), "  ", (job.shown_state, style))
        text.append(f"  {job.progress:.0%}")
        if job.attempt > 1:
            text.append(f"  attempt {job.attempt}", style="dim")
        if job.title:
            text.append(f"  {clean(job.title)}", style="dim")
        return text

    def _table(self, job: Job) -> Table:
        table = Table.grid(padding=(0, 2))
        for name in self.stages.names:
            status = self.stages.status(name, job)
            sign, style = _MARKS[status]
            mark = self._spinner if status == "now" else Text(sign, style=style)
            table.add_row(Text(" "), mark, Text(name, style=style), self._bar(status, job), self.stages.took(name, job))
        return table

    @staticmethod
    def _bar(status: str, job: Job) -> RenderableType:
        if status not in {"now", "held"}:
            return Text("")
        if job.done is None or not job.total:
            return Text("" if job.done is None else f"{job.done:g}")
        bar = ProgressBar(total=job.total, completed=job.done, width=30)
        line = Table.grid(padding=(0, 1))
        line.add_row(bar, f"{job.done:g}/{job.total:g}")
        return line


def draw(client: Client, handle: JobHandle, interval: float, timeout: float | None) -> None:
    """Draw the job until it is final."""
    picture = Picture(Stages(_declared_stages(client, handle.job)))
    seen = 0
    with Live(picture, console=Console(stderr=True), refresh_per_second=min(1 / interval, 20)):
        for job in handle.snapshots(timeout):
            for record in handle.records(after=seen):
                picture.stages.take(record)
                seen = record.seq
            picture.job = job
            if not job.is_final:
                time.sleep(interval)  # the least time between two looks that --interval asks for


def _declared_stages(client: Client, job: Job) -> list[str]:
    """Give the stages that the job type declares; a type that is gone declares none."""
    from longshore.client import ClientError  # noqa: PLC0415 - at the top it would be a circle of imports

    try:
        stages: Sequence[str] = client.types.get(job.type, job.version).stages
    except ClientError:
        return []
    return list(stages)
