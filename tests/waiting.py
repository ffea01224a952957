"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(predicate: Callable[[], T], timeout: float, what: str, interval: float = 0.02) -> T:
    """Poll `predicate` until it gives something true, and return that.

    After `timeout` seconds: AssertionError naming `what` was waited for and the last value seen.
    """
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            message = f"waited {timeout:g} s for {what}; last value: {value!r}"
            raise AssertionError(message)
        time.sleep(interval)
    return value
