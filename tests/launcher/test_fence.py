"""The launcher's eye on the fence: it reads the worker's memory rightly, and acts when nobody else does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from broker_config import Settings
from launcher import fence
from launcher.processes import Identity
from tests.launcher.installation import Installation, all_gone
from tests.launcher.test_up_with_jobs import QUICK, client_of
from tests.waiting import wait_for
from worker.slot_layout import LINE, MAGIC, Cell, Header, Phase

SECOND = 1_000_000_000


def test_the_places_are_those_of_the_workers_layout() -> None:
    assert (fence.MAGIC, fence.LINE) == (MAGIC, LINE)
    assert [Header.magic.offset, Header.count.offset, Header.fence_at.offset] == [0, 8, 16]
    assert [Header.agent_pid.offset, Header.agent_started.offset] == [24, 32]
    assert (Cell.pid.offset, Cell.phase.offset) == (fence.PID_AT, fence.PHASE_AT)
    assert Phase.BODY == fence.JOB_CODE_RUNS


@pytest.mark.parametrize(
    ("phase", "late_by", "overdue"),
    [(Phase.BODY, 3.0, True), (Phase.BODY, 1.0, False), (Phase.BODY, -9.0, False), (Phase.ENDING, 9.0, False)],
)
def test_only_jobs_that_run_past_the_fence_count(tmp_path: Path, phase: Phase, late_by: float, overdue: bool) -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    header = Header(MAGIC, 1, now - round(late_by * SECOND), me.pid, me.started, 0)
    cell = Cell(pid=me.pid, phase=phase)
    memory = bytes(header).ljust(LINE, b"\0") + bytes(cell).ljust(LINE, b"\0")
    (tmp_path / "worker-1.slots").write_bytes(memory)
    (tmp_path / "worker-2.slots").write_bytes(memory[:100])
    (tmp_path / "worker-3.slots").write_bytes(b"\1" * 256)
    settings = Settings.from_env({"LONGSHORE_RUN_DIR": str(tmp_path)})
    assert fence.overdue_agents(settings) == ([me] if overdue else [])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "data", **QUICK)
    made.start()
    yield made
    made.end()


@pytest.mark.slow
@pytest.mark.faults
def test_a_worker_that_stands_still_loses_its_jobs_before_their_lease_ends(running: Installation) -> None:
    with client_of(running) as client:
        job = client.submit("burn_cpu", {"seconds": 120})
        wait_for(lambda: job.status().state == "running", 30, "the job to run")
        child = Identity.of(job.executions()[0].pid or 0)
        agent = running.component("worker.agent")
        main = next(each for each in psutil.Process(agent.pid).children() if each.children())
        assert child is not None
        for pid in (main.pid, agent.pid):
            os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: all_gone([child, agent]), 15, "the end of the job and of the worker that stood still")
        assert job.status().attempt == 1, "it must be gone before another execution may begin"
        wait_for(lambda: job.status().attempt == 2, 30, "the next attempt")
