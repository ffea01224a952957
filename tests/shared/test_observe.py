from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Row

from shared import catalog, control, execute, observe, persist, report
from shared.errors import InvalidInput, NotFound
from shared.lifecycle import Event, State
from shared.models import Execution, Job
from shared.models.types import now
from shared.paging import write_cursor
from shared.presence import WorkerCard, depart, present
from shared.principal import Principal, Scope
from shared.query import Filters
from shared.store import Store

JobMaker = Callable[..., Row[Any]]


def _card(echo: str, **changes: Any) -> WorkerCard:
    card: dict[str, Any] = {"id": uuid4(), "name": "w", "node": "n", "pid": 1, "slots": 2, "queues": ["default"]}
    return WorkerCard(**{**card, "offers": [echo], **changes})


# --------------------------------------------------------------------------------------------- visibility


def test_a_job_is_there_for_its_owner_an_admin_and_its_own_execution(
    store: Store, alice: Principal, bob: Principal, admin: Principal, make_job: JobMaker, claim: Any
) -> None:
    job, other = make_job(), make_job(owner=bob)
    lease = claim()
    assert lease.job_id == job.id
    execution = Principal(alice.user_id, "attempt 1", frozenset({Scope.READ}), execution=(job.id, 1))
    for who in (alice, admin, execution):
        assert observe.get(store, who, job.id).owner == "alice"
        assert len(observe.records(store, who, job.id)) == 2
        assert len(observe.executions(store, who, job.id)) == 1
        assert observe.read_log(store, who, job.id) == (b"", 0, False)
        assert observe.why(store, who, job.id).reason == "running"
    for who, unseen in ((bob, job), (alice, other), (execution, other), (admin, None)):
        missing = unseen.id if unseen else uuid4()
        for look in (observe.get, observe.records, observe.executions, observe.read_log, observe.why):
            with pytest.raises(NotFound):
                look(store, who, missing)
    assert [row.id for row in observe.list_jobs(store, alice).items] == [job.id]
    assert [row.id for row in observe.list_jobs(store, execution).items] == [job.id]
    assert len(observe.list_jobs(store, admin).items) == 2
    assert {row.owner_id for row in observe.feed(store, bob, None, 100)[0]} == {bob.user_id}
    assert observe.feed(store, bob, None, 100, job_id=job.id)[0] == []
    assert {row.job_id for row in observe.feed(store, execution, None, 100)[0]} == {job.id}


def test_a_job_carries_all_its_columns(store: Store, alice: Principal, make_job: JobMaker) -> None:
    job = make_job(args={"k": 1}, labels=["b", "a"])
    row = observe.get(store, alice, job.id)
    assert (row.args, row.labels, row.owner, row.state) == ({"k": 1}, ["a", "b"], "alice", "queued")
    assert {column.name for column in Job.__table__.columns} <= set(row._fields)


# -------------------------------------------------------------------------------------------------- lists


def _pages(
    store: Store, who: Principal, order: str, between: Callable[[], object], limit: int = 3
) -> Iterator[Row[Any]]:
    cursor = None
    while True:
        page = observe.list_jobs(store, who, order=order, limit=limit, cursor=cursor)
        yield from page.items
        if page.next is None:
            return
        cursor = page.next
        between()


@pytest.mark.parametrize(
    "order", ["-created", "created", "-updated", "updated", "priority", "-priority", "title", "-type"]
)
def test_pages_are_exact_while_jobs_come_in(store: Store, alice: Principal, make_job: JobMaker, order: str) -> None:
    before = [make_job(title=f"t{n % 4}", priority=n % 3) for n in range(10)]
    seen = [row.id for row in _pages(store, alice, order, lambda: [make_job(priority=1) for _ in range(2)])]
    assert len(seen) == len(set(seen))
    assert {job.id for job in before} <= set(seen)


def test_orders_are_what_they_say(store: Store, alice: Principal, make_job: JobMaker) -> None:
    jobs = [make_job(title=title, priority=priority) for title, priority in (("b", 1), ("a", 2), ("a", 1))]
    numbers = {job.number: index for index, job in enumerate(jobs)}

    def ordered(order: str) -> list[int]:
        return [numbers[row.number] for row in observe.list_jobs(store, alice, order=order).items]

    assert ordered("created") == [0, 1, 2]
    assert ordered("-created") == [2, 1, 0]
    assert ordered("priority") == [0, 2, 1]
    assert ordered("-priority") == [1, 2, 0]
    assert ordered("title") == [1, 2, 0]
    assert ordered("-updated") == [2, 1, 0]


def test_total_and_counts(store: Store, alice: Principal, bob: Principal, make_job: JobMaker) -> None:
    for _ in range(3):
        make_job()
    make_job(draft=True)
    make_job(owner=bob)
    page = observe.list_jobs(store, alice, Filters(state=["queued"]), limit=1, with_total=True)
    assert (page.total, len(page.items)) == (3, 1)
    assert observe.list_jobs(store, alice).total is None
    counts = observe.counts(store, alice)
    assert (counts["queued"], counts["draft"], counts["failed"]) == (3, 1, 0)
    assert set(counts) == set(State)


