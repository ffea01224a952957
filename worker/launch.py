"""One launch of a worker, as its processes know it: the agent writes it down, Celery main and pool children read it.

Celery main finds its agent by ancestry: the agent is its parent, and all files of the launch carry the agent's pid.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from worker.trees import start_time


@dataclass(frozen=True)
class Launch:
    """What was agreed when the worker started."""

    worker_id: UUID
    name: str
    """the worker's name in status records and in Celery"""
    node: str
    agent: int
    agent_started: int
    """start time of the agent's process: together with its pid it is unique"""
    interfaces: Sequence[str]
    """hashes of the interfaces that its job code has"""

    def write(self, run_dir: Path) -> None:
        """Makes the launch known, at once and as a whole."""
        values = {**vars(self), "worker_id": str(self.worker_id), "interfaces": list(self.interfaces)}
        target = launch_file(run_dir, self.agent)
        draft = target.with_suffix(".new")
        draft.write_text(json.dumps(values))
        draft.replace(target)


def launch_file(run_dir: Path, agent: int) -> Path:
    """Where the launch of an agent is written down."""
    return run_dir / f"worker-{agent}.json"


def slots_file(run_dir: Path, agent: int) -> Path:
    """Where the shared memory of an agent's worker lies."""
    return run_dir / f"worker-{agent}.slots"


def read(run_dir: Path, agent: int) -> Launch | None:
    """The launch of the agent, None while (or if) there is none; files left by an earlier pid do not count."""
    try:
        values = json.loads(launch_file(run_dir, agent).read_text())
    except FileNotFoundError:
        return None
    launch = Launch(**{**values, "worker_id": UUID(values["worker_id"])})
    return launch if launch.agent_started == start_time(agent) else None


def forget(run_dir: Path, agent: int) -> None:
    """Removes the files of a launch that has ended."""
    for path in (launch_file(run_dir, agent), slots_file(run_dir, agent)):
        path.unlink(missing_ok=True)


def sweep(run_dir: Path) -> None:
    """Removes the files of launches whose agent is gone."""
    for path in run_dir.glob("worker-*.slots"):
        pid = path.stem.removeprefix("worker-")
        if pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110 - no path of ours
            forget(run_dir, int(pid))
