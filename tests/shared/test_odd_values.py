"""Whatever job code says, its job can end: what cannot be kept is made fit, or is refused with a clear error."""

from __future__ import annotations

from typing import Any

import pytest

from shared import execute, persist, report
from shared.errors import InvalidInput
from shared.execute import Completed, Failed, Lost
from shared.lifecycle import Event, State
from shared.report import Report
from shared.upkeep.reaper import reap
from tests.shared.kit import Kit


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


ODD: dict[str, Any] = {
    "NUL": "a\0b",
    "NUL in a name": {"a\0": 1},
    "half a surrogate": "\ud800",
    "a large number": 2**70,
    "no number": float("nan"),
    "infinite": [float("-inf")],
    "bytes": b"bytes",
    "an object": {"a": object()},
    "deep": _deep(300),
    "huge": "x" * 40_000_000,
}


@pytest.mark.parametrize("odd", ODD)
def test_an_error_is_recorded_whatever_it_holds(kit: Kit, odd: str) -> None:
    lease = kit.running(max_attempts=1).lease
    kit.finish(lease, Failed({"name": "broken", "message": "why\0", "details": {"value": ODD[odd], "plain": 1}}))
    job = kit.job(lease.job_id)
    assert (job.state, job.error["name"], job.error["message"]) == (State.FAILED, "broken", "why\ufffd")
    assert odd == "huge" or job.error["details"]["plain"] == 1


@pytest.mark.parametrize("odd", ODD)
def test_a_result_that_cannot_be_kept_is_refused_and_the_job_can_still_fail(kit: Kit, odd: str) -> None:
    lease = kit.running(max_attempts=1).lease
    with pytest.raises(InvalidInput, match="result"):
        kit.finish(lease, Completed(ODD[odd]))
    kit.finish(lease, Failed({"name": "no-result"}))
    assert kit.job(lease.job_id).state == State.FAILED


@pytest.mark.parametrize("odd", ODD)
def test_a_state_that_cannot_be_kept_is_refused_and_the_one_before_stays(kit: Kit, odd: str) -> None:
    lease = kit.running().lease
    report.save_checkpoint(kit.store, lease.job_id, lease.attempt, {"step": 1}, [])
    with pytest.raises(InvalidInput, match="state"):
        report.save_checkpoint(kit.store, lease.job_id, lease.attempt, ODD[odd], [])
    kit.finish(lease, execute.Interrupted())
    saved = kit.claim().saved
    assert saved is not None
    assert saved.state == {"step": 1}


def test_a_large_result_of_many_values_is_kept(kit: Kit) -> None:
    lease = kit.running().lease
    result = {"numbers": list(range(150_000)), "deep": _deep(60), "whole": 2**63 - 1, "text": "Grüße 🧬"}
    kit.finish(lease, Completed(result))
    assert kit.job(lease.job_id).result == result


def test_what_a_job_reports_is_cut_to_what_can_be_kept(kit: Kit) -> None:
    lease = kit.running().lease
    odd = [
        Report(stage="s" * 300, message="m" * 3000),
        Report(message="a\0b\ud800c"),
        Report(progress=1.5, done=float("inf"), total=10**400),
        Report(progress=float("nan"), done=-1.0),
    ]
    report.push(kit.store, lease.job_id, lease.attempt, odd, "worker-1")
    first, second, third, fourth = kit.records(lease.job_id)[-4:]
    assert (first.stage, len(first.message)) == ("s" * 200, 2000)
    assert second.message == "a\ufffdb\ufffdc"
    assert (third.progress, third.done, third.total) == (1.0, None, 1e300)
    assert (fourth.progress, fourth.message) == (1.0, "a\ufffdb\ufffdc")


@pytest.mark.parametrize("reason", ["r" * 2001, "a\0b", "\ud800"])
def test_a_reason_that_cannot_be_kept_is_refused(kit: Kit, reason: str) -> None:
    job = kit.queued()
    with pytest.raises(InvalidInput):
        kit.act(Event.CANCEL, job.id, reason=reason)
    assert kit.job(job.id).state == State.QUEUED


@pytest.mark.parametrize(
    "order",
    [
        {"timeout": float("inf")},
        {"timeout": 1e300},
        {"expires_after": 1e30},
        {"expires_after": float("nan")},
        {"backoff": {"first": 1e300, "factor": 1e300, "max": 1e300}},
        {"backoff": {"first": "soon"}},
        {"not_before": 2**63},
        {"title": "a\0b"},
        {"labels": ["a\0b"]},
        {"pause_at": "p" * 201},
        {"extra": {"a": "\ud800"}},
    ],
)
def test_an_order_with_odd_values_is_refused(kit: Kit, order: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        kit.queued(**order)
    assert refused.value.problems[0].field.startswith(next(iter(order)))


@pytest.mark.parametrize("end", ["fail", "reap"])
def test_a_budget_that_is_used_up_by_an_edit_is_refused(kit: Kit, end: str) -> None:
    job = kit.queued(max_attempts=4)
    for _ in range(2):
        kit.finish(kit.claim().lease, Lost({"name": "worker-lost"}))
    with pytest.raises(InvalidInput) as refused:
        persist.edit(kit.store, kit.alice, job.id, {"max_attempts": 2})
    assert refused.value.problems[0].field == "max_attempts"
    persist.edit(kit.store, kit.alice, job.id, {"max_attempts": 3})
    lease = kit.claim().lease
    if end == "fail":
        kit.finish(lease, Failed({"name": "broken"}, retry=True))
    else:
        kit.expire(lease)
        assert reap(kit.store) == 1
    assert (kit.job(job.id).state, kit.job(job.id).burnt) == (State.FAILED, 3)
