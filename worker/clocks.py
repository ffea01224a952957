"""The one clock that processes of a node share: it never jumps nor stands still in a suspend."""

from __future__ import annotations

import time

NANOSECONDS = 1_000_000_000


def boottime_ns() -> int:
    """Nanoseconds since this machine started, suspended time included; comparable between its processes."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
