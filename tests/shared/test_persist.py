"""Accepting jobs: once under a key, all or nothing, and what may still be changed or removed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from shared import persist
from shared.errors import EditConflict, InvalidInput, KeyReused, NotFound, NotPossible
from shared.execute import Completed
from shared.lifecycle import Event, State
from shared.models import AuditEntry, Job, JobLabel, StatusRecord
from shared.persist import Order
from tests.shared.kit import Kit


def _count(kit: Kit, table: type) -> int:
    with kit.store.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_job_is_stored_with_its_first_record_and_wakes_its_queue(kit: Kit) -> None:
    woken: list[set[str]] = []
    kit.store.after_commit = lambda effects: woken.append(effects.wake)
    job = kit.queued(args={"n": 3}, labels=[" b", "a", "a"], queue="quick")
    assert (job.state, job.labels, job.queue, job.owner) == (State.QUEUED, ["a", "b"], "quick", kit.alice.name)
    assert [(record.seq, record.event, record.state) for record in kit.records(job.id)] == [(1, "submit", "queued")]
    assert woken == [{"quick"}]


def test_what_does_not_fit_the_job_type_is_refused_with_the_field_named(kit: Kit) -> None:
    with pytest.raises(InvalidInput) as refused:
        kit.queued(args={"n": -1}, queue="no/such", timeout=0.0, pause_at="third")
    assert {problem.field for problem in refused.value.problems} == {"args.n", "queue", "pause_at", "timeout"}
    assert _count(kit, Job) == _count(kit, StatusRecord) == 0


def test_a_batch_is_all_or_nothing_and_names_the_place(kit: Kit) -> None:
    with pytest.raises(InvalidInput) as refused:
        persist.submit_batch(kit.store, kit.alice, [Order("count"), Order("count"), Order("count", args={"n": "x"})])
    assert [problem.field for problem in refused.value.problems] == ["jobs.2.args.n"]
    with pytest.raises(InvalidInput) as refused:
        persist.submit_batch(kit.store, kit.alice, [Order("count", args={"n": "x"})])
    assert [problem.field for problem in refused.value.problems] == ["jobs.0.args.n"]
    assert _count(kit, Job) == 0


def test_every_wrong_job_of_a_batch_is_named(kit: Kit) -> None:
    """Only the first was, so that a batch with ten mistakes took ten tries."""
    orders = [Order("count", args={"n": "x"}), Order("count"), Order("count", timeout=-1.0)]
    with pytest.raises(InvalidInput) as refused:
        persist.submit_batch(kit.store, kit.alice, orders)
    assert [problem.field for problem in refused.value.problems] == ["jobs.0.args.n", "jobs.2.timeout"]


def test_a_large_batch_keeps_its_order(kit: Kit) -> None:
    orders = [Order("count", args={"n": n}) for n in range(2500)]
    jobs = persist.submit_batch(kit.store, kit.alice, orders, key="big", body=b"b").jobs
    assert [job.args["n"] for job in jobs] == list(range(2500))
    again = persist.submit_batch(kit.store, kit.alice, orders, key="big", body=b"b")
    assert not again.created
    assert [job.id for job in again.jobs] == [job.id for job in jobs]


def test_one_key_twenty_times_at_once_is_one_job(kit: Kit) -> None:
    def submit(_: int) -> persist.Submitted:
        return persist.submit(kit.store, kit.alice, Order("count"), key="once", body=b"{}")

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(submit, range(20)))
    assert sum(answer.created for answer in answers) == 1
    assert len({answer.jobs[0].id for answer in answers}) == 1
    assert _count(kit, Job) == 1


def test_a_key_with_another_body_is_refused_and_another_owners_key_is_another_key(kit: Kit) -> None:
    persist.submit(kit.store, kit.alice, Order("count"), key="k", body=b"1")
    with pytest.raises(KeyReused):
        persist.submit(kit.store, kit.alice, Order("count"), key="k", body=b"2")
    assert persist.submit(kit.store, kit.bob, Order("count"), key="k", body=b"2").created


def test_a_key_is_not_used_up_by_a_refusal(kit: Kit) -> None:
    with pytest.raises(InvalidInput):
        persist.submit(kit.store, kit.alice, Order("count", args={"n": "x"}), key="k", body=b"1")
    assert persist.submit(kit.store, kit.alice, Order("count"), key="k", body=b"2").created


def test_a_draft_waits_and_is_checked_when_it_is_submitted(kit: Kit) -> None:
    draft = kit.queued(draft=True, args={"n": "not a number"})
    assert draft.state == State.DRAFT
    with pytest.raises(InvalidInput):
        kit.act(Event.SUBMIT, draft.id)
    persist.edit(kit.store, kit.alice, draft.id, {"args": {"n": 1}})
    assert kit.act(Event.SUBMIT, draft.id).job.state == State.QUEUED
    assert kit.events(draft.id) == ["submit", "edit", "submit"]


def test_edit_changes_a_waiting_job_once(kit: Kit) -> None:
    job = kit.queued(labels=["old"])
    edited = persist.edit(kit.store, kit.alice, job.id, {"priority": 5, "labels": ["new"]}, version=job.version)
    assert (edited.priority, edited.labels, edited.version) == (5, ["new"], job.version + 1)
    with pytest.raises(EditConflict):
        persist.edit(kit.store, kit.alice, job.id, {"priority": 6}, version=job.version)
    with kit.store.reading() as connection:
        assert connection.execute(select(JobLabel.label)).scalars().all() == ["new"]


def test_a_running_job_cannot_be_edited_nor_anybody_elses(kit: Kit) -> None:
    lease = kit.running().lease
    with pytest.raises(NotPossible):
        persist.edit(kit.store, kit.alice, lease.job_id, {"priority": 5})
    with pytest.raises(NotFound):
        persist.edit(kit.store, kit.bob, lease.job_id, {"priority": 5})
    with pytest.raises(InvalidInput) as refused:
        persist.edit(kit.store, kit.alice, lease.job_id, {"state": "completed"})
    assert [problem.field for problem in refused.value.problems] == ["state"]


def test_removal_takes_the_history_and_leaves_a_tombstone(kit: Kit) -> None:
    claimed = kit.running()
    job_id = claimed.lease.job_id
    with pytest.raises(NotPossible):
        persist.remove(kit.store, kit.alice, job_id)
    kit.finish(claimed.lease, Completed(None))
    with pytest.raises(NotFound):
        persist.remove(kit.store, kit.bob, job_id)
    persist.remove(kit.store, kit.alice, job_id)
    assert [(record.event, record.by) for record in kit.records(job_id)] == [("remove", kit.alice.name)]
    assert _count(kit, Job) == 0
    with kit.store.reading() as connection:
        assert f"job/{job_id}" in connection.execute(select(AuditEntry.target)).scalars().all()
    with pytest.raises(NotFound):
        persist.remove(kit.store, kit.alice, uuid4())
