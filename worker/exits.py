"""How pool children ended: Celery main, their parent, tells; the agent, which ends their executions, asks."""

from __future__ import annotations

import os
from pathlib import Path

from worker.trees import start_time

_EXIT_CODE_FIELD = 49
"""place of exit_code in /proc/PID/stat, counted from the state"""


def exits_file(run_dir: Path, agent: int) -> Path:
    """Where the ends of a worker's pool children are noted, one a line."""
    return run_dir / f"worker-{agent}.exits"


class Teller:
    """Celery main's half."""

    def __init__(self, run_dir: Path, agent: int) -> None:
        self._file = os.open(exits_file(run_dir, agent), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def tell(self, pid: int, exit_code: int | None) -> None:
        """Notes that a child has ended; a negative exit code is a signal."""
        os.write(self._file, f"{pid} {exit_code if exit_code is not None else 0}\n".encode())


def read_exit(run_dir: Path, agent: int, pid: int, started: int) -> int | None:
    """The exit code of a dead child, negative for a signal; None while nobody has told."""
    if start_time(pid) == started and (code := _zombie_exit(pid)) is not None:
        return code
    try:
        lines = exits_file(run_dir, agent).read_text().splitlines()
    except FileNotFoundError:
        return None
    told = [int(code) for name, code in map(str.split, lines) if int(name) == pid]
    return told[-1] if told else None


def _zombie_exit(pid: int) -> int | None:
    """What the kernel keeps of a dead process that nobody has waited for yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    values = stat[stat.rindex(")") + 2 :].split()
    return os.waitstatus_to_exitcode(int(values[_EXIT_CODE_FIELD])) if values[0] == "Z" else None
