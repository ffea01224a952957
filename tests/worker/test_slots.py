from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.waiting import wait_for
from worker import slots
from worker.clocks import NANOSECONDS, boottime_ns
from worker.slots import Flag, Phase, Slot, Slots, Snapshot

JOB = UUID("0190a1b2-c3d4-7000-8000-00000000002a")
OTHER = UUID("0190a1b2-c3d4-7000-8000-00000000002b")


@pytest.fixture
def memory(tmp_path: Path) -> Slots:
    return slots.create(tmp_path / "worker.slots", 3)


@pytest.fixture
def slot(memory: Slots) -> Slot:
    return slots.attach(memory.path).take()


@contextmanager
def forked(body: object) -> Iterator[int]:
    """A process that runs `body()` and then ends with 0; reaped at the end."""
    pid = os.fork()
    if pid == 0:
        try:
            assert callable(body)
            body()
            os._exit(0)
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_what_the_child_writes_is_what_the_agent_reads(memory: Slots, slot: Slot) -> None:
    slot.enter(JOB, 7)
    claimed = memory.snapshot(slot.index)
    assert (claimed.pid, claimed.job_id, claimed.attempt) == (os.getpid(), JOB, 7)
    assert (claimed.phase, claimed.begun, claimed.alive) == (Phase.CLAIMED, False, True)

    slot.body_on(now=5, limit_at=9)
    body = memory.snapshot(slot.index)
    assert (body.phase, body.begun_at, body.limit_at) == (Phase.BODY, 5, 9)
    assert slot.in_body

    slot.body_off()
    assert memory.snapshot(slot.index).phase is Phase.ENDING

    slot.leave()
    idle = memory.snapshot(slot.index)
    assert (idle.job_id, idle.attempt, idle.phase, idle.begun_at) == (None, 0, Phase.IDLE, 0)


def test_a_flag_reaches_its_execution_and_can_be_taken_back(memory: Slots, slot: Slot) -> None:
    slot.enter(JOB, 1)
    assert slot.flag is Flag.NONE
    assert memory.set_flag(slot.index, JOB, 1, Flag.CANCEL, at=33)
    assert (slot.flag, slot.flag_at) == (Flag.CANCEL, 33)
    assert memory.snapshot(slot.index).flag is Flag.CANCEL
    assert memory.set_flag(slot.index, JOB, 1, Flag.NONE, at=34)
    assert not slot.flag
    assert slot.flag_at == 0


@pytest.mark.parametrize(("job", "attempt"), [(OTHER, 1), (JOB, 2)])
def test_a_flag_for_another_execution_is_refused(memory: Slots, slot: Slot, job: UUID, attempt: int) -> None:
    slot.enter(JOB, 1)
    assert not memory.set_flag(slot.index, job, attempt, Flag.CANCEL, at=1)
    assert slot.flag is Flag.NONE


def test_a_flag_does_not_outlive_its_execution(memory: Slots, slot: Slot) -> None:
    slot.enter(JOB, 1)
    memory.set_flag(slot.index, JOB, 1, Flag.CANCEL, at=1)
    slot.leave()
    assert slot.flag is Flag.NONE
    slot.enter(JOB, 1)
    assert slot.flag is Flag.NONE
    assert memory.snapshot(slot.index).flag is Flag.NONE


