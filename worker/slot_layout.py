"""How the shared memory of a worker launch is laid out, and the words in it that are bound to an execution.

Every field is one aligned 64-bit word, which the processor reads and writes as a whole. A word that the agent
writes for an execution carries the mark of that execution, so that it counts for no other.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from typing import Any

MAGIC = 0x4C4F4E4753484F52
LINE = 128
"""bytes of the header and of each slot: two cache lines, so that no two processes write to one"""
MASK = (1 << 64) - 1
_WORD = ctypes.c_uint64
_FLAG_BITS = 8
_MARK_BITS = 24
_MARK_MASK = (1 << _MARK_BITS) - 1
_MILLISECOND = 1_000_000


class Phase(IntEnum):
    """How far a pool child is with an execution."""

    IDLE = 0
    """it runs nothing"""
    CLAIMED = 1
    """an execution is claimed; job code does not run yet"""
    BODY = 2
    """job code runs"""
    ENDING = 3
    """job code has ended; its outcome is being written"""


class Flag(IntEnum):
    """What an execution is to do, as the agent read it from the database."""

    NONE = 0
    PAUSE_PARK = 1
    """end at the next checkpoint, keep the saved state, free the slot"""
    PAUSE_SUSPEND = 2
    """stay, stopped; the agent stops the processes"""
    CANCEL = 3
    """end for good"""
    DRAIN = 4
    """end because the worker shuts down; the job goes back to its queue"""
    STALE = 5
    """end because the execution no longer holds the job"""


FLAGS = tuple(Flag)


class Header(ctypes.Structure):
    """What holds for the whole launch."""

    _fields_ = (
        ("magic", _WORD),
        ("count", _WORD),
        ("fence_at", _WORD),
        ("agent_pid", _WORD),
        ("agent_started", _WORD),
        ("draining", _WORD),
    )


class Cell(ctypes.Structure):
    """One slot."""

    # written by the child
    _fields_ = (
        ("pid", _WORD),
        ("started", _WORD),
        ("last_mark", _WORD),
        ("mark", _WORD),
        ("job_high", _WORD),
        ("job_low", _WORD),
        ("attempt", _WORD),
        ("phase", _WORD),
        ("begun_at", _WORD),
        ("limit_at", _WORD),
        ("in_database", _WORD),
        # written by the agent
        ("flag", _WORD),
        ("flag_at", _WORD),
        ("stopped_since", _WORD),
        ("stopped_for", _WORD),
    )


def flag_word(flag: Flag, mark: int) -> int:
    """A flag, bound to an execution."""
    return mark << _FLAG_BITS & MASK | flag


def flag_in(word: int, mark: int) -> Flag:
    """The flag in a word, if it is meant for this execution."""
    return FLAGS[word & 0xFF] if word and word >> _FLAG_BITS == mark else Flag.NONE


def time_word(time_ns: int, mark: int) -> int:
    """A time, to the millisecond, bound to an execution."""
    return time_ns // _MILLISECOND << _MARK_BITS | mark & _MARK_MASK


def time_in(word: int, mark: int) -> int:
    """The time in a word in nanoseconds, if it is meant for this execution; else 0."""
    return (word >> _MARK_BITS) * _MILLISECOND if mark and word & _MARK_MASK == mark & _MARK_MASK else 0


def note_stop(cell: Any, mark: int, *, stopped: bool, at: int) -> None:
    """Note that an execution was suspended or let go on at a time in nanoseconds.

    The total is written first: who reads in between counts too much time as suspended, never too little.
    """
    since = time_in(cell.stopped_since, mark)
    if stopped and not since:
        cell.stopped_since = time_word(at, mark)
    elif since and not stopped:
        cell.stopped_for = time_word(time_in(cell.stopped_for, mark) + max(at - since, 0), mark)
        cell.stopped_since = 0


def clear(cell: Any) -> None:
    """Make a slot as new; only the count of marks goes on, so that none is used twice."""
    last = cell.last_mark
    cell.mark = 0
    for name, _ in Cell._fields_:
        setattr(cell, name, 0)
    cell.last_mark = last
