from __future__ import annotations

import pytest

from shared.execute import Completed, Parked, Stopped, finish
from tests.api.people import Somebody, World


def test_an_action_on_a_waiting_job_is_in_effect_at_once(alice: Somebody) -> None:
    job = alice.submit()["id"]
    paused = alice.post(f"/jobs/{job}/pause", {"reason": "lunch"})
    assert (paused.status_code, paused.json["state"]) == (200, "paused")
    assert paused.json["links"]["actions"] == ["resume", "cancel"]
    resumed = alice.post(f"/jobs/{job}/resume")
    assert (resumed.status_code, resumed.json["state"]) == (200, "queued")
    record = alice.get(f"/jobs/{job}/status-records").json["items"][1]
    assert (record["event"], record["by"], record["reason"]) == ("pause", "alice", "lunch")


def test_an_action_on_a_running_job_is_recorded_and_acknowledged_later(alice: Somebody, world: World) -> None:
    job = alice.submit()["id"]
    claimed = world.claim()
    assert claimed is not None
    asked = alice.post(f"/jobs/{job}/pause", {"mode": "park", "reason": "look"})
    assert (asked.status_code, asked.json["state"], asked.json["view"]) == (202, "running", "pausing")
    assert asked.json["flag"]["kind"] == "pause"
    assert (asked.json["flag"]["mode"], asked.json["flag"]["by"]) == ("park", "alice")
    finish(world.store, claimed.lease, Parked(), by="worker-1")
    job_now = alice.get(f"/jobs/{job}").json
    assert (job_now["state"], job_now["flag"], job_now["suspended"]) == ("paused", None, False)


def test_a_cancelled_job_may_run_again(alice: Somebody, world: World) -> None:
    job = alice.submit()["id"]
    claimed = world.claim()
    assert claimed is not None
    assert alice.post(f"/jobs/{job}/cancel").status_code == 202
    assert alice.post(f"/jobs/{job}/cancel").status_code == 202
    finish(world.store, claimed.lease, Stopped(), by="worker-1")
    assert alice.post(f"/jobs/{job}/cancel").status_code == 200
    again = alice.post(f"/jobs/{job}/rerun")
    assert (again.status_code, again.json["state"], again.json["rerun"]) == (200, "queued", 1)


@pytest.mark.parametrize("action", ["submit", "pause", "resume", "cancel", "rerun"])
def test_nothing_moves_a_completed_job(alice: Somebody, world: World, action: str) -> None:
    job = alice.submit()["id"]
    claimed = world.claim()
    assert claimed is not None
    finish(world.store, claimed.lease, Completed({"square": 9}), by="worker-1")
    refused = alice.post(f"/jobs/{job}/{action}")
    assert (refused.status_code, refused.json["code"]) == (409, "not-possible")
    done = alice.get(f"/jobs/{job}").json
    assert (done["state"], done["result"], done["links"]["actions"]) == ("completed", {"square": 9}, [])


def test_a_mode_that_the_job_type_lacks_is_refused(alice: Somebody) -> None:
    job = alice.submit(type="count", args={})["id"]
    refused = alice.post(f"/jobs/{job}/pause", {"mode": "park"})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "mode")


def test_an_action_on_all_that_match_counts_what_it_did(alice: Somebody, bob: Somebody, world: World) -> None:
    for _ in range(3):
        alice.submit(labels=["night"])
    alice.submit()
    bob.submit(labels=["night"])
    assert world.claim() is not None
    wanted = {"action": "pause", "filter": {"label": ["night"]}, "reason": "day"}
    dry = alice.post("/jobs/actions", {**wanted, "dry_run": True})
    assert dry.json == {"matched": 3, "changed": 0, "flagged": 0, "refused": 0}
    done = alice.post("/jobs/actions", wanted)
    assert done.json == {"matched": 3, "changed": 2, "flagged": 1, "refused": 0}
    assert bob.get("/jobs?state=queued&total=true").json["total"] == 1


def test_a_filter_must_say_something(alice: Somebody) -> None:
    assert alice.post("/jobs/actions", {"action": "cancel", "filter": {}}).status_code == 422
    assert alice.post("/jobs/actions", {"action": "complete", "filter": {"q": "x"}}).status_code == 422


def test_a_bulk_action_needs_the_scope_of_the_action(world: World) -> None:
    reader = world.user("reader", ["jobs:read"])
    refused = reader.post("/jobs/actions", {"action": "cancel", "filter": {"query": {}}})
    assert (refused.status_code, refused.json["code"]) == (403, "not-permitted")
