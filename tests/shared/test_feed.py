from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.engine import Row

from shared import control, execute, observe, persist
from shared.errors import InvalidInput
from shared.lifecycle import Event
from shared.models import Job, StatusRecord
from shared.persist import Order
from shared.principal import Principal
from shared.store import Store
from tests.waiting import wait_for

JobMaker = Callable[..., Row[Any]]


def _feed(store: Store, who: Principal | None, limit: int = 2, cursor: str | None = None) -> list[tuple[Any, int]]:
    seen: list[tuple[Any, int]] = []
    while True:
        records, cursor = observe.feed(store, who, cursor, limit)
        seen += [(row.job_id, row.seq) for row in records]
        if not records:
            return seen


def test_the_feed_gives_every_record_once_and_in_order(
    store: Store, alice: Principal, bob: Principal, make_job: JobMaker, claim: Any
) -> None:
    jobs = [make_job(owner=owner) for owner in (alice, bob, alice)]
    for _ in jobs:
        lease = claim()
        execute.finish(store, lease, execute.Completed(), by="w")
    everything = _feed(store, None)
    assert len(everything) == len(set(everything)) == 9
    for job in jobs:
        assert [seq for job_id, seq in everything if job_id == job.id] == [1, 2, 3]
    assert _feed(store, bob) == [each for each in everything if each[0] == jobs[1].id]
    end = observe.feed_end(store)
    assert _feed(store, None, cursor=end) == []
    late = make_job()
    assert _feed(store, alice, cursor=end) == [(late.id, 1)]


def test_the_cursor_of_a_cut_feed_moves_on_past_what_others_do(
    store: Store, bob: Principal, make_job: JobMaker
) -> None:
    make_job(owner=bob)
    for _ in range(3):
        make_job()
    records, cursor = observe.feed(store, bob, None, 10)
    assert len(records) == 1
    assert cursor == observe.feed_end(store)
    assert observe.feed(store, bob, cursor, 10) == ([], cursor)


def test_positions_and_cursors(store: Store, make_job: JobMaker) -> None:
    make_job()
    make_job()
    records, cursor = observe.feed(store, None, None, 10)
    assert observe.position(records[0]) < observe.position(records[1])
    assert observe.cursor_at(observe.position(records[1])) == cursor
    assert observe.position_in(cursor) == observe.position(records[1])
    assert observe.feed(store, None, observe.cursor_at(observe.position(records[0])), 10)[0] == records[1:]


def test_made_up_feed_cursors_are_refused(store: Store) -> None:
    for cursor in ("", "1", "-1-2", "1-2-3", "a-b", "1-99999999999999999999", "٣-٣", "1-2\n"):
        with pytest.raises(InvalidInput):
            observe.feed(store, None, cursor, 10)


def test_a_removed_job_leaves_a_tombstone_in_the_feed(store: Store, alice: Principal, make_job: JobMaker) -> None:
    job = make_job()
    control.act(store, alice, Event.CANCEL, job.id)
    cursor = observe.feed_end(store)
    persist.remove(store, alice, job.id)
    assert [(row.job_id, row.event) for row in observe.feed(store, alice, cursor, 10)[0]] == [(job.id, "remove")]


def test_has_ended_before(store: Store, alice: Principal, bob: Principal, make_job: JobMaker) -> None:
    job = make_job()
    start = observe.feed_end(store)
    control.act(store, alice, Event.CANCEL, job.id)
    end = observe.feed_end(store)
    assert not observe.has_ended_before(store, alice, job.id, start)
    assert observe.has_ended_before(store, alice, job.id, end)
    assert not observe.has_ended_before(store, bob, job.id, end)
    assert not observe.has_ended_before(store, alice, uuid4(), end)


def test_no_record_is_skipped_while_many_write_at_once(
    store: Store, alice: Principal, bob: Principal, echo: str
) -> None:
    assert echo
    done = threading.Event()
    seen: list[int] = []

    def write(who: Principal) -> None:
        for _ in range(25):
            persist.submit_batch(store, who, [Order(type="echo"), Order(type="echo")])

    def read() -> None:
        cursor = None
        while True:
            last_round = done.is_set()
            records, cursor = observe.feed(store, None, cursor, 7)
            seen.extend(row.id for row in records)
            if last_round and not records:
                return

    writers = [threading.Thread(target=write, args=(who,)) for who in (alice, bob, alice)]
    reader = threading.Thread(target=read)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    with store.reading() as connection:
        written = set(connection.scalars(select(StatusRecord.id)))
    assert len(seen) == len(set(seen))
    assert set(seen) == written


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_record_of_an_open_transaction_holds_back_those_after_it(
    store: Store, alice: Principal, make_job: JobMaker
) -> None:
    first = make_job()
    start = observe.feed_end(store)
    with ExitStack() as slow:
        tx = slow.enter_context(store.transaction())
        tx.execute(update(Job).where(Job.id == first.id).values(title="slow"))
        second = make_job()
        assert observe.feed(store, None, start, 10)[0] == []
        assert observe.feed(store, alice, start, 10) == ([], start)
    assert [row.job_id for row in observe.feed(store, None, start, 10)[0]] == [second.id]


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_transaction_that_waited_for_a_younger_one_keeps_the_order_of_the_job(
    store: Store, alice: Principal, make_job: JobMaker
) -> None:
    job = make_job()
    older_has_number, younger_is_done = threading.Event(), threading.Event()

    def older() -> None:
        with store.transaction() as tx:
            tx.execute(select(text("pg_current_xact_id()")))
            older_has_number.set()
            assert younger_is_done.wait(10)
            record = {"job_id": job.id, "owner_id": job.owner_id, "seq": 3, "event": "report", "state": "queued"}
            tx.execute(insert(StatusRecord).values(**record, attempt=0, rerun=0, at=0))

    thread = threading.Thread(target=older)
    thread.start()
    assert older_has_number.wait(10)
    persist.edit(store, alice, job.id, {"title": "younger"})
    younger_is_done.set()
    thread.join()
    wait_for(lambda: len(observe.feed(store, None, None, 10)[0]) == 3, 5, "the feed to be settled")
    assert [row.seq for row in observe.feed(store, None, None, 10)[0]] == [1, 2, 3]
