from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

from api.native.job_shape import JobSchema
from tests.api.people import Somebody, World


def test_a_submitted_job_is_queued_and_found_where_its_location_says(alice: Somebody) -> None:
    answer = alice.post("/jobs", {"type": "square", "args": {"k": 3}, "title": "three", "labels": ["b", "a"]})
    assert answer.status_code == 201
    job = answer.json
    assert (job["state"], job["owner"], job["labels"], job["version"]) == ("queued", "alice", ["a", "b"], "1")
    assert job["links"]["actions"] == ["pause", "cancel"]
    assert alice.get(answer.headers["Location"]).json == job


def test_a_job_shows_exactly_the_documented_fields(alice: Somebody) -> None:
    assert set(alice.submit()) == set(JobSchema().fields)


def test_a_draft_waits_for_its_submission(alice: Somebody) -> None:
    job = alice.submit(draft=True, args={})
    assert (job["state"], job["links"]["actions"]) == ("draft", ["submit", "cancel"])
    refused = alice.post(f"/jobs/{job['id']}/submit")
    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"].startswith("args")
    assert alice.patch(f"/jobs/{job['id']}", {"args": {"k": 1}}).status_code == 200
    assert alice.post(f"/jobs/{job['id']}/submit").json["state"] == "queued"


MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"type": "nothing"}, "type"),
    ({"args": {"k": -1}}, "args.k"),
    ({"args": {"z": 1}}, "args"),
    ({"state": "completed"}, "state"),
    ({"owner": "bob"}, "owner"),
    ({"priority": True}, "priority"),
    ({"priority": 10**30}, ""),
    ({"title": "x" * 501}, "title"),
    ({"title": "nul \x00"}, "title"),
    ({"not_before": "tomorrow"}, "not_before"),
    ({"not_before": "P99999Y"}, "not_before"),
    ({"timeout": -1}, "timeout"),
    ({"inputs": {"table": "not-a-uuid"}}, "inputs.table"),
    ({"inputs": {"table": str(uuid4())}}, "inputs.table"),
    ({"queue": "no queue"}, "queue"),
    ({"labels": [""]}, "labels.0"),
    ({"pause_at": "dreaming"}, "pause_at"),
    ({"backoff": {"first": 1, "often": 2}}, "backoff.often"),
    ({"extra": [1]}, "extra"),
]


def test_what_does_not_fit_is_refused_by_name(alice: Somebody) -> None:
    for order, field in MISFITS:
        answer = alice.post("/jobs", {"type": "square", "args": {"k": 3}, **order})
        assert (answer.status_code, answer.mimetype) == (422, "application/problem+json"), order
        assert any(problem["field"].startswith(field) for problem in answer.json["errors"]), (order, answer.json)
        assert answer.json["code"] == "invalid-input"


def test_durations_and_instants_are_both_understood(alice: Somebody) -> None:
    job = alice.submit(not_before="2031-01-02T03:04:05+01:00", timeout="PT1H", expires_after=60)
    assert (job["not_before"], job["timeout"]) == ("2031-01-02T02:04:05.000000Z", 3600)
    assert alice.submit(not_before="PT10M")["not_before"] > job["created_at"]


def test_one_key_sent_twenty_times_at_once_gives_one_job(alice: Somebody) -> None:
    barrier = Barrier(20)

    def send(_: int) -> tuple[int, str]:
        barrier.wait()
        answer = alice.post("/jobs", {"type": "square", "args": {"k": 1}}, headers={"Idempotency-Key": "once"})
        return answer.status_code, answer.json["id"]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))
    assert sorted(status for status, _ in answers) == [200] * 19 + [201]
    assert len({job for _, job in answers}) == 1
    assert alice.get("/jobs?total=true").json["total"] == 1


def test_another_body_under_a_key_is_refused(alice: Somebody, bob: Somebody) -> None:
    headers = {"Idempotency-Key": "k"}
    assert alice.post("/jobs", {"type": "square", "args": {"k": 1}}, headers=headers).status_code == 201
    refused = alice.post("/jobs", {"type": "square", "args": {"k": 2}}, headers=headers)
    assert (refused.status_code, refused.json["code"]) == (422, "idempotency-key-reused")
    assert bob.post("/jobs", {"type": "square", "args": {"k": 2}}, headers=headers).status_code == 201


def test_a_batch_is_accepted_as_a_whole(alice: Somebody) -> None:
    jobs = [{"type": "square", "args": {"k": k}} for k in range(50)]
    answer = alice.post("/jobs/batch", {"jobs": jobs}, headers={"Idempotency-Key": "batch"})
    assert (answer.status_code, answer.json["count"]) == (201, 50)
    again = alice.post("/jobs/batch", {"jobs": jobs}, headers={"Idempotency-Key": "batch"})
    assert (again.status_code, again.json) == (200, answer.json)


def test_a_batch_with_one_wrong_job_is_refused_as_a_whole(alice: Somebody) -> None:
    jobs = [{"type": "square", "args": {"k": 1}}, {"type": "square", "args": {"k": "one"}}]
    refused = alice.post("/jobs/batch", {"jobs": jobs})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == "jobs.1.args.k"
    assert alice.get("/jobs?total=true").json["total"] == 0


def test_an_unchanged_job_is_not_sent_again(alice: Somebody) -> None:
    job = alice.submit()
    tag = alice.get(f"/jobs/{job['id']}").headers["ETag"]
    unchanged = alice.get(f"/jobs/{job['id']}", headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    alice.post(f"/jobs/{job['id']}/pause")
    assert alice.get(f"/jobs/{job['id']}", headers={"If-None-Match": tag}).status_code == 200


def test_a_change_meant_for_another_version_is_refused(alice: Somebody) -> None:
    job = alice.submit()
    tag = alice.get(f"/jobs/{job['id']}").headers["ETag"]
    changed = alice.patch(f"/jobs/{job['id']}", {"title": "new"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json["title"]) == (200, "new")
    late = alice.patch(f"/jobs/{job['id']}", {"title": "newer"}, headers={"If-Match": tag})
    assert (late.status_code, late.json["code"]) == (412, "edit-conflict")
    assert alice.patch(f"/jobs/{job['id']}", {"title": "x"}, headers={"If-Match": '"nonsense"'}).status_code == 412


def test_a_running_job_cannot_be_changed(alice: Somebody, world: World) -> None:
    job = alice.submit()
    assert world.claim() is not None
    assert alice.patch(f"/jobs/{job['id']}", {"title": "late"}).status_code == 409


def test_only_a_job_that_has_ended_is_removed(alice: Somebody) -> None:
    job = alice.submit()
    assert alice.delete(f"/jobs/{job['id']}").status_code == 409
    alice.post(f"/jobs/{job['id']}/cancel")
    assert alice.delete(f"/jobs/{job['id']}").status_code == 204
    assert alice.get(f"/jobs/{job['id']}").status_code == 404


def test_why_a_job_waits_is_told(alice: Somebody) -> None:
    job = alice.submit()
    why = alice.get(f"/jobs/{job['id']}/why").json
    assert set(why) == {"reason", "detail", "position", "estimate"}
    assert why["reason"]
