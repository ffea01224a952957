"""The shim: the parent of a command, which leaves nothing of it behind.

A small program of its own, started by `shim_process` once per command and never imported by the worker. It gives
the command its directory, limits, identity and environment, collects every process that descends from it, and
tells its exit on a pipe when none is left. When the process that started it dies, it kills the tree at once.

It loads `trees` by its bare name from the folder above, since the package would cost more than the rest together.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
import warnings  # noqa: F401 - `os.execvpe` imports it, perhaps as a user who may not read this installation

TYPE_CHECKING = False  # what type checkers take for true; `typing` itself takes longer to load than this starts
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from worker import trees
else:
    import trees

LOOK_AGAIN = 1.0
"""seconds between two looks at whether the parent lives, besides the signal that tells of its end"""
END_LIMIT = 30.0
"""seconds spent on killing what the command left behind before its end is told all the same"""
OUT_OF_MEMORY_SCORE = "500"
"""makes the kernel choose the command before the worker when memory runs out"""
MESSAGE_LIMIT = 1000
"""characters of the message that a command could not be started; the report must fit in one write to a pipe"""
CANNOT_START = 127
PARENT_DIED = 143
_NO_NEW_PRIVILEGES = 38
_MIB = 1 << 20
_ASKED_TO_END = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
_AWAITED = frozenset({signal.SIGCHLD, signal.SIGCONT}) | _ASKED_TO_END
_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS})


def main(specification: int, results: int) -> None:
    """Run the command that the file descriptor `specification` describes; tell its end on `results`."""
    with open(specification, "rb") as file:
        spec = json.loads(file.read())
    os.set_inheritable(results, False)  # noqa: FBT003 - the system's own signature
    _stand_alone(spec["parent"])
    pid, problem = _start(spec)
    _be_silent()
    if problem:
        _tell(results, error=problem)
        return
    status, usage = _supervise(pid, spec["parent"])
    left = _end_tree(spec["parent"])
    code = os.waitstatus_to_exitcode(status)
    _tell(
        results,
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        survivors=left,
        max_rss_kib=usage.ru_maxrss,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
    )


def _stand_alone(parent: int) -> None:
    """A session of its own, a subreaper, and woken by the death of its parent even while it is stopped.

    Signals are not handled but waited for, in `_supervise`. SIGCONT is the one signal that reaches a stopped
    process, so it is the one to be sent when the parent dies.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - _FAULTS)
    if os.getsid(0) != os.getpid():
        os.setsid()
    trees.set_subreaper()
    trees.set_pdeathsig(signal.SIGCONT)
    _leave_if_orphaned(parent)


def _leave_if_orphaned(parent: int) -> None:
    if os.getppid() != parent:
        _kill_all(time.monotonic() + END_LIMIT)
        os._exit(PARENT_DIED)


# ---------------------------------------------------------------------------------------- starting the command


def _start(spec: dict[str, Any]) -> tuple[int, str]:
    """The pid of the command, and what kept it from starting, which is empty if nothing did."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(spec, tell)
    os.close(tell)
    with open(told, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        problem = file.read().decode("utf-8", "replace")
    return pid, problem


def _become(spec: dict[str, Any], tell: int) -> NoReturn:
    """Turn into the command; the pipe `tell` closes by itself when that has worked."""
    try:
        os.setsid()
        os.chdir(spec["directory"])
        os.umask(0o077)
        _offer_to_die_first()
        _reset_signals()
        _change_identity(spec["identity"])
        trees.prctl(_NO_NEW_PRIVILEGES, 1)
        trees.set_pdeathsig(signal.SIGKILL)  # after the change of identity, which takes it back
        argv, environment = spec["argv"], spec["environment"]
        _set_limits(spec["limits"])  # last: from here on memory may be short
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - no shell is what is wanted
    except BaseException as error:  # noqa: BLE001 - whatever it is, only the parent can tell it
        os.write(tell, f"{spec['argv'][0]}: {error}"[:MESSAGE_LIMIT].encode("utf-8", "replace"))
    os._exit(CANNOT_START)


def _offer_to_die_first() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib takes too long to load
            file.write(OUT_OF_MEMORY_SCORE)
    except OSError:
        pass  # a /proc that cannot be written to; the command runs all the same


def _reset_signals() -> None:
    """Nothing ignored and nothing blocked, whatever this process inherited."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # one that the C library keeps for itself
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _change_identity(identity: dict[str, Any] | None) -> None:
    if identity:
        os.setgroups(identity["groups"])
        os.setresgid(*[identity["gid"]] * 3)
        os.setresuid(*[identity["uid"]] * 3)


def _set_limits(limits: dict[str, int]) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    if "open_files" in limits:
        _limit(resource.RLIMIT_NOFILE, limits["open_files"])
    if "file_mib" in limits:
        _limit(resource.RLIMIT_FSIZE, limits["file_mib"] * _MIB)
    if "memory_mib" in limits:
        _limit(resource.RLIMIT_AS, limits["memory_mib"] * _MIB)


def _limit(kind: int, value: int) -> None:
    most = resource.getrlimit(kind)[1]
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))


# ------------------------------------------------------------------------------------------ until its end


def _supervise(pid: int, parent: int) -> tuple[int, resource.struct_rusage]:
    """Reap what ends, pass on the wish that it end, until the command itself has ended: its status and usage."""
    while True:
        for ended, status, usage in _reap():
            if ended == pid:
                return status, usage
        heard = signal.sigtimedwait(_AWAITED, LOOK_AGAIN)
        _leave_if_orphaned(parent)
        if heard is not None and heard.si_signo in _ASKED_TO_END and not _speaks_to_all(heard.si_pid):
            trees.terminate_tree(os.getpid(), include_root=False)


def _speaks_to_all(sender: int) -> bool:
    """Whether the wish came from an ancestor beyond the parent: from the agent, which signals the whole tree.

    Passing that on would ask everybody twice, which some programs take for impatience and end at once.
    """
    ancestor = trees.read_process(os.getppid())
    while ancestor is not None and ancestor.parent:
        if ancestor.parent == sender:
            return True
        ancestor = trees.read_process(ancestor.parent)
    return False


def _reap() -> list[tuple[int, int, resource.struct_rusage]]:
    reaped = []
    try:
        while (found := os.wait4(-1, os.WNOHANG))[0]:
            reaped.append(found)
    except ChildProcessError:
        pass
    return reaped


def _end_tree(parent: int) -> int:
    """Kill what the command left behind; gives the number of processes that could not be killed."""
    until = time.monotonic() + END_LIMIT
    while not _kill_all(time.monotonic() + LOOK_AGAIN):
        _leave_if_orphaned(parent)
        if time.monotonic() > until:
            return len(trees.descendants(os.getpid()))
    return 0


def _kill_all(until: float) -> bool:
    """Kill and reap all descendants; True when this process has no child left, which proves that none is."""
    while True:
        _reap()
        if trees.childless():
            return True
        if time.monotonic() > until:
            return False
        trees.kill_tree(os.getpid(), include_root=False, limit=until - time.monotonic())


def _be_silent() -> None:
    """Let go of the command's output, so that it ends when the command's processes end."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _tell(results: int, **report: Any) -> None:
    try:
        os.write(results, json.dumps(report).encode())
    except BrokenPipeError:
        return  # nobody waits for it any more
