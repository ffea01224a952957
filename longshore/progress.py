"""The arithmetic of stages and progress: the same on a worker, in the testing kit and for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from longshore.errors import UndeclaredStage


class Report(NamedTuple):
    """Where a job is: its stage, the fraction of the whole job, and the count within the stage.

    `progress` runs from 0 to 1 over all declared stages, each weighing the same; `done` and `total` count
    whatever the stage counts.
    """

    stage: str | None = None
    progress: float = 0.0
    done: float | None = None
    total: float | None = None
    message: str = ""


class ProgressMeter:
    """Turns what job code says about itself into reports."""

    def __init__(self, stages: Sequence[str] = ()) -> None:
        self._stages = tuple(stages)
        self._index: int | None = None
        self.report = Report()

    def enter(self, stage: str) -> Report:
        """Begin a stage; its count starts anew. Raises UndeclaredStage."""
        if stage not in self._stages:
            raise UndeclaredStage(stage, self._stages)
        self._index = self._stages.index(stage)
        self.report = Report(stage=stage, progress=self._overall(0.0))
        return self.report

    def leave(self) -> Report:
        """Count the present stage as done."""
        self.report = self.report._replace(progress=self._overall(1.0), message="")
        return self.report

    def count(self, done: float, total: float | None, message: str) -> Report:
        """Take a count within the stage; without a total it is shown but moves no bar."""
        total = self.report.total if total is None else total
        self._check(done, total)
        progress = self.report.progress if total is None else self._overall(_fraction(done, total))
        self.report = self.report._replace(
            progress=progress, done=done, total=total, message=message or self.report.message
        )
        return self.report

    def say(self, message: str) -> Report:
        """Replace the message and leave the rest."""
        self.report = self.report._replace(message=message)
        return self.report

    def _overall(self, fraction: float) -> float:
        if not self._stages:
            return fraction
        return 0.0 if self._index is None else round((self._index + fraction) / len(self._stages), 6)

    @staticmethod
    def _check(done: float, total: float | None) -> None:
        for name, value in (("done", done), ("total", total)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"progress: {name} must be a finite number of at least 0, not {value!r}")


def _fraction(done: float, total: float) -> float:
    """Give done/total within 0..1; of nothing, everything is done."""
    return min(done / total, 1.0) if total else 1.0
