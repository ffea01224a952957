"""A worker while the database, or the broker, is away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.servers.postgres import PostgresServer
from tests.servers.processes import server_directory, unprivileged_user
from tests.servers.valkey import ValkeyServer
from tests.waiting import wait_for
from tests.worker.conftest import QUICK
from tests.worker.fleet import Fleet, fleet
from tests.worker.test_agent_control import lives
from tests.worker.test_agent_faults import start_counting

pytestmark = pytest.mark.faults


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A cluster that this test may stop."""
    with server_directory("pg", unprivileged_user()) as directory:
        server = PostgresServer(directory)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def on_postgres(tmp_path: Path, own_postgres: PostgresServer, valkey: ValkeyServer) -> Iterator[Fleet]:
    with fleet(tmp_path, own_postgres.url(own_postgres.create_database()), valkey.url, **QUICK) as made:
        yield made


def test_a_short_outage_of_the_database_is_ridden_out(
    on_postgres: Fleet, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    on_postgres.start()
    trace = tmp_path / "trace"
    job_id, child = start_counting(on_postgres, trace, upto=80)
    own_postgres.stop()
    time.sleep(0.7)  # the outage itself; well below the fence
    own_postgres.start()
    job = on_postgres.wait(job_id, "completed", 30)
    assert (job.attempt, job.burnt, job.result["counted"]) == (1, 0, 80)
    assert lives(child)
    numbers = [int(line.split()[2]) for line in trace.read_text().splitlines()]
    assert numbers == list(range(80)), "nothing is done twice"
    done = [record.done for record in on_postgres.records(job_id) if record.event == "report"]
    assert done == sorted(done, key=lambda each: each or 0), "reports are in order"


def test_a_long_outage_ends_the_job_before_its_lease_and_burns_nothing(
    on_postgres: Fleet, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    on_postgres.start()
    job_id, child = start_counting(on_postgres, tmp_path / "trace", upto=60)
    own_postgres.stop()
    wait_for(lambda: not lives(child), QUICK["fence"] + 1.5, "the job to be killed by the fence")
    own_postgres.start()
    job = on_postgres.wait(job_id, "completed", 40)
    assert (job.burnt, job.result["counted"]) == (0, 60)
    assert "interrupt" in on_postgres.events(job_id)


def test_a_frozen_worker_kills_its_job_as_soon_as_it_thaws(on_postgres: Fleet, tmp_path: Path) -> None:
    quick = on_postgres
    worker = quick.start()
    trace = tmp_path / "trace"
    job_id, child = start_counting(quick, trace, upto=40)
    frozen = worker.tree()
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    quick.start()
    wait_for(lambda: quick.job(job_id).attempt == 2, 30, "another worker to take the job")
    for process in reversed(frozen):
        if psutil.pid_exists(process.pid):
            process.send_signal(signal.SIGCONT)
    wait_for(lambda: not lives(child), 3, "the zombie to be killed")
    job = quick.wait(job_id, "completed", 30)
    assert (job.burnt, job.result) == (1, {"counted": 40, "attempt": 2})


# ----------------------------------------------------------------------------------------------- broker


def test_a_broker_that_is_away_disturbs_no_job_and_flags_arrive_by_heartbeat(
    quick: Fleet, valkey: ValkeyServer
) -> None:
    quick.start()
    job_id = quick.submit("sleep", {"seconds": 60})
    quick.wait_until(job_id, lambda job: job.stage == "sleep")
    valkey.kill()
    asked = time.monotonic()
    quick.cancel(job_id)
    quick.wait(job_id, "cancelled", 5)
    assert time.monotonic() - asked < 5
    waiting = quick.submit("noop")
    valkey.restart()
    quick.wait(waiting, "completed", 30)


def test_wake_ups_that_were_lost_are_replaced(quick: Fleet, valkey: ValkeyServer) -> None:
    quick.courier.close()
    quick.store.after_commit = None
    worker = quick.start()
    job_id = quick.submit("noop")
    with valkey.client() as client:
        client.flushall()
    quick.wait(job_id, "completed", 20)
    assert worker.alive()


def test_one_wake_up_delivered_fifty_times_gives_one_execution(quick: Fleet) -> None:
    quick.store.after_commit = None
    quick.declare()
    job_id = quick.submit("noop")
    quick.wire.wake("default", [f"{job_id}.1"] * 50)
    quick.start()
    quick.wait(job_id, "completed")
    wait_for(lambda: quick.wire.depth("default") == 0, 20, "all messages to be taken")
    assert len(quick.executions(job_id)) == 1
    assert quick.events(job_id) == ["submit", "claim", "complete"]


def test_celery_main_still_watches_its_pool_after_the_broker_was_away(quick: Fleet, valkey: ValkeyServer) -> None:
    quick.start(slots=1)
    quick.wait(quick.submit("noop"), "completed")
    valkey.kill()
    valkey.restart()
    for _ in range(3):
        job_id = quick.submit("sleep", {"seconds": 60}, max_attempts=1)
        # Its code must have begun: a job that was only claimed goes back to the queue unburnt.
        quick.wait_until(job_id, lambda job: job.stage == "sleep", 30)
        os.kill(quick.executions(job_id)[0].pid, signal.SIGKILL)
        quick.wait(job_id, "failed", 5)
        quick.wait(quick.submit("noop"), "completed", 4)
