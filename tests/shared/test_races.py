"""Two sides at once, a thousand times: whoever wins, there is one outcome, and each answer agrees with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from threading import Barrier
from typing import Any, TypeVar

import pytest
from sqlalchemy import delete, exists, select, true

from shared import catalog, control, execute, persist
from shared.control import Answer
from shared.errors import InvalidInput, NotPossible
from shared.execute import Completed, Lease, Parked, Stopped
from shared.lifecycle import FINAL, Event, State
from shared.models import Job, Revision, StatusRecord
from shared.persist import Order
from tests.shared.kit import Kit

RACES = 1000
T = TypeVar("T")
U = TypeVar("U")


class Together:
    """Lets two calls start at the same moment, each in a thread of its own that is kept."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2)
        self._barrier = Barrier(2, timeout=30)

    def __enter__(self) -> Together:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def run(self, one: Callable[[], T], other: Callable[[], U]) -> tuple[T, U]:
        futures = self._threads.submit(self._wait, one), self._threads.submit(self._wait, other)
        return futures[0].result(), futures[1].result()

    def _wait(self, call: Callable[[], Any]) -> Any:
        self._barrier.wait()
        return call()


def _asked(kit: Kit, event: Event, lease: Lease) -> Answer | None:
    """The answer to an action, or None for a refusal (409)."""
    try:
        return kit.act(event, lease.job_id)
    except NotPossible:
        return None


def _check_histories(kit: Kit, finals: int) -> None:
    """Every job's history is gapless, in order of time, and has exactly one final record, the last, if any."""
    with kit.store.reading() as connection:
        records = connection.execute(
            select(*StatusRecord.__table__.columns).order_by(StatusRecord.job_id, StatusRecord.seq)
        ).all()
        states = {row.id: row.state for row in connection.execute(select(Job.id, Job.state))}
    for job_id, group in groupby(records, lambda record: record.job_id):
        history = list(group)
        assert [record.seq for record in history] == list(range(1, len(history) + 1))
        assert [record.at for record in history] == sorted(record.at for record in history)
        assert [record.ends for record in history[:-1]] == [False] * (len(history) - 1)
        assert history[-1].state == states[job_id]
        assert history[-1].ends == (history[-1].state in FINAL)
    assert sum(record.ends for record in records) == finals


def _waiting(kit: Kit) -> None:
    persist.submit_batch(kit.store, kit.alice, [Order(type="count")] * RACES)


@pytest.mark.slow
def test_cancel_against_completion(kit: Kit) -> None:
    outcomes: Counter[tuple[int, str]] = Counter()
    _waiting(kit)
    with Together() as together:
        for _ in range(RACES):
            lease = kit.claim().lease
            answer, ended = together.run(
                lambda lease=lease: _asked(kit, Event.CANCEL, lease),  # type: ignore[misc]  # bound at once
                lambda lease=lease: kit.finish(lease, Completed({"n": 1})),  # type: ignore[misc]  # bound at once
            )
            code = 409 if answer is None else 200 if answer.in_effect else 202
            assert (code, ended.state) in {(202, State.CANCELLED), (409, State.COMPLETED)}
            outcomes[code, ended.state.value] += 1
    print(dict(outcomes))
    _check_histories(kit, RACES)


@pytest.mark.slow
def test_pause_against_completion(kit: Kit) -> None:
    """A pause that was accepted holds the outcome back; resume then makes it final."""
    _waiting(kit)
    with Together() as together:
        for _ in range(RACES):
            lease = kit.claim().lease
            answer, ended = together.run(
                lambda lease=lease: _asked(kit, Event.PAUSE, lease),  # type: ignore[misc]  # bound at once
                lambda lease=lease: kit.finish(lease, Completed({"n": 1})),  # type: ignore[misc]  # bound at once
            )
            if answer is None:
                assert ended.state is State.COMPLETED
            else:
                assert (answer.in_effect, ended.state) == (False, State.PAUSED)
                assert kit.act(Event.RESUME, lease.job_id).job.state == State.COMPLETED
    _check_histories(kit, RACES)


@pytest.mark.slow
def test_withdrawal_of_a_pause_against_parking(kit: Kit) -> None:
    """Whether the resume or the park comes first, the job is queued again and has no flag."""
    _waiting(kit)
    with Together() as together:
        for _ in range(RACES):
            lease = kit.claim().lease
            kit.act(Event.PAUSE, lease.job_id)
            answer, ended = together.run(
                lambda lease=lease: _asked(kit, Event.RESUME, lease),  # type: ignore[misc]  # bound at once
                lambda lease=lease: kit.finish(lease, Parked()),  # type: ignore[misc]  # bound at once
            )
            assert answer is not None
            assert answer.in_effect
            assert ended.state in {State.QUEUED, State.PAUSED}
            job = kit.job(lease.job_id)
            assert (job.state, job.flag, job.holder) == (State.QUEUED, None, None)
            kit.act(Event.CANCEL, lease.job_id)
    _check_histories(kit, RACES)


@pytest.mark.slow
def test_resume_against_cancel(kit: Kit) -> None:
    """A cancel that was accepted is never undone by a resume."""
    _waiting(kit)
    with Together() as together:
        for _ in range(RACES):
            lease = kit.claim().lease
            kit.act(Event.PAUSE, lease.job_id)
            cancelled, _ = together.run(
                lambda lease=lease: _asked(kit, Event.CANCEL, lease),  # type: ignore[misc]  # bound at once
                lambda lease=lease: _asked(kit, Event.RESUME, lease),  # type: ignore[misc]  # bound at once
            )
            assert cancelled is not None
            assert not cancelled.in_effect
            assert kit.finish(lease, Stopped()).state is State.CANCELLED
    _check_histories(kit, RACES)


def test_changes_of_many_jobs_never_wait_for_each_other_in_a_circle(kit: Kit) -> None:
    """Heartbeats and bulk actions lock rows in one order; PostgreSQL used to break deadlocks between them."""
    persist.submit_batch(kit.store, kit.alice, [Order("count", priority=-number % 7) for number in range(100)])
    leases = [kit.claim().lease for _ in range(100)]

    def act(event: Event) -> None:
        for _ in range(30):
            control.act_on_all(kit.store, kit.alice, event, true())

    def beat() -> None:
        for _ in range(60):
            assert len(execute.heartbeat(kit.store, kit.offer.worker_id, leases, 30.0)) == len(leases)

    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(act, Event.PAUSE), threads.submit(act, Event.RESUME), *map(threads.submit, [beat] * 2)]
    for call in calls:
        call.result()


def test_no_job_is_accepted_whose_type_is_being_removed(kit: Kit) -> None:
    """Such a job could never be run: its declaration would be gone."""

    def submit() -> None:
        with suppress(InvalidInput):
            persist.submit(kit.store, kit.alice, Order("brief"))

    def remove() -> None:
        with suppress(NotPossible):
            catalog.remove(kit.store, kit.admin, "brief", "1")

    with Together() as together:
        for _ in range(100):
            catalog.declare(kit.store, [{"kind": "python", "name": "brief"}], "worker-1")
            together.run(submit, remove)
            declared = exists().where(Revision.hash == Job.revision)
            with kit.store.transaction() as tx:
                assert tx.execute(select(Job.id).where(~declared)).all() == []
                tx.execute(delete(Job))
