"""advance() does in SQL exactly what the law says, for every event, situation and flag, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared import migrations
from shared.lifecycle import (
    FINAL,
    POSSIBLE_FLAGS,
    WITH_WORKER,
    Ask,
    Effect,
    Event,
    Flag,
    Move,
    Situation,
    State,
    Withdraw,
    effect,
)
from shared.models import Execution, Job, StatusRecord, User
from shared.models.types import boot_id, lease_now
from shared.store import Store, Transaction, advance, append

LEASE = 30_000_000


@pytest.fixture
def migrated(database_url: str) -> Iterator[Store]:
    migrations.upgrade(database_url)
    store = Store(database_url)
    yield store
    store.close()


def _job(tx: Transaction, owner: UUID, situation: Situation, flag: Flag | None) -> UUID:
    job_id = uuid4()
    held_by_worker = situation in WITH_WORKER
    until = lease_now() + (-LEASE if situation is Situation.STRANDED else LEASE)
    lease = {"holder": uuid4(), "lease_until": until, "lease_boot": boot_id()} if held_by_worker else {}
    columns = {
        "id": job_id, "owner_id": owner, "type": "t", "type_version": "1", "revision": "r", "kind": "python",
        "queue": "default", "state": situation.state.value, "flag": flag, "flag_by": "alice" if flag else None,
        "held": situation is Situation.HELD, "attempt": 1, "max_attempts": 3,
    }  # fmt: skip
    tx.execute(insert(Job).values(**columns, **lease))
    tx.execute(insert(Execution).values(job_id=job_id, attempt=1, worker_id=uuid4(), node="n", pid=1))
    return job_id


def _owner(tx: Transaction) -> UUID:
    owner = uuid4()
    tx.execute(insert(User).values(id=owner, name="alice", scopes=[]))
    return owner


def _expected(situation: Situation, flag: Flag | None, what: Effect | None) -> tuple[str, str | None, bool, bool]:
    """State, flag, held, and whether a worker holds the job, after the effect."""
    holds = situation in WITH_WORKER
    match what:
        case None:
            return situation.state.value, flag, situation is Situation.HELD, holds
        case Ask(asked):
            return situation.state.value, asked.value, False, holds
        case Withdraw():
            return situation.state.value, None, False, holds
        case Move(to):
            keeps_cancel = flag is Flag.CANCEL and to is Situation.RUNNING
            return to.state.value, flag if keeps_cancel else None, to is Situation.HELD, to in WITH_WORKER


def _check(tx: Transaction, owner: UUID, event: Event, situation: Situation, flag: Flag | None) -> None:
    job_id = _job(tx, owner, situation, flag)
    what = effect(event, situation, flag)
    claim = {"holder": uuid4(), "lease_until": lease_now() + LEASE, "lease_boot": boot_id()}
    rows = advance(tx, event, Job.id == job_id, by="test", sets=claim if event is Event.CLAIM else None)
    assert len(rows) == (what is not None), (event, situation, flag)
    job = tx.execute(select(*Job.__table__.columns).where(Job.id == job_id)).one()
    found = (job.state, job.flag, job.held, job.holder is not None)
    assert found == _expected(situation, flag, what), (event, situation, flag)
    _check_traces(tx, job, bool(rows), event)


def _check_traces(tx: Transaction, job: Row[Any], moved: bool, event: Event) -> None:
    records = tx.execute(select(*StatusRecord.__table__.columns).where(StatusRecord.job_id == job.id)).all()
    assert [record.seq for record in records] == ([2] if moved else [])
    if moved:
        assert (records[0].state, records[0].flag, records[0].event) == (job.state, job.flag, event.value)
        assert records[0].at == job.updated_at
        assert records[0].ends == (job.state in FINAL)
        assert (job.finished_at is not None) == (job.expires_at is not None) == (job.state in FINAL)


def test_every_event_in_every_situation_under_every_flag(migrated: Store) -> None:
    with migrated.transaction() as tx:
        owner = _owner(tx)
        for event in Event:
            for situation in Situation:
                for flag in POSSIBLE_FLAGS.get(situation, (None,)):
                    _check(tx, owner, event, situation, flag)


def test_an_execution_ends_with_the_event_that_frees_its_job(migrated: Store) -> None:
    with migrated.transaction() as tx:
        job_id = _job(tx, _owner(tx), Situation.RUNNING, None)
        advance(tx, Event.FAIL, Job.id == job_id, by="w", execution={"exit_code": 3})
        execution = tx.execute(select(Execution.outcome, Execution.exit_code, Execution.ended_at)).one()
    assert (execution.outcome, execution.exit_code) == ("fail", 3)
    assert execution.ended_at is not None


def test_the_person_behind_a_flag_is_named_where_the_flag_decides(migrated: Store) -> None:
    with migrated.transaction() as tx:
        job_id = _job(tx, _owner(tx), Situation.RUNNING, Flag.CANCEL)
        tx.execute(update(Job).where(Job.id == job_id).values(flag_by="bob", flag_reason="wrong genome"))
        advance(tx, Event.COMPLETE, Job.id == job_id, by="worker-1")
        record = tx.execute(select(StatusRecord.by, StatusRecord.reason, StatusRecord.state)).one()
    assert tuple(record) == ("bob", "wrong genome", State.CANCELLED)


def test_time_never_goes_back_within_a_job(migrated: Store) -> None:
    with migrated.transaction() as tx:
        job_id = _job(tx, _owner(tx), Situation.RUNNING, None)
        ahead = tx.execute(
            update(Job).values(updated_at=Job.updated_at + 10**12).returning(Job.updated_at)
        ).scalar_one()
        append(tx, Job.id == job_id, event="report", by="w", sets={"message": "hello"})
        assert tx.execute(select(StatusRecord.at)).scalar_one() == ahead


def test_append_refuses_to_write_a_state(migrated: Store) -> None:
    with migrated.transaction() as tx, pytest.raises(ValueError, match="only advance"):
        append(tx, event="report", by="w", sets={"state": "completed"})


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "queued", "flag": "pause", "holder": None},
        {"state": "queued"},
        {"state": "completed"},
        {"state": "running", "holder": None},
        {"burnt": 4, "attempt": 9},
        {"progress": 1.5},
        {"flag": "stop"},
        {"state": "busy"},
        {"held": True},
    ],
)
def test_the_database_itself_refuses_a_row_against_the_law(migrated: Store, columns: dict[str, Any]) -> None:
    """The job is running and held; each case breaks one CHECK of the table."""
    with migrated.transaction() as tx:
        job_id = _job(tx, _owner(tx), Situation.RUNNING, None)
    with pytest.raises(IntegrityError), migrated.transaction() as tx:
        tx.execute(update(Job).where(Job.id == job_id).values(columns))


def test_effects_are_handed_out_after_the_commit_and_not_without_one(migrated: Store) -> None:
    seen: list[set[str]] = []
    migrated.after_commit = lambda effects: seen.append(effects.wake)
    with migrated.transaction() as tx:
        job_id = _job(tx, _owner(tx), Situation.PARKED, None)
        advance(tx, Event.RESUME, Job.id == job_id, by="alice")
        assert seen == []
    assert seen == [{"default"}]
    with pytest.raises(RuntimeError):
        _cancel_and_break(migrated, job_id)
    assert len(seen) == 1


def _cancel_and_break(store: Store, job_id: UUID) -> None:
    with store.transaction() as tx:
        advance(tx, Event.CANCEL, Job.id == job_id, by="alice")
        raise RuntimeError
