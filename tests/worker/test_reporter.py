"""Reports are written in order, coalesced, and never doubled, also while the database is away."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from uuid import uuid4

import pytest

from longshore.progress import Report
from shared.errors import StaleExecution, Unavailable
from shared.execute import Lease
from shared.report import LogPiece
from tests.waiting import wait_for
from worker.backlog import MAX_LOG, MAX_STAGES, Backlog
from worker.reporter import Reporter


class Book:
    """Where reports go, with a door that can be shut."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.pieces: list[LogPiece] = []
        self.times: list[float] = []
        self.error: Exception | None = None
        self.reporter = Reporter(self.push, self.write)
        self.lease = Lease(uuid4(), 1)
        self.reporter.begin(self.lease)

    def push(self, lease: Lease, reports: Sequence[Report]) -> None:
        assert lease is self.lease
        self._pass()
        self.reports += reports
        self.times += [time.monotonic()] * len(reports)

    def write(self, lease: Lease, pieces: Sequence[LogPiece]) -> None:
        assert lease is self.lease
        self._pass()
        self.pieces += pieces

    def _pass(self) -> None:
        if self.error is not None:
            raise self.error

    def stage(self, name: str) -> None:
        self.reporter.report(Report(stage=name), stage_changed=True)

    def progress(self, done: float) -> None:
        self.reporter.report(Report(stage="s", done=done), stage_changed=False)


@pytest.fixture
def book() -> Iterator[Book]:
    made = Book()
    yield made
    made.error = None
    made.reporter.end()


def test_a_stage_is_written_at_once(book: Book) -> None:
    begun = time.monotonic()
    book.stage("first")
    wait_for(lambda: book.reports, 2, "the stage")
    assert book.times[0] - begun < 0.25


def test_progress_is_written_twice_a_second_at_most_and_its_last_value_always(book: Book) -> None:
    end = time.monotonic() + 1.3
    for number in itertools.count():
        book.progress(number)
        if time.monotonic() > end:
            break
    assert book.reporter.flush(5)
    assert book.reports[-1].done == number
    assert len(book.reports) <= 5
    gaps = [later - earlier for earlier, later in itertools.pairwise(book.times[:-1])]
    assert all(gap >= 0.45 for gap in gaps), gaps


def test_the_last_word_on_a_stage_comes_before_the_next_stage(book: Book) -> None:
    book.stage("s")
    book.progress(7)
    book.stage("next")
    assert book.reporter.flush(5)
    assert [(report.stage, report.done) for report in book.reports] == [("s", None), ("s", 7), ("next", None)]


def test_an_outage_loses_doubles_and_reorders_nothing(book: Book) -> None:
    book.error = Unavailable()
    for number in range(20):
        book.stage(f"stage-{number}")
        book.reporter.write("log", b"%d\n" % number)
    assert not book.reporter.flush(0.3)
    book.error = None
    assert book.reporter.flush(5)
    assert [report.stage for report in book.reports] == [f"stage-{number}" for number in range(20)]
    assert b"".join(piece.data for piece in book.pieces) == b"".join(b"%d\n" % number for number in range(20))
    starts = [piece.start for piece in book.pieces]
    lengths = [len(piece.data) for piece in book.pieces]
    assert starts == [0, *itertools.accumulate(lengths)][:-1]


def test_a_stale_execution_is_heard_no_more(book: Book) -> None:
    book.error = StaleExecution()
    book.stage("late")
    assert book.reporter.flush(5)
    assert book.reporter.stale
    book.error = None
    book.stage("later")
    assert book.reporter.flush(5)
    assert book.reports == []


def test_an_error_of_one_report_stops_no_other(book: Book) -> None:
    book.error = ValueError("cannot be stored")
    book.stage("bad")
    assert book.reporter.flush(5)
    book.error = None
    book.stage("good")
    assert book.reporter.flush(5)
    assert [report.stage for report in book.reports] == ["good"]


def test_many_threads_may_report(book: Book) -> None:
    def speak() -> None:
        for _ in range(500):
            book.reporter.write("stdout", b"x")

    threads = [threading.Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert book.reporter.flush(5)
    assert sum(len(piece.data) for piece in book.pieces) == 2000


def test_the_backlog_is_bounded_and_says_what_it_dropped() -> None:
    backlog = Backlog()
    for number in range(MAX_STAGES + 10):
        backlog.report(Report(stage=str(number)), 0.0, stage_changed=True)
    for _ in range(70):
        backlog.write("stdout", b"x" * 100_000, 0.0)
    batch = backlog.take(10.0, everything=True)
    assert len(batch.reports) == MAX_STAGES
    assert batch.reports[-1].stage == str(MAX_STAGES + 9)
    assert sum(len(data) for stream, data in batch.log if stream == "stdout") <= MAX_LOG
    assert b"bytes of log were dropped" in batch.log[0][1]
