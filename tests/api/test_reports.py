from __future__ import annotations

from shared.execute import Completed, finish
from tests.api.people import Somebody, World


def test_an_execution_reports_with_its_own_token(alice: Somebody, world: World) -> None:
    job, execution, claimed = world.execution(alice)
    pushed = execution.post(f"/jobs/{job}/status-records", {"stage": "align", "done": 1, "total": 4, "progress": 0.25})
    assert (pushed.status_code, pushed.json["seq"], pushed.json["event"]) == (201, 3, "report")
    shown = alice.get(f"/jobs/{job}").json
    assert (shown["stage"], shown["progress"], shown["done"], shown["total"]) == ("align", 0.25, 1, 4)
    finish(world.store, claimed.lease, Completed(), by="worker-1")
    history = alice.get(f"/jobs/{job}/status-records").json["items"]
    assert [record["event"] for record in history] == ["submit", "claim", "report", "complete"]
    assert [record["seq"] for record in alice.get(f"/jobs/{job}/status-records?after=2&limit=1").json["items"]] == [3]
    [run] = alice.get(f"/jobs/{job}/executions").json["items"]
    assert (run["attempt"], run["node"], run["outcome"]) == (1, "node-1", "complete")


def test_the_same_report_again_gives_the_same_record(alice: Somebody, world: World) -> None:
    job, execution, _ = world.execution(alice)
    first = execution.post(f"/jobs/{job}/status-records", {"message": "halfway"})
    assert execution.post(f"/jobs/{job}/status-records", {"message": "halfway"}).json == first.json


def test_a_report_that_is_wrong_is_refused(alice: Somebody, world: World) -> None:
    job, execution, _ = world.execution(alice)
    for wrong in ({}, {"progress": 1.5}, {"state": "completed"}, {"stage": ""}, {"sequence": 1}):
        assert execution.post(f"/jobs/{job}/status-records", wrong).status_code == 422, wrong


def test_a_log_is_read_by_offset_and_by_tail(alice: Somebody, world: World) -> None:
    job, _, _ = world.execution(alice)
    nothing = alice.get(f"/jobs/{job}/logs")
    assert (nothing.status_code, nothing.text, nothing.headers["X-Next-Offset"]) == (200, "", "0")
    assert nothing.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert alice.get(f"/jobs/{job}/logs?attempt=2").status_code == 404
    assert alice.get(f"/jobs/{job}/logs?stream=stdin").status_code == 422
