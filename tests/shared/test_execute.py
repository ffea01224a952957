"""Running: which job is claimed, the fence on every write, what failing, losing and saving lead to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import select, text, update

from shared import catalog, execute, persist, report
from shared.errors import OutcomeUnknown, StaleExecution
from shared.execute import Completed, Failed, Interrupted, Lost, Parked
from shared.lifecycle import Event, Flag, PauseMode, State
from shared.models import Job, LogChunk
from shared.persist import Order
from shared.report import LogPiece, Report
from shared.upkeep.reaper import reap
from tests.shared.kit import DECLARATION, Kit


def test_the_most_urgent_then_the_oldest_is_claimed(kit: Kit) -> None:
    persist.submit_batch(kit.store, kit.alice, [Order("count")] * 50)
    urgent = kit.queued(priority=1)
    assert kit.claim().lease.job_id == urgent.id
    first = kit.claim().lease.job_id
    assert kit.job(first).number == 1


def test_what_is_not_due_is_not_claimed(kit: Kit) -> None:
    kit.queued(queue="other")
    kit.queued(not_before=2**60)
    kit.act(Event.PAUSE, kit.queued().id)
    kit.queued(draft=True)
    assert execute.claim(kit.store, kit.offer) is None


def test_paused_queues_and_types_and_foreign_revisions_wait(kit: Kit) -> None:
    job = kit.queued()
    assert execute.claim(kit.store, replace(kit.offer, revisions=frozenset())) is None
    catalog.pause_type(kit.store, kit.admin, "count", "1", "maintenance")
    assert execute.claim(kit.store, kit.offer) is None
    catalog.resume_type(kit.store, kit.admin, "count", "1")
    catalog.pause_queue(kit.store, kit.admin, "default", "maintenance")
    assert execute.claim(kit.store, kit.offer) is None
    catalog.resume_queue(kit.store, kit.admin, "default")
    assert kit.claim().lease.job_id == job.id


def test_a_changed_declaration_with_the_same_interface_is_still_offered(kit: Kit) -> None:
    kit.queued()
    changed = {**DECLARATION, "timeout": 60}
    catalog.declare(kit.store, [changed], "worker-2")
    revisions = catalog.offered(kit.store, [changed])
    assert execute.claim(kit.store, replace(kit.offer, revisions=revisions)) is not None


def test_claims_at_once_take_each_job_once(kit: Kit) -> None:
    jobs = persist.submit_batch(kit.store, kit.alice, [Order("count")] * 40).jobs
    with ThreadPoolExecutor(8) as threads:
        claimed = list(threads.map(lambda _: execute.claim(kit.store, kit.offer), range(60)))
    leases = [each.lease.job_id for each in claimed if each]
    assert sorted(leases) == sorted(job.id for job in jobs)


def test_finish_claims_the_next_in_the_same_transaction(kit: Kit) -> None:
    claimed = kit.running()
    following = kit.queued()
    ended = execute.finish(kit.store, claimed.lease, Completed({"n": 1}), by="w", then=kit.offer)
    assert ended.next is not None
    assert ended.next.lease.job_id == following.id
    job = kit.job(claimed.lease.job_id)
    assert (job.state, job.result, job.progress, job.holder) == (State.COMPLETED, {"n": 1}, 1.0, None)


def test_a_failure_that_may_pass_is_tried_again_until_the_budget_is_burnt(kit: Kit) -> None:
    lease = kit.running(max_attempts=3).lease
    for attempt in (1, 2):
        assert kit.finish(lease, Failed({"name": "boom"}, retry=True)).state is State.QUEUED
        assert kit.job(lease.job_id).burnt == attempt
        lease = kit.claim().lease
    assert kit.finish(lease, Failed({"name": "boom"}, retry=True)).state is State.FAILED
    assert [execution.outcome for execution in kit.executions(lease.job_id)] == ["retry", "retry", "fail"]


def test_a_failure_for_good_is_not_tried_again(kit: Kit) -> None:
    lease = kit.running(max_attempts=3).lease
    assert kit.finish(lease, Failed({"name": "bad-input"}, exit_code=2)).state is State.FAILED
    assert kit.executions(lease.job_id)[0].exit_code == 2


def test_the_pause_between_attempts_grows_to_its_limit(kit: Kit) -> None:
    lease = kit.running(max_attempts=10, backoff={"first": 2, "factor": 3, "max": 10}).lease
    waits = []
    for _ in range(4):
        kit.finish(lease, Failed({"name": "boom"}, retry=True))
        job = kit.job(lease.job_id)
        waits.append(round((job.not_before - job.updated_at) / 1e6))
        with kit.store.transaction() as tx:
            tx.execute(update(Job).values(not_before=None))
        lease = kit.claim().lease
    assert waits == [2, 6, 10, 10]


def test_a_lost_execution_burns_and_names_the_signal(kit: Kit) -> None:
    lease = kit.running(max_attempts=2).lease
    assert kit.finish(lease, Lost({"name": "killed"}, signal=9)).state is State.QUEUED
    lease = kit.claim().lease
    assert kit.finish(lease, Lost({"name": "killed"}, signal=9)).state is State.FAILED
    assert [execution.signal for execution in kit.executions(lease.job_id)] == [9, 9]
    assert kit.job(lease.job_id).error == {"name": "killed"}


def test_parking_and_interruption_burn_nothing(kit: Kit) -> None:
    lease = kit.running(max_attempts=1).lease
    kit.act(Event.PAUSE, lease.job_id)
    assert kit.finish(lease, Parked()).state is State.PAUSED
    kit.act(Event.RESUME, lease.job_id)
    lease = kit.claim().lease
    assert kit.finish(lease, Interrupted()).state is State.QUEUED
    assert kit.job(lease.job_id).burnt == 0


def test_every_write_of_a_stale_execution_is_refused(kit: Kit) -> None:
    stale = kit.running(max_attempts=3).lease
    kit.expire(stale)
    assert reap(kit.store) == 1
    kit.claim()
    with pytest.raises(StaleExecution):
        kit.finish(stale, Completed("zombie"))
    with pytest.raises(StaleExecution):
        report.push(kit.store, stale.job_id, stale.attempt, [Report(stage="first")], "w")
    with pytest.raises(StaleExecution):
        report.save_checkpoint(kit.store, stale.job_id, stale.attempt, {}, [])
    with pytest.raises(StaleExecution):
        execute.suspend(kit.store, stale, "w")
    assert execute.heartbeat(kit.store, kit.offer.worker_id, [stale], 30) == {}
    assert kit.job(stale.job_id).state == State.RUNNING


def test_the_reaper_leaves_valid_leases_and_rescues_void_ones(kit: Kit) -> None:
    kept = kit.running().lease
    suspended = kit.running().lease
    kit.act(Event.PAUSE, suspended.job_id, mode=PauseMode.SUSPEND)
    execute.suspend(kit.store, suspended, "w")
    cancelled = kit.running().lease
    kit.act(Event.CANCEL, cancelled.job_id)
    for lease in (suspended, cancelled):
        kit.expire(lease)
    assert reap(kit.store) == 2
    assert kit.job(kept.job_id).state == State.RUNNING
    parked = kit.job(suspended.job_id)
    assert (parked.state, parked.holder, parked.burnt) == (State.PAUSED, None, 0)
    assert kit.job(cancelled.job_id).state == State.CANCELLED


def test_a_heartbeat_renews_and_brings_flags(kit: Kit) -> None:
    lease = kit.running().lease
    kit.act(Event.CANCEL, lease.job_id)
    before = kit.job(lease.job_id)
    seen = execute.heartbeat(kit.store, kit.offer.worker_id, [lease], 300)[lease]
    assert (seen.state, seen.flag) == (State.RUNNING, Flag.CANCEL)
    assert 0 <= seen.flag_age < 30
    after = kit.job(lease.job_id)
    assert after.lease_until > before.lease_until
    assert after.version == before.version
    assert execute.heartbeat(kit.store, uuid4(), [lease], 300) == {}


def test_the_next_attempt_gets_what_was_saved(kit: Kit) -> None:
    lease = kit.running().lease
    assert list(report.save_checkpoint(kit.store, lease.job_id, 1, {"n": 1}, [{"name": "a", "path": "p1"}])) == []
    assert report.save_checkpoint(kit.store, lease.job_id, 1, {"n": 2}, []) == [{"name": "a", "path": "p1"}]
    kit.finish(lease, Lost({"name": "killed"}, signal=9))
    saved = kit.claim().saved
    assert saved is not None
    assert (saved.state, list(saved.files)) == ({"n": 2}, [])


def test_reports_are_recorded_in_order_and_an_exact_repeat_is_the_same_record(kit: Kit) -> None:
    lease = kit.running().lease
    said = [Report(stage="first"), Report(progress=0.5, done=1, total=2), Report(message="half way")]
    report.push(kit.store, lease.job_id, 1, said, "w")
    records = kit.records(lease.job_id)[-3:]
    assert [(r.stage, r.progress, r.message) for r in records] == [
        ("first", 0.0, ""),
        ("first", 0.5, ""),
        ("first", 0.5, "half way"),
    ]
    once = report.push_once(kit.store, lease.job_id, 1, Report(message="again"), "w")
    assert report.push_once(kit.store, lease.job_id, 1, Report(message="again"), "w").id == once.id


def test_log_pieces_are_kept_once_and_the_oldest_go_first(kit: Kit) -> None:
    lease = kit.running().lease
    pieces = [LogPiece("stdout", n * 10, b"0123456789") for n in range(10)]
    for _ in range(2):
        report.write_log(kit.store, lease.job_id, 1, pieces, keep_bytes=1000)
    report.write_log(kit.store, lease.job_id, 1, [LogPiece("stdout", 100, b"x" * 10)], keep_bytes=50)
    with kit.store.reading() as connection:
        starts = connection.execute(select(LogChunk.start).order_by(LogChunk.start)).scalars().all()
    assert starts == [60, 70, 80, 90, 100]


def test_a_job_pauses_itself_where_it_was_wished(kit: Kit) -> None:
    claimed = kit.running(pause_at="second")
    assert claimed.pause_at == "second"
    execute.pause_self(kit.store, claimed.lease, "reached stage second", kit.alice.name)
    assert kit.job(claimed.lease.job_id).flag == "pause"
    assert kit.finish(claimed.lease, Parked()).state is State.PAUSED
    kit.act(Event.RESUME, claimed.lease.job_id)
    assert kit.claim().pause_at is None


@pytest.mark.parametrize("result", [1, 1.5, True, None, "text", "12", [1], {"a": None}, -(2**53)])
def test_a_result_comes_back_as_it_was_given(kit: Kit, result: object) -> None:
    """A lone number broke the reading of its job on SQLite."""
    lease = kit.running().lease
    kit.finish(lease, Completed(result))
    assert kit.job(lease.job_id).result == result


def test_what_is_said_again_because_its_answer_was_lost_is_no_mistake(kit: Kit) -> None:
    lease = kit.running().lease
    output = report.Output(uuid4(), "a.txt", "jobs/a", 1, bytes(32), "text/plain")
    for _ in range(2):
        report.save_output(kit.store, lease.job_id, lease.attempt, output)
    kit.act(Event.PAUSE, lease.job_id, mode=PauseMode.SUSPEND)
    assert [execute.suspend(kit.store, lease, "w") for _ in range(2)] == [State.PAUSED, State.PAUSED]
    assert kit.events(lease.job_id).count("suspend") == 1
    kit.expire(lease)
    reap(kit.store)
    with pytest.raises(StaleExecution):
        execute.suspend(kit.store, lease, "w")


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_commit_without_an_answer_is_not_called_undone(kit: Kit) -> None:
    def lose_the_connection() -> None:
        with kit.store.transaction() as tx:
            backend = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with kit.store.reading() as other:
                other.execute(text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})

    with pytest.raises(OutcomeUnknown):
        lose_the_connection()
