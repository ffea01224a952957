"""What the demo claims, checked from outside: nothing of a parked job is left, and what was saved is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from broker_config import Settings
from longshore.client import JobHandle
from shared.errors import LongshoreError

LOOK = 0.05


class DemoFailed(LongshoreError):
    """The demo did not show what it promises."""

    code = "demo-failed"


def expect(holds: Callable[[], bool], what: str, within: float = 10.0) -> None:
    """Wait until it holds. Raises DemoFailed naming what did not come true."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what}: not true within {within:g} s")
        time.sleep(LOOK)


def leftovers(settings: Settings, launcher_pid: int) -> list[str]:
    """What is left of executions: their work directories, and processes that stand or work in one."""
    found = [str(path) for path in _directories(settings.work_dir)]
    for process in psutil.Process(launcher_pid).children(recursive=True):
        try:
            touches = [process.cwd(), *process.cmdline(), *(each.path for each in process.open_files())]
        except psutil.Error:
            continue
        if any(str(settings.work_dir) in text for text in touches):
            found.append(f"process {process.pid}")
    return found


def _directories(work_dir: Path) -> list[Path]:
    return list(work_dir.iterdir()) if work_dir.exists() else []


def first_done_after_resume(job: JobHandle, stage: str) -> float | None:
    """How far the stage was when the execution after the pause reported it for the first time."""
    reports = [each.done for each in job.records() if each.attempt > 1 and each.stage == stage]
    return next((done for done in reports if done is not None), None)
