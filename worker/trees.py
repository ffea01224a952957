"""Process trees: find, stop, continue and kill everything that descends from a process.

A tree is found by ancestry alone, so neither a new session nor a cleared environment nor a double fork
escapes, provided that the root (or a process below it) is a subreaper: orphans then stay inside the tree.
A process is named by its pid *and* its start time and signalled through a pidfd: a reused pid is never hit.

The shim, whose start must be fast, loads this module too. Hence the standard library only, and little of it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator

SETTLE_LIMIT = 0.05
"""seconds without a new process after which those that wait for the kernel are no longer waited for"""
STOP_LIMIT = 2.0
"""seconds after which `stop_tree` gives up"""
KILL_LIMIT = 5.0
"""seconds after which `kill_tree` gives up and tells what is left"""
_PAUSE = 0.002
_PAGE = 4096
_OWN_CHILDREN = "/proc/thread-self/children"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# fields of /proc/PID/stat, counted from the state, which follows the parenthesised name
_STATE, _PARENT, _THREADS, _STARTED = 0, 1, 17, 19


class Process:
    """One process as /proc showed it: pid, start time in clock ticks since boot, parent's pid, state."""

    __slots__ = ("parent", "pid", "started", "state", "threads")

    def __init__(self, pid: int, stat: str) -> None:
        values = stat[stat.rindex(")") + 2 :].split()
        self.pid = pid
        self.state = values[_STATE]
        self.parent = int(values[_PARENT])
        self.threads = int(values[_THREADS])
        self.started = int(values[_STARTED])

    @property
    def identity(self) -> tuple[int, int]:
        """Pid and start time: together they name one process for as long as the machine is up."""
        return self.pid, self.started

    @property
    def dead(self) -> bool:
        """Whether it only waits to be reaped."""
        return self.state in "ZX"

    @property
    def halted(self) -> bool:
        """Whether it cannot fork: it is stopped or dead."""
        return self.dead or self.state in "Tt"

    def __repr__(self) -> str:
        return f"<process {self.pid} {self.state} of {self.parent}>"


# ------------------------------------------------------------------------------------------------ looking


def read_process(pid: int) -> Process | None:
    """The process as it is now, a zombie included; None where there is none."""
    process = _read_stat(pid, f"/proc/{pid}/stat")
    if process and process.dead and process.threads > 1:
        process.state = _state_of_threads(pid)
    return process


def _read_stat(pid: int, path: str) -> Process | None:
    stat = _read(path)
    return Process(pid, stat.decode("utf-8", "replace")) if stat else None


