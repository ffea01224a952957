"""Doing something with the database again and again while it is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from shared.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


def insist(action: Callable[[], T], wanted: Callable[[], bool] = lambda: True) -> T:
    """Does `action` until it succeeds; while it is `wanted`, an absent database only costs time.

    There is no limit here because there is one already: the agent kills what has lost its lease.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return action()
        except Unavailable as error:
            if not wanted():
                raise
            if pause == FIRST_PAUSE:
                log.warning("trying again: %s", error)
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
