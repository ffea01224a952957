"""What is promised in seconds, with the protocol's usual times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.valkey import ValkeyServer
from tests.waiting import wait_for
from tests.worker.fleet import Fleet, fleet
from tests.worker.test_agent_control import lives, pids_of
from tests.worker.test_agent_faults import start_counting

pytestmark = pytest.mark.slow


@pytest.fixture
def usual(tmp_path: Path, chosen_database_url: str, chosen_broker_url: str) -> Iterator[Fleet]:
    with fleet(tmp_path, chosen_database_url, chosen_broker_url) as made:
        yield made


def test_a_lost_worker_is_replaced_within_forty_seconds(usual: Fleet, tmp_path: Path) -> None:
    usual.declare()
    trace = tmp_path / "trace"
    first = usual.start()
    job_id, _ = start_counting(usual, trace, upto=100)
    usual.start()
    first.kill_all()
    lost_at = time.monotonic()
    wait_for(lambda: usual.job(job_id).attempt == 2, 45, "a new attempt")
    assert time.monotonic() - lost_at < 40
    job = usual.wait(job_id, "completed", 60)
    assert (job.burnt, job.result["counted"]) == (1, 100)


def test_a_cancel_leaves_nothing_after_fifteen_seconds(usual: Fleet, tmp_path: Path) -> None:
    usual.start()
    pids = tmp_path / "pids"
    job_id = usual.submit("stubborn", {"pids": pids, "deaf": True})
    wait_for(lambda: len(pids_of(pids)) == 4, 20, "the job's processes to start")
    usual.cancel(job_id)
    asked_at = time.monotonic()
    wait_for(lambda: not [pid for pid in pids_of(pids) if lives(pid)], 20, "all processes to end")
    assert time.monotonic() - asked_at < 15
    usual.wait(job_id, "cancelled", 5)


def test_a_flag_arrives_within_five_seconds_while_the_broker_is_down(usual: Fleet, valkey: ValkeyServer) -> None:
    usual.start()
    job_id = usual.submit("sleep", {"seconds": 60})
    usual.wait_until(job_id, lambda job: job.stage == "sleep")
    valkey.kill()
    usual.pause(job_id, "park")
    job = usual.wait(job_id, "paused", 10)
    assert (job.state_at - job.flag_at) / 1e6 < 5
