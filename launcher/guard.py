"""Run one component and outlive every process of it: `python -I -S guard.py PARENT GRACE PROGRAM ARGS...`.

The guard stands between the supervisor and a component. It collects the component's orphans, so that when the
component ends, or the supervisor is gone, nothing of it is left: SIGTERM first, SIGKILL for the whole tree GRACE
seconds later. Should the guard itself be killed, the component dies with it and the supervisor collects the rest.

SIGTERM and SIGINT are passed on; SIGQUIT kills the tree at once. The exit status is the component's, 128 + N for
signal N. It imports the standard library only, and little of it: one guard stays in memory per component.
"""

# ruff: noqa: PTH123, PTH208 - pathlib would double the time this small program takes to start
from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LOOK = 1.0  # seconds between two looks at whether the supervisor still lives
_WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}


def prctl(option: int, value: int) -> None:
    """Set one attribute of this process; where there is no prctl, the looks at the parent must do."""
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        return


def children() -> dict[int, list[int]]:
    """Process ids of every process by that of its parent."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            parent = _parent(name)
            if parent:
                found.setdefault(parent, []).append(int(name))
    return found


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def descendants(of: int) -> list[int]:
    """All processes below `of`, nearest first; the dead that nobody has waited for among them."""
    below, found = children(), [of]
    for pid in found:
        found += below.get(pid, [])
    return found[1:]


def kill_tree(deadline: float = 5.0) -> None:
    """SIGKILL everything below this process until nothing is left, or for `deadline` seconds."""
    end = time.monotonic() + deadline
    while reap()[1] and time.monotonic() < end:
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def reap() -> tuple[dict[int, int], bool]:
    """(wait status of every child that has ended, whether there are others)."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if pid == 0:
            return ended, True
        ended[pid] = status


def start(argv: list[str]) -> int:
    """Start the component as a child that dies with this process."""
    guard = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(127)


def guard(parent: int, grace: float, component: int) -> int:
    """Pass signals on until the component ends or the parent is gone; then leave nothing of it."""
    kill_at = None
    while True:
        caught = signal.sigtimedwait(_WATCHED, LOOK)
        number = caught.si_signo if caught else 0
        ended, _ = reap()
        if component in ended:
            return os.waitstatus_to_exitcode(ended[component])
        orphaned = os.getppid() != parent
        if number == signal.SIGQUIT or (kill_at is not None and time.monotonic() > kill_at):
            return -signal.SIGKILL
        if orphaned and kill_at is None:
            kill_at = time.monotonic() + grace
            os.kill(component, signal.SIGTERM)
        elif number in {signal.SIGTERM, signal.SIGINT}:
            os.kill(component, number)


def main() -> int:
    """Guard the component named by the arguments; returns the status to exit with."""
    parent, grace, argv = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    code = guard(parent, grace, start(argv))
    kill_tree()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
