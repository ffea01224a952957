"""Processes to try things on: trees that resist, a root that holds them, and a pool child that runs a command."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.waiting import wait_for
from worker import slots, trees
from worker.runners.command import CommandExecution, CommandOutcome, run_command
from worker.slots import Slot, Slots

JOB = UUID("0190a1b2-c3d4-7000-8000-00000000002a")

DOUBLE_FORK = """
import os, signal
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
signal.pause()
"""

LEADER_GONE = """
import ctypes, threading, signal, time
threading.Thread(target=time.sleep, args=(1000,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""

HELD_IN_VFORK = """
import os
os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "go", os.O_RDONLY, 0)])
"""
"""Waits in the kernel, where no SIGSTOP reaches it, until somebody writes to the named pipe `go`."""

FORK_LOOP = """
import os
while True:
    if os.fork():
        os._exit(0)
"""

PYTHON = f"{sys.executable} -I -S -c"

HOSTILE: Mapping[str, tuple[str, int]] = {
    "a pipeline": ("sleep 1000 | sleep 1000 | cat", 3),
    "a setsid escapee": ("setsid sleep 1000 & sleep 1000", 2),
    "nohup": ("nohup sleep 1000 >/dev/null 2>&1 & sleep 1000", 2),
    "a shell that ignores SIGTERM": ("trap '' TERM HUP INT; sleep 1000; sleep 1000", 1),
    "a cleared environment": ("env -i sleep 1000 & exec env -i sleep 1000", 2),
    "a double fork": (f"{PYTHON} '{DOUBLE_FORK}'; sleep 1000", 2),
    "a leader that ended before its thread": (f"{PYTHON} '{LEADER_GONE}' & sleep 1000", 2),
    "a shell that starts what was killed anew": ("while true; do sleep 1000; done", 2),
}
"""What a job may do to survive, as a shell script and the number of processes it comes to, at least."""


def living_in(directory: Path) -> list[int]:
    """The processes, zombies not counted, whose working directory is this one or below it."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - often, so fast
    inside = f"{directory}/"
    return [pid for pid in pids if f"{_place(pid)}/".startswith(inside) and trees.alive(pid)]


def _place(pid: int) -> str:
    """The working directory of a process; a leader that has ended before its other threads has none itself."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115 - often, so fast
    threads: list[Path] = []
    with suppress(OSError):
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    for thread in threads:
        with suppress(OSError):
            return str((thread / "cwd").readlink())
    return ""


def stopped_in(directory: Path) -> bool:
    """Whether all processes in a directory are stopped, or will be when the kernel lets them go on."""
    processes = [process for pid in living_in(directory) if (process := trees.read_process(pid))]
    return bool(processes) and all(process.halted or process.state == "D" for process in processes)


@contextmanager
def forked(body: Callable[[], None]) -> Iterator[int]:
    """A process that is a subreaper and runs `body`; it and all below it are gone afterwards."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            trees.set_subreaper()
            body()
            code = 0
        except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    try:
        yield pid
    finally:
        trees.kill_tree(pid, include_root=False)
        trees.kill_tree(pid)
        os.waitpid(pid, 0)


@contextmanager
def household(directory: Path, script: str) -> Iterator[int]:
    """A root that runs a shell script in a directory, and collects what ends."""

    def body() -> None:
        os.chdir(directory)
        if os.fork() == 0:
            os.execv("/bin/sh", ["sh", "-c", script])  # noqa: S606 - here the shell is what is wanted
        while not trees.childless():
            signal.sigtimedwait({signal.SIGCHLD}, 0.02)
            trees.reap_children()
        signal.pause()

    with forked(body) as pid:
        yield pid


@dataclass
class RecordingContext:
    """What a runner says, in files that another process can read."""

    workdir: Path
    record: Path
    slot: Slot
    args: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Path | Sequence[Path]] = field(default_factory=dict)
    job_id: str = str(JOB)
    attempt: int = 1
    job_url: str = "http://127.0.0.1:1/api/v1/jobs/42"
    job_token: str = "lst_secret"

    def stage(self, name: str) -> None:
        self._told("stage", name)

    def progress(self, done: float, total: float | None, message: str) -> None:
        self._told("progress", done, total, message)

    def message(self, text: str) -> None:
        self._told("message", text)

    def write_log(self, stream: str, data: bytes) -> None:
        with (self.record / stream).open("ab") as file:
            file.write(data)

    def save_output(self, name: str, path: Path) -> None:
        self._told("output", name, path.read_text())

    def _told(self, *values: Any) -> None:
        with (self.record / "told").open("a") as file:
            file.write(json.dumps(values) + "\n")


@dataclass
class PoolChild:
    """A process as a pool child is one, which runs one command. Its slot is number 0."""

    pid: int
    workdir: Path
    record: Path
    slots: Slots

    def ended(self) -> bool:
        return not trees.alive(self.pid)

    def outcome(self, timeout: float = 20) -> CommandOutcome:
        wait_for(self.ended, timeout, "the pool child to end")
        result = pickle.loads((self.record / "outcome").read_bytes())  # noqa: S301 - our own
        assert isinstance(result, CommandOutcome)
        return result

    def log(self, stream: str = "stdout") -> bytes:
        path = self.record / stream
        return path.read_bytes() if path.exists() else b""

    def told(self) -> list[list[Any]]:
        path = self.record / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def processes(self) -> list[int]:
        return living_in(self.workdir)


@contextmanager
def pool_child(directory: Path, execution: CommandExecution, **context: Any) -> Iterator[PoolChild]:
    """Runs a command as a pool child does."""
    workdir, record = directory / "work", directory / "record"
    workdir.mkdir()
    record.mkdir()
    memory = slots.create(directory / "worker.slots", 1)

    def body() -> None:
        signal.signal(signal.SIGUSR2, lambda *_: None)
        slot = slots.attach(memory.path).take()
        slot.enter(JOB, 1)
        outcome = run_command(execution, RecordingContext(workdir, record, slot, **context))
        (record / "outcome").write_bytes(pickle.dumps(outcome))

    with forked(body) as pid:
        yield PoolChild(pid, workdir, record, memory)


def shell(script: str, **execution: Any) -> CommandExecution:
    """A command that is a shell script; `$1` and so on are the other arguments."""
    return CommandExecution({"argv": ["sh", "-c", script.replace("${", "$${")]}, **execution)
