"""When a request is sent again, and how long is waited before that."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""seconds between two attempts, unless the broker asks for another pause"""


class Deadline:
    """A moment after which nothing more is tried; without a timeout it never comes."""

    def __init__(self, timeout: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if timeout is None else clock() + timeout

    def remaining(self) -> float:
        """Seconds left; 0 when it has passed."""
        return float("inf") if self._end is None else max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        """Whether nothing is left of it."""
        return self.remaining() == 0


class Attempts:
    """The attempts at one request: as many as fit into the patience, further and further apart."""

    def __init__(self, patience: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._deadline = Deadline(patience)
        self._sleep = sleep
        self._next = FIRST_PAUSE

    def pause(self, asked: float | None = None) -> bool:
        """Wait before the next attempt, as long as the broker asked if it did; False when patience is over."""
        pause = self._next * random.uniform(0.8, 1.2) if asked is None else asked  # noqa: S311 - only spreads load
        if pause > self._deadline.remaining():
            return False
        self._sleep(pause)
        self._next = min(self._next * 2, LONGEST_PAUSE)
        return True


class Outage:
    """Lets a watcher ride out a broker that is away for a while, but not for ever."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._deadline: Deadline | None = None

    def bear(self, error: Exception) -> None:
        """Take an error that tells that the broker is away; raise it when this has lasted too long."""
        self._deadline = self._deadline or Deadline(self._longest)
        if self._deadline.passed:
            raise error

    def is_over(self) -> None:
        """Note that the broker has answered."""
        self._deadline = None


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: it holds seconds or a date."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
