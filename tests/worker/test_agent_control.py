"""Cancel, pause and resume on a real worker."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_for
from tests.worker.fleet import Fleet


def pids_of(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# ----------------------------------------------------------------------------------------------- cancel


@pytest.mark.parametrize("type", ["sleep", "burn_cpu"])
def test_a_running_job_is_cancelled_within_a_second(running: Fleet, type: str) -> None:
    job_id = running.submit(type, {"seconds": 60})
    running.wait(job_id, "running")
    assert running.cancel(job_id).in_effect is False
    job = running.wait(job_id, "cancelled", 2)
    assert [event for event in running.events(job_id) if event != "report"] == ["submit", "claim", "cancel", "stop"]
    assert job.flag_by == "alice"


def test_code_that_is_cancelled_only_at_checkpoints_is_ended_by_the_last_rung(running: Fleet) -> None:
    job_id = running.submit("sleep_deaf", {"seconds": 60})
    running.wait(job_id, "running")
    running.cancel(job_id)
    running.wait(job_id, "cancelled", 6)


@pytest.mark.parametrize("deaf", [False, True])
def test_a_cancel_leaves_no_process_of_a_hostile_job(running: Fleet, tmp_path: Path, deaf: bool) -> None:
    pids = tmp_path / "pids"
    job_id = running.submit("stubborn", {"pids": pids, "deaf": deaf})
    wait_for(lambda: len(pids_of(pids)) == 4, 10, "the job's processes to start")
    running.cancel(job_id)
    running.wait(job_id, "cancelled", 8)
    hostile = pids_of(pids) if deaf else [pid for pid in pids_of(pids) if pid not in slot_pids(running)]
    assert not [pid for pid in hostile if lives(pid)]
    wait_for(lambda: not any(running.settings.work_dir.glob(f"{job_id}*")), 5, "the work directory to be gone")


def slot_pids(running: Fleet) -> list[int]:
    return [process.pid for process in running.workers[0].pool_children()]


def test_the_hook_of_a_cancelled_job_runs_before_its_directory_goes(running: Fleet, tmp_path: Path) -> None:
    mark, arrived = tmp_path / "mark", tmp_path / "arrived"
    job_id = running.submit("with_hook", {"mark": mark, "arrived": arrived})
    wait_for(arrived.exists, 10, "the job to wait")
    running.cancel(job_id)
    running.wait(job_id, "cancelled", 5)
    assert mark.read_text() == "True"


# ------------------------------------------------------------------------------------------------ pause


def test_a_parked_job_goes_on_from_its_checkpoint(running: Fleet, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    job_id = running.submit("counter", {"upto": 40, "delay": 0.05, "trace": trace})
    wait_for(lambda: trace.exists() and trace.read_text().count("\n") > 5, 10, "some numbers")
    running.pause(job_id, "park")
    job = running.wait(job_id, "paused", 3)
    assert job.holder is None
    running.resume(job_id)
    job = running.wait(job_id, "completed")
    assert job.result == {"counted": 40, "attempt": 2}
    assert job.burnt == 0
    counted = [int(line.split()[2]) for line in trace.read_text().splitlines()]
    assert sorted(set(counted)) == list(range(40))
    assert len(counted) == 40, "nothing that was checkpointed is done again"


def test_a_suspended_job_stands_still_and_goes_on_in_place(running: Fleet, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    job_id = running.submit("counter", {"upto": 30, "delay": 0.05, "trace": trace})
    wait_for(lambda: trace.exists() and trace.read_text().count("\n") > 3, 10, "some numbers")
    running.pause(job_id, "suspend")
    job = running.wait(job_id, "paused", 3)
    assert job.holder is not None
    stood = trace.read_text()
    running.wait(running.submit("noop"), "completed")
    assert trace.read_text() == stood
    running.resume(job_id)
    job = running.wait(job_id, "completed")
    assert job.result == {"counted": 30, "attempt": 1}


def test_a_suspended_job_can_be_cancelled(running: Fleet) -> None:
    job_id = running.submit("sleep", {"seconds": 60})
    running.wait(job_id, "running")
    running.pause(job_id, "suspend")
    running.wait(job_id, "paused", 3)
    assert running.cancel(job_id).in_effect is False
    running.wait(job_id, "cancelled", 5)


def test_time_spent_suspended_does_not_count(running: Fleet) -> None:
    job_id = running.submit("sleep", {"seconds": 1}, timeout=3)
    running.wait(job_id, "running")
    running.pause(job_id, "suspend")
    running.wait(job_id, "paused", 3)
    paused = running.job(job_id).state_at
    running.wait(running.submit("sleep", {"seconds": 3.5}), "completed")
    running.resume(job_id)
    job = running.wait(job_id, "completed")
    assert job.finished_at - paused > 3_000_000


def test_a_job_pauses_itself_at_the_stage_that_was_wished_for(running: Fleet, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job_id = running.submit("gated", {"gate": gate}, pause_at="gate")
    job = running.wait(job_id, "paused", 5)
    assert (job.stage, job.holder, job.pause_at) == ("gate", None, None)
    gate.touch()
    running.resume(job_id)
    running.wait(job_id, "completed")


def test_a_pause_that_was_withdrawn_changes_nothing(running: Fleet, tmp_path: Path) -> None:
    gate, arrived = tmp_path / "gate", tmp_path / "arrived"
    job_id = running.submit("gated", {"gate": gate, "arrived": arrived, "checkpoints": False})
    wait_for(arrived.exists, 10, "the job to stand at its gate")
    running.pause(job_id, "park")
    running.resume(job_id)
    gate.touch()
    job = running.wait(job_id, "completed")
    assert job.attempt == 1