def test_a_flag_written_after_the_child_moved_on_is_seen_by_nobody(
    memory: Slots, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot.enter(JOB, 1)
    look = memory.snapshot

    def look_and_be_late(index: int) -> Snapshot:
        seen = look(index)
        slot.leave()
        slot.enter(OTHER, 1)
        return seen

    monkeypatch.setattr(memory, "snapshot", look_and_be_late)
    assert memory.set_flag(slot.index, JOB, 1, Flag.CANCEL, at=1)
    assert memory.set_stopped(slot.index, OTHER, 1, stopped=True, at=1)
    monkeypatch.undo()
    assert slot.flag is Flag.NONE
    assert memory.snapshot(slot.index).flag is Flag.NONE
    assert slot.stopped_ns(now=10 * NANOSECONDS) == 0


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("enter"), st.integers(1, 3)),
            st.tuples(st.just("flag"), st.integers(1, 3)),
            st.tuples(st.just("stop"), st.integers(1, 3)),
            st.tuples(st.just("leave"), st.just(0)),
        ),
        max_size=30,
    )
)
def test_whatever_the_order_a_flag_acts_only_on_the_attempt_it_names(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    memory = slots.create(tmp_path_factory.mktemp("slots") / "worker.slots", 1)
    slot = memory.take()
    running, flagged, stopped = 0, False, False
    for step, attempt in steps:
        if step == "enter":
            slot.enter(JOB, attempt)
            running, flagged, stopped = attempt, False, False
        elif step == "leave":
            slot.leave()
            running, flagged, stopped = 0, False, False
        elif step == "flag":
            assert memory.set_flag(0, JOB, attempt, Flag.DRAIN, at=attempt) == (attempt == running)
            flagged |= attempt == running
        else:
            memory.set_stopped(0, JOB, attempt, stopped=True, at=NANOSECONDS)
            stopped |= attempt == running
        assert (slot.flag is Flag.DRAIN) == flagged
        assert slot.flag_at == (running if flagged else 0)
        assert (slot.stopped_ns(3 * NANOSECONDS) == 2 * NANOSECONDS) == stopped
        assert memory.snapshot(0).stopped == stopped


def _run_executions(path: Path, ending: float, wrong: multiprocessing.Queue[str]) -> None:
    slot = slots.attach(path).take()
    attempt, flagged = 0, 0
    while time.monotonic() < ending:
        attempt += 1
        slot.enter(JOB, attempt)
        slot.body_on(now=attempt)
        for _ in range(attempt % 40):
            if slot.flag:
                flagged += 1
                if slot.flag_at != attempt:
                    wrong.put(f"attempt {attempt} saw the flag of {slot.flag_at}")
        slot.leave()
        if slot.flag:
            wrong.put(f"attempt {attempt} left a flag behind")
    wrong.put(f"done {flagged}")


def test_under_load_no_flag_hits_the_next_execution_and_no_snapshot_is_mixed(memory: Slots) -> None:
    context = multiprocessing.get_context("fork")
    wrong: multiprocessing.Queue[str] = context.Queue()
    ending = time.monotonic() + 2
    child = context.Process(target=_run_executions, args=(memory.path, ending, wrong))
    child.start()
    accepted = mixed = 0
    while time.monotonic() < ending:
        seen = memory.snapshot(0)
        if seen.job_id is None:
            mixed += seen.attempt != 0
            continue
        mixed += seen.begun_at not in (0, seen.attempt)
        accepted += memory.set_flag(0, seen.job_id, seen.attempt, Flag.CANCEL, at=seen.attempt)
    last = wrong.get(timeout=10)
    child.join(10)
    assert last.startswith("done"), last
    assert int(last.split()[1]) > 100, "the child saw too few flags for this to prove anything"
    assert accepted > 100
    assert mixed == 0


def test_reading_the_flag_takes_less_than_two_microseconds(memory: Slots, slot: Slot) -> None:
    slot.enter(JOB, 1)
    memory.set_flag(slot.index, JOB, 1, Flag.PAUSE_SUSPEND, at=1)

    def once() -> float:
        begun = time.perf_counter()
        for _ in range(10_000):
            slot.flag  # noqa: B018 - reading it is what is measured
        return (time.perf_counter() - begun) / 10_000

    assert min(once() for _ in range(20)) < 2e-6


def test_time_spent_suspended_adds_up(memory: Slots, slot: Slot) -> None:
    second = NANOSECONDS
    slot.enter(JOB, 1)
    for at, stopped in ((10, True), (11, True), (14, False), (15, False), (20, True)):
        memory.set_stopped(slot.index, JOB, 1, stopped=stopped, at=at * second)
    assert slot.stopped_ns(now=22 * second) == 6 * second
    seen = memory.snapshot(slot.index)
    assert (seen.stopped, seen.stopped_ns) == (True, 4 * second)


def test_each_child_takes_a_slot_of_its_own_and_the_last_is_refused(memory: Slots) -> None:
    taken = [memory.take().index for _ in range(3)]
    assert taken == [0, 1, 2]
    with pytest.raises(LookupError, match="all 3 slots"):
        memory.take()


def test_children_that_start_at_once_never_share_a_slot(tmp_path: Path) -> None:
    memory = slots.create(tmp_path / "worker.slots", 8)
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[int] = context.Queue()
    done = context.Event()

    def child() -> None:
        results.put(slots.attach(memory.path).take().index)
        done.wait(20)

    workers = [context.Process(target=child) for _ in range(8)]
    for worker in workers:
        worker.start()
    indexes = [results.get(timeout=20) for _ in workers]
    done.set()
    for worker in workers:
        worker.join(10)
    assert sorted(indexes) == list(range(8))


def test_the_slot_of_an_idle_dead_child_is_free_again(memory: Slots) -> None:
    with forked(lambda: slots.attach(memory.path).take()) as pid:
        wait_for(lambda: memory.snapshot(0).pid == pid, 5, "the child to take its slot")
        wait_for(lambda: not memory.snapshot(0).alive, 5, "the child to end")
    assert memory.take().index == 0


def test_what_a_dead_child_ran_is_kept_until_the_agent_has_looked(memory: Slots) -> None:
    def work() -> None:
        slots.attach(memory.path).take().enter(JOB, 4)

    with forked(work):
        wait_for(lambda: memory.snapshot(0).job_id and not memory.snapshot(0).alive, 5, "the child to end")
    assert memory.take().index == 1
    seen = memory.snapshot(0)
    assert (seen.job_id, seen.attempt, seen.alive) == (JOB, 4, False)
    assert memory.forget(seen)
    assert memory.snapshot(0).pid == 0
    assert memory.take().index == 0
    assert not memory.forget(seen)


def test_the_slot_of_a_living_child_cannot_be_forgotten(memory: Slots, slot: Slot) -> None:
    slot.enter(JOB, 1)
    assert not memory.forget(memory.snapshot(slot.index))
    assert memory.snapshot(slot.index).job_id == JOB


def test_marks_are_never_used_twice_even_when_a_slot_changes_hands(memory: Slots) -> None:
    marks = []
    for _ in range(5):
        slot = memory.take()
        slot.enter(uuid4(), 1)
        marks.append(memory.snapshot(slot.index).mark)
        slot.give_back()
    assert len(set(marks)) == 5
    assert marks == sorted(marks)


def test_the_fence_passes_when_nobody_moves_it_on(memory: Slots) -> None:
    now = boottime_ns()
    assert not memory.fence_passed(now)
    slots.attach(memory.path).fence_at = now + NANOSECONDS
    assert memory.fence_at == now + NANOSECONDS
    assert not memory.fence_passed(now)
    assert memory.fence_passed(now + 2 * NANOSECONDS)


def test_the_header_tells_of_the_agent_and_of_the_drain(memory: Slots) -> None:
    other = slots.attach(memory.path)
    assert not other.agent_alive()
    memory.set_agent(os.getpid())
    assert other.agent_alive()
    assert other.agent_pid == os.getpid()
    assert not other.draining
    memory.draining = True
    assert other.draining


def test_the_agent_sees_when_a_child_must_not_be_left_stopped(memory: Slots, slot: Slot) -> None:
    slot.mark_in_database(True)
    assert memory.snapshot(slot.index).in_database
    slot.mark_in_database(False)
    assert not memory.snapshot(slot.index).in_database


def test_a_strange_file_is_refused(tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.write_bytes(b"x" * 512)
    with pytest.raises(ValueError, match="not a file of slots"):
        slots.attach(strange)


def test_the_file_is_private_and_replaces_an_older_one(memory: Slots) -> None:
    memory.take()
    fresh = slots.create(memory.path, 2)
    assert fresh.path.stat().st_mode & 0o777 == 0o600
    assert (fresh.count, fresh.snapshots()) == (2, [])
