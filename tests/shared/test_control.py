"""Steering: what is in effect at once, what is flagged, what is refused, and who is named for it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import insert, true

from shared import catalog, control, persist
from shared.errors import InvalidInput, NotFound, NotPossible
from shared.execute import Completed, Failed, Parked, Stopped, suspend
from shared.lifecycle import Event, PauseMode, State
from shared.models import Job, StoredFile
from shared.persist import Order
from shared.report import save_checkpoint
from tests.shared.kit import Kit


def test_a_waiting_job_is_paused_resumed_and_cancelled_at_once(kit: Kit) -> None:
    job = kit.queued()
    for event, state in ((Event.PAUSE, State.PAUSED), (Event.RESUME, State.QUEUED), (Event.CANCEL, State.CANCELLED)):
        answer = kit.act(event, job.id, reason=f"why {event}")
        assert (answer.in_effect, answer.job.state) == (True, state)
    assert [(r.event, r.by, r.reason) for r in kit.records(job.id)[1:]] == [
        ("pause", kit.alice.name, "why pause"),
        ("resume", kit.alice.name, "why resume"),
        ("cancel", kit.alice.name, "why cancel"),
    ]


def test_a_running_job_is_flagged_and_its_worker_acknowledges(kit: Kit) -> None:
    lease = kit.running().lease
    answer = kit.act(Event.CANCEL, lease.job_id, reason="wrong input")
    assert (answer.in_effect, answer.job.state, answer.job.flag) == (False, State.RUNNING, "cancel")
    assert kit.finish(lease, Stopped()).state is State.CANCELLED
    last = kit.records(lease.job_id)[-1]
    assert (last.event, last.by, last.reason) == ("stop", kit.alice.name, "wrong input")


def test_asking_for_what_holds_changes_nothing(kit: Kit) -> None:
    job = kit.queued()
    for event in (Event.PAUSE, Event.PAUSE, Event.RESUME, Event.RESUME, Event.CANCEL, Event.CANCEL):
        assert kit.act(event, job.id).in_effect
    assert kit.events(job.id) == ["submit", "pause", "resume", "cancel"]


@pytest.mark.parametrize(
    ("event", "sentence"), [(Event.PAUSE, "completed"), (Event.RERUN, "failed"), (Event.CANCEL, "completed")]
)
def test_what_is_not_possible_is_refused_and_says_from_where_it_is(kit: Kit, event: Event, sentence: str) -> None:
    lease = kit.running().lease
    kit.finish(lease, Completed(1))
    with pytest.raises(NotPossible, match=sentence):
        kit.act(event, lease.job_id)


def test_somebody_elses_job_is_not_there(kit: Kit) -> None:
    job = kit.queued()
    with pytest.raises(NotFound):
        control.act(kit.store, kit.bob, Event.CANCEL, job.id)
    assert control.act(kit.store, kit.admin, Event.CANCEL, job.id).job.state == State.CANCELLED


def test_the_pause_mode_is_the_job_types_first_unless_named(kit: Kit) -> None:
    lease = kit.running().lease
    assert kit.act(Event.PAUSE, lease.job_id).job.flag_mode == "park"
    kit.act(Event.RESUME, lease.job_id)
    assert kit.act(Event.PAUSE, lease.job_id, mode=PauseMode.SUSPEND).job.flag_mode == "suspend"


def test_a_mode_the_job_type_does_not_know_is_refused(kit: Kit) -> None:
    catalog.declare(kit.store, [{"kind": "python", "name": "stiff", "version": "1", "pause": ["park"]}], "w")
    job = persist.submit(kit.store, kit.alice, Order("stiff")).jobs[0]
    with pytest.raises(InvalidInput) as refused:
        kit.act(Event.PAUSE, job.id, mode=PauseMode.SUSPEND)
    assert refused.value.problems[0].field == "mode"


def test_a_suspended_job_goes_on_where_it_stands(kit: Kit) -> None:
    lease = kit.running().lease
    kit.act(Event.PAUSE, lease.job_id, mode=PauseMode.SUSPEND)
    assert suspend(kit.store, lease, "worker-1") is State.PAUSED
    answer = kit.act(Event.RESUME, lease.job_id)
    assert (answer.in_effect, answer.job.state, answer.job.attempt) == (True, State.RUNNING, 1)
    assert kit.finish(lease, Completed(None)).state is State.COMPLETED


def test_a_withdrawn_pause_queues_the_job_that_had_parked_for_it(kit: Kit) -> None:
    lease = kit.running().lease
    kit.act(Event.PAUSE, lease.job_id)
    kit.act(Event.RESUME, lease.job_id)
    assert kit.finish(lease, Parked()).state is State.QUEUED


def test_a_rerun_starts_afresh_with_a_full_budget(kit: Kit) -> None:
    lease = kit.running(max_attempts=1).lease
    save_checkpoint(kit.store, lease.job_id, lease.attempt, {"at": 5}, [])
    kit.finish(lease, Failed({"name": "boom"}, retry=True))
    assert kit.job(lease.job_id).state == State.FAILED
    kit.act(Event.RERUN, lease.job_id, reason="fixed")
    job = kit.job(lease.job_id)
    assert (job.state, job.burnt, job.rerun, job.error, job.finished_at) == (State.QUEUED, 0, 1, None, None)
    again = kit.claim()
    assert (again.lease.attempt, again.saved) == (2, None)


def test_an_action_on_all_that_match_counts_what_it_did(kit: Kit) -> None:
    done = kit.running().lease
    kit.finish(done, Completed(None))
    running = kit.running().lease
    queued = [kit.queued().id for _ in range(3)]
    others = persist.submit(kit.store, kit.bob, Order("count")).jobs[0]
    everything = true()
    assert control.act_on_all(kit.store, kit.alice, Event.CANCEL, everything, dry_run=True).matched == 5
    counts = control.act_on_all(kit.store, kit.alice, Event.CANCEL, everything, reason="stop all")
    assert counts == control.Counts(matched=5, changed=3, flagged=1, refused=1)
    assert {kit.job(job_id).state for job_id in queued} == {State.CANCELLED}
    assert kit.job(running.job_id).flag == "cancel"
    assert kit.job(others.id).state == State.QUEUED
    assert kit.job(done.job_id).state == State.COMPLETED


def test_a_bulk_action_goes_in_chunks(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CHUNK", 10)
    persist.submit_batch(kit.store, kit.alice, [Order("count")] * 25)
    assert control.act_on_all(kit.store, kit.alice, Event.PAUSE, Job.state == "queued").changed == 25


def test_a_draft_gives_nobody_a_file_of_somebody_else(kit: Kit) -> None:
    """Not even when an admin, who sees all files, submits it."""
    catalog.declare(kit.store, [{"kind": "python", "name": "reader", "inputs": {"text": {}}}], "worker-1")
    file_id = uuid4()
    with kit.store.transaction() as tx:
        row = {"id": file_id, "owner_id": kit.bob.user_id, "role": "input", "name": "a", "path": "uploads/a", "size": 1}
        tx.execute(insert(StoredFile).values(**row, sha256=bytes(32), media_type="text/plain"))
    order = Order("reader", inputs={"text": str(file_id)}, draft=True)
    draft = persist.submit(kit.store, kit.alice, order).jobs[0]
    with pytest.raises(InvalidInput):
        control.act(kit.store, kit.admin, Event.SUBMIT, draft.id)
    draft = persist.submit(kit.store, kit.bob, order).jobs[0]
    assert control.act(kit.store, kit.admin, Event.SUBMIT, draft.id).job.state == State.QUEUED
