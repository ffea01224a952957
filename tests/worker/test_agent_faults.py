"""What kills workers, and what must hold afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from shared.migrations import upgrade
from tests.waiting import wait_for
from tests.worker.fleet import Fleet
from tests.worker.test_agent_control import lives, pids_of

pytestmark = pytest.mark.faults


def start_counting(fleet: Fleet, trace: Path, upto: int = 60) -> tuple[UUID, int]:
    """A job in the midst of its work, and the process that runs it."""
    job_id = fleet.submit("counter", {"upto": upto, "delay": 0.05, "trace": trace})
    wait_for(lambda: trace.exists() and trace.read_text().count("\n") > 5, 20, "some numbers")
    return job_id, int(trace.read_text().split()[1])


def test_a_killed_pool_child_costs_an_attempt_and_names_its_signal(quick: Fleet, tmp_path: Path) -> None:
    quick.start()
    job_id, child = start_counting(quick, tmp_path / "trace")
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: quick.job(job_id).burnt == 1, 3, "the loss to be noticed")
    lost = quick.executions(job_id)[0]
    assert (lost.outcome, lost.signal, lost.error["name"]) == ("lose", 9, "worker-lost")
    job = quick.wait(job_id, "completed")
    assert job.result == {"counted": 60, "attempt": 2}


def test_a_job_that_kills_its_process_again_and_again_fails_in_the_end(quick: Fleet) -> None:
    quick.start()
    job = quick.wait(quick.submit("crash", {"attempts": 99}, max_attempts=3), "failed")
    assert (job.burnt, job.attempt, job.error["name"]) == (3, 3, "worker-lost")
    quick.wait(quick.submit("noop"), "completed")


def test_nothing_of_a_job_outlives_its_killed_child(quick: Fleet, tmp_path: Path) -> None:
    quick.start()
    pids = tmp_path / "pids"
    job_id = quick.submit("stubborn", {"pids": pids}, max_attempts=1)
    wait_for(lambda: len(pids_of(pids)) == 4, 20, "the job's processes to start")
    hostile = pids_of(pids)
    os.kill(quick.executions(job_id)[0].pid, signal.SIGKILL)
    quick.wait(job_id, "failed", 5)
    assert not [pid for pid in hostile if lives(pid)]


def test_a_killed_celery_main_is_started_again_and_its_jobs_with_it(quick: Fleet, tmp_path: Path) -> None:
    worker = quick.start()
    pids = tmp_path / "pids"
    hostile_id = quick.submit("stubborn", {"pids": pids}, max_attempts=1)
    job_id, _ = start_counting(quick, tmp_path / "trace")
    wait_for(lambda: len(pids_of(pids)) == 4, 20, "the job's processes to start")
    hostile = pids_of(pids)
    worker.celery_main().kill()
    quick.wait(hostile_id, "failed", 5)
    assert not [pid for pid in hostile if lives(pid)]
    job = quick.wait(job_id, "completed")
    assert (job.result["attempt"], job.burnt) == (2, 1)


def test_celery_main_ends_with_its_agent_and_takes_the_jobs_along(quick: Fleet, tmp_path: Path) -> None:
    worker = quick.start()
    pids = tmp_path / "pids"
    quick.submit("stubborn", {"pids": pids})
    wait_for(lambda: len(pids_of(pids)) == 4, 20, "the job's processes to start")
    hostile = pids_of(pids)
    below = worker.tree()[1:]
    worker.popen.kill()
    worker.popen.wait()
    wait_for(lambda: not [pid for pid in hostile if lives(pid)], 5, "the job's processes to end")
    wait_for(lambda: not [each for each in below if lives(each.pid)], 5, "Celery to end")


def test_a_lost_worker_costs_an_attempt_and_another_goes_on_from_the_checkpoint(quick: Fleet, tmp_path: Path) -> None:
    worker = quick.start()
    trace = tmp_path / "trace"
    job_id, _ = start_counting(quick, trace)
    worker.kill_all()
    done = trace.read_text().count("\n")
    assert quick.job(job_id).state == "running"
    quick.start()
    job = quick.wait(job_id, "completed", 40)
    assert (job.result["counted"], job.burnt) == (60, 1)
    again = [int(line.split()[2]) for line in trace.read_text().splitlines()][done:]
    assert again[0] >= done - 2, "it goes on from its last checkpoint"


def test_a_drain_gives_jobs_back_unburnt_and_leaves_nothing(quick: Fleet, tmp_path: Path) -> None:
    worker = quick.start(slots=3)
    pids = tmp_path / "pids"
    job_id, _ = start_counting(quick, tmp_path / "trace")
    hostile_id = quick.submit("stubborn", {"pids": pids, "deaf": True})
    suspended_id = quick.submit("sleep", {"seconds": 5})
    wait_for(lambda: len(pids_of(pids)) == 4, 20, "the job's processes to start")
    quick.wait(suspended_id, "running")
    quick.pause(suspended_id, "suspend")
    quick.wait(suspended_id, "paused")
    worker.terminate()
    assert worker.popen.wait(12) == 0
    assert not worker.survivors()
    for each in (job_id, hostile_id):
        job = quick.job(each)
        assert (job.state, job.burnt) == ("queued", 0)
        assert quick.events(each)[-1] == "interrupt"
    parked = quick.job(suspended_id)
    assert (parked.state, parked.holder, parked.burnt) == ("paused", None, 0)
    quick.cancel(hostile_id)
    quick.start()
    assert quick.wait(job_id, "completed").result["counted"] == 60


def test_a_short_job_is_let_finish_by_a_drain(quick: Fleet) -> None:
    worker = quick.start()
    job_id = quick.submit("sleep_deaf", {"seconds": 1})
    quick.wait(job_id, "running")
    worker.terminate()
    assert worker.popen.wait(10) == 0
    job = quick.job(job_id)
    assert job.state in {"completed", "queued"}, job
    assert job.burnt == 0


def test_a_worker_started_by_celery_itself_is_the_same(quick: Fleet, tmp_path: Path) -> None:
    celery = [sys.executable, "-m", "celery", "-A", "worker", "worker", "-c", "2", "-Q", "default"]
    worker = quick.launch(celery)
    quick.await_ready(worker)
    pids = tmp_path / "pids"
    hostile_id = quick.submit("stubborn", {"pids": pids})
    wait_for(lambda: len(pids_of(pids)) == 4, 20, "the job's processes to start")
    quick.cancel(hostile_id)
    quick.wait(hostile_id, "cancelled", 8)
    quick.wait(quick.submit("noop"), "completed")
    worker.terminate()
    assert worker.popen.wait(12) == 0
    assert not worker.survivors()


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_other_pools_are_refused(quick: Fleet, pool: str) -> None:
    celery = [sys.executable, "-m", "celery", "-A", "worker", "worker", "-P", pool]
    worker = quick.launch(celery)
    assert worker.popen.wait(20) != 0
    assert "prefork pool only" in worker.log.read_text()


def test_a_module_that_is_not_there_stops_the_start_with_its_name(quick: Fleet) -> None:
    worker = quick.launch([sys.executable, "-P", "-m", "worker.agent"], jobs="tests.no_such_module")
    assert worker.popen.wait(20) == 1
    assert "no module 'tests.no_such_module'" in worker.log.read_text()
    assert not worker.survivors()


def test_a_user_that_is_not_there_stops_the_start(quick: Fleet) -> None:
    """The worker served, and every command failed."""
    worker = quick.launch([sys.executable, "-P", "-m", "worker.agent"], run_as="no-such-user")
    assert worker.popen.wait(20) == 1
    assert "there is no user 'no-such-user'" in worker.log.read_text()
    assert not worker.survivors()


def test_the_processes_of_a_worker_are_where_they_belong(quick: Fleet) -> None:
    worker = quick.start()
    main = worker.celery_main()
    assert psutil.Process(worker.pid).children() == [main]
    for child in worker.pool_children():
        assert os.getsid(child.pid) == child.pid


def test_a_worker_whose_launcher_is_gone_ends_and_burns_nothing(quick: Fleet, tmp_path: Path) -> None:
    launcher = subprocess.Popen(["sleep", "300"])
    worker = quick.launch([sys.executable, "-P", "-m", "worker.agent", "--launcher", str(launcher.pid)])
    quick.await_ready(worker)
    job_id, _ = start_counting(quick, tmp_path / "trace")
    worker.tree()
    launcher.kill()
    launcher.wait()
    assert worker.popen.wait(12) == 0
    assert not worker.survivors()
    assert (quick.job(job_id).state, quick.job(job_id).burnt) == ("queued", 0)


def test_a_worker_waits_for_a_database_that_is_not_prepared_yet(quick: Fleet, tmp_path: Path) -> None:
    later = f"sqlite:///{tmp_path}/later.db"
    worker = quick.launch([sys.executable, "-P", "-m", "worker.agent"], database_url=later)
    wait_for(lambda: "not prepared" in worker.log.read_text(), 20, "the worker to say what it waits for")
    upgrade(later)
    wait_for(lambda: "with 2 slots" in worker.log.read_text(), 20, "the worker to serve")
