"""The clock that upkeep goes by, and when the next job that waits for its time becomes due."""

from __future__ import annotations

import time

from sqlalchemy import case, func, select

from shared.lifecycle import State
from shared.models import Job
from shared.models.types import MICROSECONDS, now
from shared.store import Store

SOONEST = 0.05
"""Seconds between two rounds at the least."""


def boottime() -> float:
    """Seconds since this machine started, those it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def seconds_to_next_due(store: Store) -> float:
    """Seconds until the first queued job's `not_before` passes; a day where none waits."""
    # The state stands outside of the condition, or SQLite would look through all queued jobs for the few that wait.
    first = func.min(case((Job.state == State.QUEUED.value, Job.not_before)))
    with store.reading() as connection:
        wait = connection.execute(select(first - now()).where(Job.not_before > now())).scalar()
    return 86_400.0 if wait is None else max(SOONEST, wait / MICROSECONDS)
