"""`longshore up` while jobs run: a stop gives them back unburnt, a sudden end leaves none of their processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.processes import Identity
from longshore.client import Client, JobHandle
from tests.launcher.installation import Installation, all_gone
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.faults]

# A fifth of the real times; the order that the protocol needs is kept.
QUICK = {"lease": "6", "fence": "4", "heartbeat": "1", "tick": "1", "presence": "3", "jobs": "tests.jobs"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "data", **QUICK)
    made.start()
    yield made
    made.end()


def client_of(installation: Installation) -> Client:
    return Client(installation.url, installation.token)


def processes_in(pids: Path, at_least: int) -> list[Identity]:
    """The processes that a hostile job wrote down, once all of them did."""
    wait_for(lambda: pids.exists() and len(pids.read_text().split()) >= at_least, 30, "the job's processes")
    return [found for pid in pids.read_text().split() if (found := Identity.of(int(pid)))]


def stubborn_job(installation: Installation, pids: Path) -> JobHandle:
    with client_of(installation) as client:
        return client.submit("stubborn", {"pids": str(pids), "deaf": True})


def test_a_stop_gives_a_job_back_and_the_next_start_goes_on_with_it(running: Installation) -> None:
    with client_of(running) as client:
        job = client.submit("sleep", {"seconds": 4})
        wait_for(lambda: job.status().progress > 0.1, 30, "some progress")
    assert running.stop() == 0
    running.start()
    with client_of(running) as client:
        again = client.get(job.id)
        done = again.wait(40, progress=False)
    assert done.state == "completed"
    assert (done.attempt, done.burnt) == (2, 0)


def test_a_stop_does_not_wait_for_a_job_that_resists(running: Installation, tmp_path: Path) -> None:
    stubborn_job(running, tmp_path / "pids")
    processes = processes_in(tmp_path / "pids", 4)
    begun = time.monotonic()
    assert running.stop() == 0
    assert all_gone(processes)
    assert time.monotonic() - begun < 30


def test_nothing_of_a_hostile_job_outlives_a_killed_supervisor(running: Installation, tmp_path: Path) -> None:
    job = stubborn_job(running, tmp_path / "pids")
    everything = [*processes_in(tmp_path / "pids", 4), *running.tree()]
    running.process.kill()
    running.process.wait()
    wait_for(lambda: all_gone(everything), 15, "the end of every process")
    running.url_file.unlink(missing_ok=True)
    running.start()
    with client_of(running) as client:
        wait_for(lambda: client.get(job.id).status().attempt == 2, 40, "its second attempt")


def test_nothing_of_a_hostile_job_outlives_a_killed_agent(running: Installation, tmp_path: Path) -> None:
    stubborn_job(running, tmp_path / "pids")
    processes = processes_in(tmp_path / "pids", 4)
    running.component("worker.agent").send(signal.SIGKILL)
    wait_for(lambda: all_gone(processes), 15, "the end of the job's processes")