def test_limits_are_bounded(store: Store, alice: Principal) -> None:
    for limit in (0, -1, 1001, 10**30):
        with pytest.raises(InvalidInput):
            observe.list_jobs(store, alice, limit=limit)


def test_made_up_cursors_are_refused(store: Store, alice: Principal) -> None:
    keys: list[list[Any]] = [["1"], [True], [1.5], [None], [1, 2], [[1]], [2**64 - 1]]
    made_up = [write_cursor(values, "-created") for values in keys]
    for cursor in ("", "x", "é", "bm8", "A" * 5000, write_cursor([1], "created"), *made_up):
        with pytest.raises(InvalidInput) as error:
            observe.list_jobs(store, alice, cursor=cursor)
        assert error.value.problems[0].field == "cursor"


def test_cursors_with_extreme_values_are_harmless(store: Store, alice: Principal) -> None:
    for value in (2**63 - 1, -(2**63)):
        observe.list_jobs(store, alice, cursor=write_cursor([value], "-created"))
        observe.list_jobs(store, alice, order="priority", cursor=write_cursor([value, value], "priority"))
    with pytest.raises(InvalidInput):
        observe.list_jobs(store, alice, order="title", cursor=write_cursor(["\0", 1], "title"))
    with pytest.raises(InvalidInput):
        observe.list_jobs(store, alice, order="owner")


# ------------------------------------------------------------------------------------- history, executions


def test_history_is_read_in_pieces(store: Store, alice: Principal, make_job: JobMaker, claim: Any) -> None:
    job = make_job()
    lease = claim()
    for number in range(5):
        report.push(store, lease.job_id, lease.attempt, [report.Report(message=str(number))], "w")
    first = observe.records(store, alice, job.id, limit=4)
    rest = observe.records(store, alice, job.id, after=first[-1].seq)
    assert [row.seq for row in (*first, *rest)] == list(range(1, 8))
    assert [row.event for row in first[:2]] == ["submit", "claim"]
    assert observe.records(store, alice, job.id, after=2**40) == []
    execute.finish(store, lease, execute.Completed({"n": 1}), by="w")
    assert observe.executions(store, alice, job.id)[0].outcome == "complete"


# --------------------------------------------------------------------------------------------------- logs


def _write(store: Store, lease: execute.Lease, *pieces: tuple[str, int, bytes], keep: int = 10**6) -> None:
    report.write_log(store, lease.job_id, lease.attempt, [report.LogPiece(*piece) for piece in pieces], keep)


def test_logs_are_read_by_stream_or_interleaved(store: Store, alice: Principal, make_job: JobMaker, claim: Any) -> None:
    job = make_job()
    lease = claim()
    _write(store, lease, ("stdout", 0, b"one\n"), ("stderr", 0, b"oops\n"), ("stdout", 4, b"two\n"))

    def read(**which: Any) -> tuple[bytes, int, bool]:
        return observe.read_log(store, alice, job.id, **which)

    assert read() == (b"one\noops\ntwo\n", 13, False)
    assert read(stream="stdout") == (b"one\ntwo\n", 8, False)
    assert read(stream="log") == (b"", 0, False)
    assert read(offset=2, limit=5) == (b"e\noop", 7, False)
    assert read(stream="stdout", offset=6) == (b"o\n", 8, False)
    assert read(offset=13) == (b"", 13, False)
    assert read(offset=2**50) == (b"", 13, False)
    assert read(tail=2) == (b"oops\ntwo\n", 13, False)
    assert read(tail=0) == (b"", 13, False)
    assert read(tail=99, stream="stderr") == (b"oops\n", 5, False)
    parts, offset = [], 0
    while (piece := read(offset=offset, limit=3))[0]:
        parts.append(piece[0])
        offset = piece[1]
    assert b"".join(parts) == b"one\noops\ntwo\n"
    execute.finish(store, lease, execute.Completed(), by="w")
    assert read(offset=13) == (b"", 13, True)


def test_offsets_stay_true_when_the_oldest_pieces_are_dropped(
    store: Store, alice: Principal, make_job: JobMaker, claim: Any
) -> None:
    job = make_job()
    lease = claim()
    for number in range(10):
        _write(store, lease, ("stdout", number * 10, b"%09d\n" % number), keep=30)
    _write(store, lease, ("stderr", 0, b"end\n"), keep=30)
    assert observe.read_log(store, alice, job.id, stream="stdout", offset=80) == (b"000000008\n000000009\n", 100, False)
    assert observe.read_log(store, alice, job.id, stream="stdout", offset=0)[1] == 100
    assert observe.read_log(store, alice, job.id, offset=95) == (b"0009\nend\n", 104, False)


