"""A job's stages on screen: one line for each that has ended, and one that moves for the stage it is in."""

from __future__ import annotations

import sys
import time

import click

from longshore.models import Job

WIDTH = 28
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
        elif job.progress >= self._told:
            click.echo(f"   {_moving(job)}")
            self._told = job.progress + QUIET_EVERY

    def end_stage(self, word: str = "done") -> None:
        """Close the line of the present stage."""
        if self._stage is None:
            return
        took = time.monotonic() - self._began
        start = "\r\x1b[2K" if self._redraws else ""
        click.echo(f"{start}   {click.style(f'{self._stage:<20}', bold=True)} {word} ({took:.1f} s)")
        self._stage = None


def _moving(job: Job) -> str:
    filled = round(job.progress * WIDTH)
    bar = "█" * filled + "░" * (WIDTH - filled)
    return f"{job.stage or '':<20} {bar} {job.progress:>4.0%}  {job.message}"[:110]
