"""A job's stages on screen: one line for each that has ended, and one that moves for the stage it is in."""

from __future__ import annotations

import sys
import time

import click

from longshore.models import Job

WIDTH, MOST_COLUMNS = 28, 78
QUIET_EVERY = 0.25
"""share of a stage after which a line is printed where nothing can be redrawn"""


class StageLines:
    """Shows each snapshot of a job as it comes."""

    def __init__(self) -> None:
        self._redraws = sys.stdout.isatty()
        self._stage: str | None = None
        self._began = 0.0
        self._told = 0.0

    def show(self, job: Job) -> None:
        """Show where the job is now."""
        if job.stage != self._stage:
            self.end_stage()
            self._stage, self._began, self._told = job.stage, time.monotonic(), 0.0
        if not job.stage or job.is_final:
            return
        if self._redraws:
            click.echo(f"\r\x1b[2K   {_moving(job)}", nl=False)
        elif _share(job) >= self._told:
            click.echo(f"   {_moving(job)}")
            self._told = _share(job) + QUIET_EVERY

    def end_stage(self, word: str = "done") -> None:
        """Close the line of the present stage."""
        if self._stage is None:
            return
        took = time.monotonic() - self._began
        start = "\r\x1b[2K" if self._redraws else ""
        click.echo(f"{start}   {click.style(f'{self._stage:<20}', bold=True)} {word} ({took:.1f} s)")
        self._stage = None


def _share(job: Job) -> float:
    """How much of the present stage is done, as far as it counts."""
    return min((job.done or 0.0) / job.total, 1.0) if job.total else 0.0


def _moving(job: Job) -> str:
    filled = round(_share(job) * WIDTH)
    bar = "█" * filled + "░" * (WIDTH - filled) if job.total else "-" * WIDTH
    return f"{job.stage or '':<20} {bar} {job.message}"[:MOST_COLUMNS]