def test_logs_of_earlier_attempts_stay(store: Store, alice: Principal, make_job: JobMaker, claim: Any) -> None:
    job = make_job(max_attempts=2, backoff={"first": 0, "factor": 1, "max": 0})
    assert observe.read_log(store, alice, job.id) == (b"", 0, False)
    for attempt in (1, 2):
        lease = claim()
        _write(store, lease, ("log", 0, b"attempt %d" % attempt))
        execute.finish(store, lease, execute.Failed({"name": "x", "category": "SYSTEM"}, retry=True), by="w")
    assert observe.read_log(store, alice, job.id) == (b"attempt 2", 9, True)
    assert observe.read_log(store, alice, job.id, attempt=1) == (b"attempt 1", 9, True)
    with pytest.raises(NotFound):
        observe.read_log(store, alice, job.id, attempt=3)
    for wrong in ({"stream": "audit"}, {"offset": -1}, {"offset": 2**70}, {"limit": 0}, {"tail": -1}):
        with pytest.raises(InvalidInput):
            observe.read_log(store, alice, job.id, **wrong)


# ---------------------------------------------------------------------------------------- why, fleet, queues


def test_why_a_queued_job_waits(
    store: Store, alice: Principal, admin: Principal, make_job: JobMaker, echo: str
) -> None:
    job = make_job()

    def reason() -> str:
        return observe.why(store, alice, job.id).reason

    assert reason() == "no-worker"
    draining = _card(echo, draining=True)
    present(store, draining)
    assert reason() == "workers-draining"
    present(store, _card("other revision"))
    assert reason() == "no-code"
    present(store, _card(echo))
    why = observe.why(store, alice, job.id)
    assert (why.reason, why.position, why.estimate) == ("waiting", 1, None)
    catalog.pause_type(store, admin, "echo", "1", "repairs")
    assert "repairs" in observe.why(store, alice, job.id).detail
    assert reason() == "type-paused"
    catalog.pause_queue(store, admin, "default", "night")
    assert reason() == "queue-paused"
    with store.reading() as connection:
        later = connection.execute(select(now())).scalar_one() + 60_000_000
    persist.edit(store, alice, job.id, {"not_before": later})
    assert reason() == "not-before"
    assert observe.why(store, alice, job.id).estimate == later


def test_position_and_estimate(store: Store, alice: Principal, make_job: JobMaker, claim: Any, echo: str) -> None:
    present(store, _card(echo))
    make_job()
    lease = claim()
    execute.finish(store, lease, execute.Completed(), by="w")
    with store.transaction() as tx:
        tx.execute(update(Execution).values(claimed_at=0, ended_at=10_000_000))
    first, second, urgent = make_job(), make_job(), make_job(priority=1)
    later = make_job(not_before=2**52)
    positions = [observe.why(store, alice, job.id).position for job in (urgent, first, second)]
    assert positions == [1, 2, 3]
    assert observe.why(store, alice, later.id).position is None
    estimates = [observe.why(store, alice, job.id).estimate for job in (urgent, first)]
    assert estimates[0] is not None
    assert estimates[1] is not None
    assert 4_000_000 < estimates[1] - estimates[0] < 6_000_000


def test_why_in_other_states(store: Store, alice: Principal, make_job: JobMaker, claim: Any) -> None:
    def reason(job: Row[Any]) -> str:
        return observe.why(store, alice, job.id).reason

    draft, running = make_job(draft=True), make_job()
    claim()
    assert (reason(draft), reason(running)) == ("draft", "running")
    control.act(store, alice, Event.CANCEL, running.id, reason="wrong genome")
    why = observe.why(store, alice, running.id)
    assert why.reason == "cancelling"
    assert "alice (wrong genome)" in why.detail
    parked = make_job()
    control.act(store, alice, Event.PAUSE, parked.id)
    assert reason(parked) == "parked"
    control.act(store, alice, Event.CANCEL, parked.id)
    assert reason(parked) == "cancelled"


def test_workers_and_queues(store: Store, admin: Principal, make_job: JobMaker, echo: str) -> None:
    card, gone = _card(echo), _card(echo, queues=["default", "big"])
    present(store, card)
    present(store, gone)
    claimed = None
    make_job()
    make_job(queue="big")
    claimed = execute.claim(store, execute.Offer(card.id, "w", "n", 1, "default", frozenset({echo})))
    assert claimed is not None
    queues = {view.name: view for view in observe.queues(store)}
    assert (queues["default"].running, queues["default"].queued, queues["default"].slots) == (1, 0, 4)
    assert (queues["big"].due, queues["big"].workers) == (1, 1)
    assert queues["big"].oldest_at is not None
    depart(store, gone.id)
    catalog.pause_queue(store, admin, "big", "full")
    queues = {view.name: view for view in observe.queues(store)}
    big = queues["big"]
    assert (big.paused, big.pause_reason, big.due, big.queued, big.workers) == (True, "full", 0, 1, 0)
    assert [(row.id, row.present, row.holds) for row in observe.workers(store).items] == [(card.id, True, 1)]
    assert len(observe.workers(store, absent=True).items) == 2
    assert not observe.worker(store, gone.id).present
    with pytest.raises(NotFound):
        observe.worker(store, uuid4())
