"""Which job is run next, and how soon."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from shared import persist
from shared.persist import Order
from tests.worker.fleet import Fleet


def test_an_urgent_job_behind_ten_thousand_waiting_ones_starts_next(quick: Fleet, tmp_path: Path) -> None:
    quick.declare()
    gates = [tmp_path / "gate-0", tmp_path / "gate-1"]
    quick.start()
    held = [quick.submit("gated", {"gate": gate}) for gate in gates]
    for job_id in held:
        quick.wait_until(job_id, lambda job: job.stage == "gate")
    persist.submit_batch(quick.store, quick.user, [Order(type="noop")] * 10_000)
    urgent_id = quick.submit("noop", priority=1)
    gates[0].touch()
    urgent = quick.wait(urgent_id, "completed", 30)
    freed = quick.wait(held[0], "completed")
    assert urgent.number > 10_000
    earlier = [job for job in quick.started_before(urgent.started_at) if job.id not in held]
    assert earlier == [], "nothing of the backlog came first"
    assert urgent.started_at - freed.finished_at < 1_000_000
    gates[1].touch()


def test_a_flag_reaches_a_checkpoint_within_a_second(running: Fleet) -> None:
    waits = []
    for _ in range(5):
        job_id = running.submit("sleep", {"seconds": 60})
        running.wait_until(job_id, lambda job: job.stage == "sleep")
        running.pause(job_id, "park")
        job = running.wait(job_id, "paused", 5)
        waits.append((job.state_at - job.flag_at) / 1e6)
        running.cancel(job_id)
    assert statistics.median(waits) < 1.0, waits


@pytest.mark.bench
def test_a_job_submitted_to_an_idle_worker_starts_at_once(running: Fleet) -> None:
    running.wait(running.submit("noop"), "completed")
    waits = []
    for _ in range(21):
        job = running.wait(running.submit("noop"), "completed")
        waits.append((job.started_at - job.created_at) / 1e6)
        time.sleep(0.05)
    print(f"submit to start: median {statistics.median(waits) * 1000:.1f} ms, worst {max(waits) * 1000:.1f} ms")
    assert statistics.median(waits) < 0.1, waits
