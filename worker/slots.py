"""Shared memory of one worker launch: a slot per pool child, and a header for all.

A child writes what it runs, the agent writes what is asked of that execution, and each reads the other's half
without a lock or a system call. An execution is named in the slot by its `mark`, a number that is never used
twice, and the flag carries the mark of the execution it is meant for in the same 64-bit word: so a flag that
comes late is seen by nobody, and in particular not by the next job.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from worker import trees
from worker.slot_layout import (
    LINE,
    MAGIC,
    MASK,
    Cell,
    Flag,
    Header,
    Phase,
    clear,
    flag_in,
    flag_word,
    note_stop,
    time_in,
)

__all__ = ["Flag", "Phase", "Slot", "Slots", "Snapshot", "attach", "create"]


@dataclass(frozen=True)
class Snapshot:
    """One slot as it was at one moment. Times are nanoseconds of CLOCK_BOOTTIME; 0 stands for none."""

    index: int
    pid: int
    """0: nobody holds the slot"""
    started: int
    """start time of the child, in clock ticks since boot"""
    mark: int = 0
    """names this execution among all that the slot ever held; 0: it runs none"""
    job_id: UUID | None = None
    attempt: int = 0
    phase: Phase = Phase.IDLE
    begun_at: int = 0
    """when job code was first entered; 0 while it has not begun"""
    limit_at: int = 0
    """when the time limit passes, not counting time spent stopped; 0: no limit"""
    in_database: bool = False
    """whether the child holds a transaction: it must not be left stopped now"""
    flag: Flag = Flag.NONE
    flag_at: int = 0
    stopped: bool = False
    """whether the agent has suspended the execution"""
    stopped_ns: int = 0
    """how long it was suspended before, in nanoseconds, the present suspension not included"""

    @property
    def begun(self) -> bool:
        """Whether job code was entered."""
        return self.begun_at > 0

    @property
    def alive(self) -> bool:
        """Whether the child that holds the slot still lives."""
        return trees.alive(self.pid, self.started)


class Slots:
    """The slots of one launch, in a file that all its processes map."""

    def __init__(self, path: Path) -> None:
        """Attach to an existing file. ValueError if it is none of ours."""
        self.path = path
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._header = Header.from_buffer(self._memory)
        self.count = int(self._header.count)
        if self._header.magic != MAGIC or len(self._memory) != LINE * (self.count + 1):
            raise ValueError(f"{path} is not a file of slots")
        self._cells = [Cell.from_buffer(self._memory, LINE * (index + 1)) for index in range(self.count)]
        self._writing = threading.Lock()

    # -------------------------------------------------------------------------------------------- header

    @property
    def fence_at(self) -> int:
        """When all jobs of this worker must be dead unless it is moved on: ns of CLOCK_BOOTTIME, 0 for never."""
        return int(self._header.fence_at)

    @fence_at.setter
    def fence_at(self, deadline: int) -> None:
        self._header.fence_at = deadline

    def fence_passed(self, now: int) -> bool:
        """Whether the worker has lost its right to run jobs; `now` is `boottime_ns()`."""
        deadline = self.fence_at
        return 0 < deadline < now

    @property
    def draining(self) -> bool:
        """Whether the worker shuts down and claims nothing more."""
        return bool(self._header.draining)

    @draining.setter
    def draining(self, yes: bool) -> None:
        self._header.draining = int(yes)

    @property
    def agent_pid(self) -> int:
        """The agent's process; 0 while there was none."""
        return int(self._header.agent_pid)

    def set_agent(self, pid: int) -> None:
        """Makes `pid` known as the agent."""
        self._header.agent_started = trees.start_time(pid) or 0
        self._header.agent_pid = pid

    def agent_alive(self) -> bool:
        """Whether the agent that was last made known still lives."""
        return trees.alive(self.agent_pid, int(self._header.agent_started))

    # ------------------------------------------------------------------------------------ the agent's half

    def snapshot(self, index: int) -> Snapshot:
        """One slot, all fields of the same execution."""
        cell = self._cells[index]
        while True:
            mark = int(cell.mark)
            seen = self._copy(index, mark) if mark else self._empty(index)
            # A child writes what it runs while its mark is 0: under one mark all of it is of one execution.
            if cell.mark == mark:
                return seen

    def snapshots(self) -> list[Snapshot]:
        """All slots that somebody holds or held."""
        return [each for each in map(self.snapshot, range(self.count)) if each.pid]

    def set_flag(self, index: int, job_id: UUID, attempt: int, flag: Flag, at: int) -> bool:
        """Ask an execution for something; False, and no effect, if the slot no longer runs that one.

        `at` is when it was asked, in ns of CLOCK_BOOTTIME. The caller pokes the child afterwards (SIGUSR2).
        """
        with self._writing:
            mark = self._mark_of(index, job_id, attempt)
            if mark:
                self._cells[index].flag_at = at
                self._cells[index].flag = flag_word(flag, mark)
            return mark != 0

    def set_stopped(self, index: int, job_id: UUID, attempt: int, *, stopped: bool, at: int) -> bool:
        """Note that the agent has stopped an execution, or let it go on: its time limit stands still meanwhile."""
        with self._writing:
            mark = self._mark_of(index, job_id, attempt)
            if mark:
                note_stop(self._cells[index], mark, stopped=stopped, at=at)
            return mark != 0

    def forget(self, seen: Snapshot) -> bool:
        """Free the slot of a dead child, once what it ran is ended; False if it has changed hands since."""
        with self._writing, self._locked():
            cell = self._cells[seen.index]
            if (cell.pid, cell.started, cell.mark) != (seen.pid, seen.started, seen.mark) or seen.alive:
                return False
            clear(cell)
            return True

    def _mark_of(self, index: int, job_id: UUID, attempt: int) -> int:
        seen = self.snapshot(index)
        return seen.mark if (seen.job_id, seen.attempt) == (job_id, attempt) else 0

    def _copy(self, index: int, mark: int) -> Snapshot:
        cell = self._cells[index]
        flag = flag_in(cell.flag, mark)
        return Snapshot(
            index=index,
            pid=int(cell.pid),
            started=int(cell.started),
            mark=mark,
            job_id=UUID(int=cell.job_high << 64 | cell.job_low),
            attempt=int(cell.attempt),
            phase=Phase(cell.phase),
            begun_at=int(cell.begun_at),
            limit_at=int(cell.limit_at),
            in_database=bool(cell.in_database),
            flag=flag,
            flag_at=int(cell.flag_at) if flag else 0,
            stopped=time_in(cell.stopped_since, mark) > 0,
            stopped_ns=time_in(cell.stopped_for, mark),
        )

    def _empty(self, index: int) -> Snapshot:
        cell = self._cells[index]
        return Snapshot(index, int(cell.pid), int(cell.started), in_database=bool(cell.in_database))

    # ------------------------------------------------------------------------------------ the child's half

    def take(self) -> Slot:
        """A free slot for this process. LookupError if all are held, or kept for the agent to look at.

        The slot of a child that died while it ran something is not free: what it ran must be ended first.
        """
        with self._locked():
            for index, cell in enumerate(self._cells):
                if cell.pid and (cell.mark or trees.alive(cell.pid, cell.started)):
                    continue
                clear(cell)
                cell.started = trees.start_time(os.getpid()) or 0
                cell.pid = os.getpid()
                return Slot(self, index, cell)
        raise LookupError(f"all {self.count} slots of {self.path.name} are taken")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time hands slots out or takes them back; the kernel frees the lock of a dead one."""
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Slot:
    """The slot of this pool child: it says what the child runs and reads what is asked of that."""

    def __init__(self, slots: Slots, index: int, cell: Any) -> None:
        self.slots = slots
        self.index = index
        self._cell = cell
        self._mark = 0

    def enter(self, job_id: UUID, attempt: int) -> None:
        """An execution is claimed. What was asked of the one before no longer counts."""
        self.leave()
        cell = self._cell
        cell.job_high, cell.job_low = job_id.int >> 64, job_id.int & MASK
        cell.attempt, cell.phase = attempt, Phase.CLAIMED
        cell.begun_at = cell.limit_at = 0
        cell.flag = cell.flag_at = cell.stopped_since = cell.stopped_for = 0
        cell.last_mark += 1
        cell.mark = self._mark = cell.last_mark

    def body_on(self, now: int, limit_at: int = 0) -> None:
        """Job code is entered at `now`; `limit_at` is when its time limit passes, 0 for never."""
        cell = self._cell
        cell.begun_at, cell.limit_at = cell.begun_at or now, limit_at
        cell.phase = Phase.BODY

    def body_off(self) -> None:
        """Job code is left; only the outcome remains to be written."""
        self._cell.phase = Phase.ENDING

    def leave(self) -> None:
        """The execution is over."""
        self._mark = 0
        self._cell.mark = 0
        self._cell.phase = Phase.IDLE

    def give_back(self) -> None:
        """The child ends and needs its slot no more."""
        self.leave()
        self._cell.pid = 0

    def mark_in_database(self, inside: bool) -> None:  # noqa: FBT001 - the mark is a plain yes or no
        """Note whether the child holds a transaction and so must not be left stopped."""
        self._cell.in_database = inside

    @property
    def flag(self) -> Flag:
        """What is asked of the execution that this child runs; `Flag.NONE`, which is false, if nothing."""
        return flag_in(self._cell.flag, self._mark)

    @property
    def flag_at(self) -> int:
        """When it was asked, in ns of CLOCK_BOOTTIME; 0 if nothing is."""
        return int(self._cell.flag_at) if self.flag else 0

    @property
    def in_body(self) -> bool:
        """Whether job code runs."""
        return bool(self._cell.phase == Phase.BODY)

    def stopped_ns(self, now: int) -> int:
        """For how long this execution has been suspended until `now`, in nanoseconds."""
        since = time_in(self._cell.stopped_since, self._mark)
        return time_in(self._cell.stopped_for, self._mark) + (max(now - since, 0) if since else 0)


def create(path: Path, count: int) -> Slots:
    """A new file with `count` free slots; one that is there already is replaced, not touched.

    A few more than there are pool children: the slot of a child that died is kept until the agent has looked.
    """
    draft = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        draft.unlink()
    draft.touch(mode=0o600, exist_ok=False)
    header = Header(magic=MAGIC, count=count)
    draft.write_bytes(bytes(header).ljust(LINE * (count + 1), b"\0"))
    draft.replace(path)
    return Slots(path)


def attach(path: Path) -> Slots:
    """The slots in an existing file. FileNotFoundError if there is none, ValueError if it is none of ours."""
    return Slots(path)