def _state_of_threads(pid: int) -> str:
    """The state of a process whose leader has ended before its other threads; of itself it looks dead."""
    try:
        tasks = [_read_stat(pid, f"/proc/{pid}/task/{task}/stat") for task in _numbers_in(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
    return next((task.state for task in tasks if task and not task.dead), "Z")


def _read(path: str) -> bytes | None:
    """A file of /proc; None where the process is gone. Plain system calls: this is the hot path of each walk."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        return b"".join(iter(lambda: os.read(descriptor, _PAGE), b""))
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)


def _numbers_in(directory: str) -> list[int]:
    with os.scandir(directory) as entries:
        return [int(entry.name) for entry in entries if entry.name.isdecimal()]


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None where there is none."""
    process = read_process(pid)
    return process.started if process else None


def alive(pid: int, started: int | None = None) -> bool:
    """Whether the process runs or is stopped and, where `started` is given, is still the same one."""
    process = read_process(pid) if pid > 0 else None
    return process is not None and not process.dead and started in (None, process.started)


def children(pid: int) -> list[Process]:
    """The direct children of a process, zombies included."""
    return _walk([pid], (), depth=1).found


def descendants(root: int, spare: Collection[int] = ()) -> list[Process]:
    """Everything below `root`, parents first, zombies included, but for branches that start in `spare`."""
    return _walk([root], spare).found


class _Sight:
    """What one look at a tree showed, and whether processes came or went under the very look."""

    __slots__ = ("found", "torn")

    def __init__(self) -> None:
        self.found: list[Process] = []
        self.torn = False


def _walk(
    roots: Iterable[int],
    spare: Collection[int],
    met: Callable[[Process], None] = lambda _: None,
    depth: int = sys.maxsize,
) -> _Sight:
    """Look at all below `roots`; each process goes to `met` the moment it is found.

    A tree cannot hide from an untorn look by forking and exiting in turns: its subreaper has a child at every
    moment, and the kernel lists that child even if it is gone when its state is read.
    """
    children_of = _scanned_children() if _read(_OWN_CHILDREN) is None else _listed_children
    sight = _Sight()
    seen, waiting = {*roots, *spare}, [(pid, depth) for pid in roots]
    for parent, depth_left in waiting:
        for child in children_of(parent, sight):
            if child.pid not in seen:
                seen.add(child.pid)
                met(child)
                sight.found.append(child)
                if not child.dead and depth_left > 1:
                    waiting.append((child.pid, depth_left - 1))
    return sight


def _listed_children(parent: int, sight: _Sight) -> Iterator[Process]:
    for pid in _child_pids(parent, sight):
        process = read_process(pid)
        if process is not None and process.parent == parent:
            yield process
        else:
            sight.torn = True


def _child_pids(parent: int, sight: _Sight) -> list[int]:
    """The pids that the kernel lists as children of the threads of `parent`."""
    try:
        listings = [_read(f"/proc/{parent}/task/{task}/children") for task in _numbers_in(f"/proc/{parent}/task")]
    except (FileNotFoundError, ProcessLookupError):
        listings = [None]
    sight.torn |= None in listings
    return [int(pid) for listing in listings if listing for pid in listing.split()]


def _scanned_children() -> Callable[[int, _Sight], list[Process]]:
    """The same from a scan of all processes, for kernels that list no children; here a tree might hide."""
    by_parent: dict[int, list[Process]] = {}
    for process in filter(None, map(read_process, _numbers_in("/proc"))):
        by_parent.setdefault(process.parent, []).append(process)
    return lambda parent, _sight: by_parent.get(parent, [])


# ---------------------------------------------------------------------------------------------- signalling


def send(process: Process, number: int) -> bool:
    """Signal exactly this process; False if it is gone or may not be signalled."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if start_time(process.pid) != process.started:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def signal_tree(root: int, number: int, *, include_root: bool = True, started: int | None = None) -> int:
    """Signal the tree once, root first; gives how many were reached. What is forked meanwhile is missed."""
    members = _Tree(root, started, include_root=include_root).look().found
    return sum(send(process, number) for process in members if not process.dead)


def terminate_tree(root: int, *, include_root: bool = True, started: int | None = None) -> int:
    """Ask the tree to end: SIGTERM, and SIGCONT so that the stopped hear it; gives how many were asked."""
    reached = signal_tree(root, signal.SIGTERM, include_root=include_root, started=started)
    signal_tree(root, signal.SIGCONT, include_root=include_root, started=started)
    return reached


def stop_tree(root: int, *, include_root: bool = True, started: int | None = None) -> bool:
    """Freeze the tree with SIGSTOP; True when none of its processes runs on.

    One that waits in the kernel, say for a file or in a vfork, counts as stopped: it stops before it does more.
    """
    tree = _Tree(root, started, include_root=include_root)
    return tree.freeze(time.monotonic() + STOP_LIMIT)


def continue_tree(root: int, *, include_root: bool = True, started: int | None = None) -> int:
    """Let a frozen tree go on (SIGCONT), root first; gives how many were reached."""
    return signal_tree(root, signal.SIGCONT, include_root=include_root, started=started)


def kill_tree(
    root: int,
    *,
    include_root: bool = True,
    started: int | None = None,
    spare: Collection[int] = (),
    limit: float = KILL_LIMIT,
) -> list[Process]:
    """Freeze the tree, kill it, and look again until nothing is left or `limit` seconds have passed.

    Ancestors die last, so that a subreaper in the tree holds the orphans of what was killed before it.
    Branches that start at a pid of `spare` are left alone. Gives the processes that could not be killed.
    """
    until = time.monotonic() + limit
    tree = _Tree(root, started, include_root=include_root, spare=spare)
    while True:
        # Without calm the ancestors stay: who forks on would fall to a process outside the tree.
        tree.freeze(until)
        for process in reversed(tree.found):
            send(process, signal.SIGKILL)
        if tree.await_death(until):
            return []
        if time.monotonic() >= until:
            return [process for process in tree.look().found if not process.dead]


class _Tree:
    """A root and what descends from it, together with what was seen to do so before and still lives."""

    def __init__(self, root: int, started: int | None, *, include_root: bool, spare: Collection[int] = ()) -> None:
        self._root = root
        self._started = started
        self._include_root = include_root
        # whoever stops a tree must not stop itself with it
        self._spare = {*spare, os.getpid()} - {root}
        self._known: dict[tuple[int, int], Process] = {}
        self._out_of_reach: set[tuple[int, int]] = set()
        self.found: list[Process] = []
        """what the last look of `freeze` showed"""

    def look(self, met: Callable[[Process], None] = lambda _: None) -> _Sight:
        """The tree as it is now, parents before their children, zombies included; each goes to `met` at once."""
        root = read_process(self._root)
        tops = [root] if root and self._started in (None, root.started) else []
        earlier = [read_process(pid) for pid, _ in self._known if pid != self._root]
        tops += [process for process in earlier if process and process.identity in self._known]
        for top in tops:
            if self._belongs(top):
                met(top)
        sight = _walk([top.pid for top in tops], self._spare, met)
        sight.found = [process for process in (*tops, *sight.found) if self._belongs(process)]
        return sight

    def _belongs(self, process: Process) -> bool:
        return self._include_root or process.pid != self._root

    def freeze(self, until: float) -> bool:
        """Stop what runs, until two looks in a row show nothing new and everything stopped; whether that is so.

        One such look is not enough: a fork that was under way when its parent was signalled may show only
        after that parent has stopped.
        """
        changed = time.monotonic()
        calm = 0
        while True:
            before = len(self._known)
            sight = self.look(self._halt)
            now = time.monotonic()
            fresh = sight.torn or len(self._known) > before
            changed = now if fresh else changed
            settled = all(self._settled(process, now - changed) for process in sight.found)
            calm = calm + 1 if settled and not fresh else 0
            self.found = sight.found
            if calm > 1 or now >= until:
                return calm > 1 and not self._out_of_reach & {process.identity for process in sight.found}
            if not settled:
                time.sleep(_PAUSE)

    def await_death(self, until: float) -> bool:
        """Wait for killed processes to die; False at once if a new one shows, or one still lives at `until`."""
        while True:
            sight = self.look()
            left = [process for process in sight.found if not process.dead]
            if not left and not sight.torn:
                return True
            strangers = any(process.identity not in self._known for process in left)
            if sight.torn or strangers or time.monotonic() >= until:
                return False
            time.sleep(_PAUSE)

    def _halt(self, process: Process) -> None:
        """SIGSTOP as soon as it is met, unless it can fork no more."""
        self._known[process.identity] = process
        if not process.halted and not send(process, signal.SIGSTOP):
            self._out_of_reach.add(process.identity)

    def _settled(self, process: Process, calm: float) -> bool:
        """Whether there is no use in waiting for it to stop: it has, it cannot be told, or the kernel holds it."""
        beyond = process.identity in self._out_of_reach or (process.state == "D" and calm > SETTLE_LIMIT)
        return process.halted or beyond


# ------------------------------------------------------------------------------------------ one's own process


def set_subreaper() -> None:
    """Make the orphans among this process's descendants its own children. OSError if the kernel refuses."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_pdeathsig(number: int) -> None:
    """Have `number` sent to this process when the thread that started it ends; 0 takes it back.

    Whoever calls this must compare `os.getppid()` afterwards: a parent that was dead already sends nothing.
    """
    prctl(_PR_SET_PDEATHSIG, number)


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process with one argument; OSError if the kernel refuses."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(ctypes.c_int(option), *(ctypes.c_ulong(number) for number in (value, 0, 0, 0))):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def reap_children(spare: Collection[int] = ()) -> list[tuple[int, int]]:
    """Collect ended children of this process as (pid, exit code, which is negative for a signal).

    Those in `spare` are left to whoever waits for them, such as a `subprocess.Popen` in use.
    """
    reaped = []
    for process in children(os.getpid()):
        if process.dead and process.pid not in spare:
            try:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if pid:
                reaped.append((pid, os.waitstatus_to_exitcode(status)))
    return reaped


def childless() -> bool:
    """Whether this process has no child at all, ended or not.

    For a subreaper this proves that nothing of its tree is left: an orphan becomes its child in one step, so
    there is no moment at which it has a descendant and no child.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False
