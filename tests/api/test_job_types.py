from __future__ import annotations

from tests.api.people import COUNT, Somebody, World


def test_a_command_is_defined_revised_and_retired(admin: Somebody, alice: Somebody) -> None:
    made = admin.post("/job-types", {**COUNT, "name": "lines", "stages": ["count"]})
    assert (made.status_code, made.json["kind"], made.json["version"]) == (201, "command", "1")
    assert admin.post("/job-types", {**COUNT, "name": "lines"}).status_code == 409
    job = alice.submit(type="lines", args={})
    revised = admin.patch("/job-types/lines/1", {"title": "Count lines"})
    assert (revised.status_code, revised.json["title"]) == (200, "Count lines")
    assert alice.get(f"/jobs/{job['id']}").json["revision"] == made.json["revision"]
    assert len(alice.get("/job-types/lines/1/revisions").json["items"]) == 2
    assert admin.delete("/job-types/lines/1").status_code == 409
    assert admin.patch("/job-types/lines/1", {"active": False}).json["active"] is False
    refused = alice.post("/jobs", {"type": "lines", "args": {}})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "type")


def test_a_declaration_that_is_wrong_is_refused_by_name(admin: Somebody) -> None:
    for wrong in (
        {"name": "x"},
        {**COUNT, "name": "no name"},
        {**COUNT, "stages": "one"},
        {**COUNT, "surprise": 1},
        {**COUNT, "kind": "python"},
        {**COUNT, "args": {"type": "nonsense"}},
    ):
        answer = admin.post("/job-types", wrong)
        assert answer.status_code == 422, (wrong, answer.text)
        assert answer.json["errors"], wrong


def test_a_paused_type_takes_jobs_and_starts_none(admin: Somebody, alice: Somebody, world: World) -> None:
    paused = admin.post("/job-types/square/1/pause", {"reason": "new release"})
    assert (paused.status_code, paused.json["paused"], paused.json["pause_reason"]) == (200, True, "new release")
    alice.submit()
    assert world.claim() is None
    assert admin.post("/job-types/square/1/resume").json["paused"] is False
    assert world.claim() is not None


def test_a_paused_queue_takes_jobs_and_starts_none(admin: Somebody, alice: Somebody, world: World) -> None:
    assert admin.post("/queues/default/pause", {"reason": "maintenance"}).status_code == 204
    job = alice.submit()["id"]
    assert world.claim() is None
    [queue] = [each for each in alice.get("/queues").json["items"] if each["name"] == "default"]
    assert (queue["paused"], queue["pause_reason"], queue["queued"]) == (True, "maintenance", 1)
    assert "pause" in alice.get(f"/jobs/{job}/why").json["reason"]
    assert admin.post("/queues/default/resume").status_code == 204
    assert world.claim() is not None
