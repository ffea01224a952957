"""The third watcher of the fence: kills the worker's jobs when agent and Celery main are both too late to do it.

After each renewal of its leases the agent writes into the worker's shared memory how long they can be relied on.
Only a few words of that memory are read here; a test holds their places against the worker's own layout.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path

from broker_config import Settings
from launcher.processes import Identity

MAGIC = 0x4C4F4E4753484F52
LINE = 128
"""bytes of the header and of each slot"""
HEADER = struct.Struct("=5Q")  # magic, count of slots, deadline, the agent's pid and start time
PID_AT, PHASE_AT = 0, 56
JOB_CODE_RUNS = 2
_WORD = struct.Struct("=Q")
PATIENCE = 0.25
"""share of the time between fence and lease that is left to those who watch it first"""


def overdue_agents(settings: Settings, now_ns: int | None = None) -> list[Identity]:
    """The agents that live, whose fence has passed for long, and below whom job code still runs."""
    late = round((settings.lease - settings.fence) * PATIENCE * 1e9)
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) if now_ns is None else now_ns
    found = (_overdue(path, now - late) for path in settings.run_dir.glob("worker-*.slots"))
    return [agent for agent in found if agent is not None]


def _overdue(slots: Path, limit: int) -> Identity | None:
    """The agent of this memory if its deadline lies before `limit` and a job runs regardless."""
    try:
        memory = slots.read_bytes()
        magic, count, fence_at, pid, started = HEADER.unpack_from(memory)
        if magic != MAGIC or not 0 < fence_at < limit or not _runs_job_code(memory, count):
            return None
    except (OSError, struct.error):
        return None
    agent = Identity(pid, started)
    return agent if agent.lives() else None


def _runs_job_code(memory: bytes, count: int) -> bool:
    return any(_word(memory, number, PHASE_AT) == JOB_CODE_RUNS and _lives(memory, number) for number in range(count))


def _lives(memory: bytes, number: int) -> bool:
    return Identity.of(_word(memory, number, PID_AT)) is not None


def _word(memory: bytes, number: int, offset: int) -> int:
    return int(_WORD.unpack_from(memory, LINE * (number + 1) + offset)[0])
