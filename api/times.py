"""Instants and durations as the API writes them: ISO 8601 in JSON, whole microseconds since 1970 UTC inside."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import isodate

MICROSECONDS = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = int((datetime(9999, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) * MICROSECONDS
"""No instant after this is accepted: others could not write it down"""

LONGEST = 100 * 365 * 86_400.0
"""seconds; no duration beyond this is accepted"""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?)?")
_DURATION = re.compile(r"[Pp](\d+[Ww]|(\d+[Dd])?([Tt](\d+[Hh])?(\d+[Mm])?(\d+(\.\d{1,6})?[Ss])?)?)")


def iso(instant: int | None) -> str | None:
    """`instant` as `2026-01-02T03:04:05.678901Z`."""
    if instant is None:
        return None
    return (EPOCH + timedelta(microseconds=instant)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instant(text: str) -> int:
    """The instant an ISO 8601 date or date-time names; without an offset it is UTC. ValueError otherwise."""
    if not _INSTANT.fullmatch(text):
        raise ValueError("not a date-time")
    moment = datetime.fromisoformat(text.upper())
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    microseconds = (aware - EPOCH) // timedelta(microseconds=1)
    if not 0 <= microseconds < LAST:
        raise ValueError("out of range")
    return microseconds


def seconds(text: str) -> float:
    """The seconds of an ISO 8601 duration of weeks, days, hours, minutes and seconds. ValueError otherwise."""
    if not _DURATION.fullmatch(text) or text[-1:] in "PpTt":
        raise ValueError("not a duration")
    length = float(isodate.parse_duration(text.upper()).total_seconds())
    if length > LONGEST:
        raise ValueError("out of range")
    return length


def moment(text: str, direction: int) -> int:
    """An instant, or a duration counted from now: forwards with `direction` 1, backwards with -1."""
    if text[:1] not in {"P", "p"}:
        return instant(text)
    return max(0, time.time_ns() // 1000 + direction * int(seconds(text) * MICROSECONDS))
