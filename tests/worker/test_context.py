"""What job code holds, over a real slot and a real database."""

from __future__ import annotations

import logging
import timeit
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from longshore.errors import JobCancelled, JobInterrupted, JobParked
from longshore.support import Assignment
from shared import execute, report
from shared.execute import Claimed
from shared.files import FileStore
from shared.store import Store
from tests.worker.fleet import Fleet
from worker import slots
from worker.clocks import boottime_ns
from worker.context import WorkerJob
from worker.ledger import Ledger
from worker.reporter import Reporter
from worker.slots import Flag, Slot, Slots


@dataclass
class Bench:
    """A job in the hands of its code, and what the agent would do to it."""

    store: Store
    worker_id: UUID
    claimed: Claimed
    slots: Slots
    slot: Slot
    job: WorkerJob
    ledger: Ledger

    def flag(self, flag: Flag) -> None:
        lease = self.claimed.lease
        assert self.slots.set_flag(self.slot.index, lease.job_id, lease.attempt, flag, boottime_ns())


@pytest.fixture
def bench(quick: Fleet, tmp_path: Path) -> Iterator[Bench]:
    quick.store.after_commit = None
    quick.declare()
    quick.submit("gated", {"gate": tmp_path / "gate"}, pause_at="gate")
    claimed = execute.claim(quick.store, quick.offer())
    assert claimed is not None
    memory = slots.create(tmp_path / "slots", 1)
    slot = memory.take()
    slot.enter(claimed.lease.job_id, claimed.lease.attempt)

    def push(lease: execute.Lease, reports: object) -> None:
        told = [report.Report(*each) for each in reports]  # type: ignore[attr-defined]
        report.push(quick.store, lease.job_id, lease.attempt, told, "test")

    reporter = Reporter(push, lambda *_: None)
    reporter.begin(claimed.lease)
    files = FileStore(tmp_path / "files")
    ledger = Ledger(claimed.lease, "test", quick.store, files, reporter, nullcontext)
    workdir = tmp_path / "work"
    workdir.mkdir()
    assignment = Assignment(
        id=str(claimed.lease.job_id),
        attempt=1,
        args=None,
        workdir=workdir,
        log=logging.getLogger("test"),
        stages=["before", "gate", "after"],
    )
    yield Bench(
        quick.store, quick.user.user_id, claimed, memory, slot, WorkerJob(assignment, slot, ledger, "gate"), ledger
    )
    reporter.end()


def test_a_checkpoint_with_nothing_asked_costs_less_than_twenty_microseconds(bench: Bench) -> None:
    best = min(timeit.repeat(bench.job.checkpoint, number=2000, repeat=5)) / 2000
    print(f"checkpoint: {best * 1e6:.2f} us")
    assert best < 20e-6


@pytest.mark.parametrize(
    ("flag", "stop"),
    [
        (Flag.CANCEL, JobCancelled),
        (Flag.PAUSE_PARK, JobParked),
        (Flag.DRAIN, JobInterrupted),
        (Flag.STALE, JobInterrupted),
    ],
)
def test_a_flag_stops_the_job_at_its_checkpoint(bench: Bench, flag: Flag, stop: type[BaseException]) -> None:
    bench.flag(flag)
    with pytest.raises(stop):
        bench.job.checkpoint()


def test_a_suspension_is_no_matter_of_the_job(bench: Bench) -> None:
    bench.flag(Flag.PAUSE_SUSPEND)
    bench.job.checkpoint()


def test_what_is_checkpointed_counts_before_the_flag_acts(bench: Bench) -> None:
    (bench.job.workdir / "a.txt").write_text("a")
    bench.flag(Flag.PAUSE_PARK)
    with pytest.raises(JobParked):
        bench.job.checkpoint({"n": 1}, files=["a.txt"])
    execute.finish(bench.store, bench.claimed.lease, execute.Interrupted(), by="test")
    offer = execute.Offer(bench.claimed.owner_id, "w", "n", 1, "default", frozenset({bench.claimed.revision}))
    again = execute.claim(bench.store, offer)
    assert again is not None
    assert again.saved is not None
    assert again.saved.state == {"n": 1}
    assert [each["name"] for each in again.saved.files] == ["a.txt"]
    assert bench.ledger.files.resolve(again.saved.files[0]["path"]).read_text() == "a"


def test_files_of_checkpoints_add_up_and_old_ones_go(bench: Bench) -> None:
    for number in range(4):
        (bench.job.workdir / "a.txt").write_text(str(number))
        (bench.job.workdir / f"b{number}.txt").write_text("b")
        bench.job.checkpoint(number, files=["a.txt", f"b{number}.txt"])
    names = set(bench.ledger.saved_files)
    assert names == {"a.txt", "b0.txt", "b1.txt", "b2.txt", "b3.txt"}
    kept = [path for path in bench.ledger.files.root.rglob("*") if path.is_file()]
    assert len(kept) == 6, "the last checkpoint, and what it replaced"


def test_the_wished_pause_is_asked_for_once(bench: Bench) -> None:
    for stage in ("before", "gate", "after"):
        bench.job.stage(stage)
    assert bench.ledger.reporter.flush(5)
    seen = execute.look(bench.store, bench.worker_id, [bench.claimed.lease])[bench.claimed.lease]
    assert (seen.flag, seen.flag_mode) == ("pause", "park")


def test_an_execution_that_lost_its_job_is_told_at_its_next_write(bench: Bench) -> None:
    execute.finish(bench.store, bench.claimed.lease, execute.Interrupted(), by="test")
    with pytest.raises(JobInterrupted):
        bench.job.checkpoint({"n": 1})
