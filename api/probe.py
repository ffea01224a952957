"""Asking another server whether it lives, without letting many requests wait for the same silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FRESH = 1.0
"""seconds for which an answer counts"""


class Probe:
    """What was found last; one request at a time looks again, the others take what is known."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self._looking = threading.Lock()
        self._known = True
        self._at = float("-inf")

    def answer(self) -> bool:
        """Whether it lived when it was looked at last, at most a second ago unless a look is under way."""
        if time.monotonic() - self._at > FRESH and self._looking.acquire(blocking=False):
            try:
                self._known = self._look()
                self._at = time.monotonic()
            finally:
                self._looking.release()
        return self._known
