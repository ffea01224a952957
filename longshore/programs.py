"""Run a program on behalf of a job: every line captured, and nothing left of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from longshore.errors import JobError
from longshore.job import CommandRun

_TAIL_LINES = 20
_PATIENCE = 2.0
"""Seconds between SIGTERM and SIGKILL for a program whose job has been stopped."""


def run_program(
    argv: Sequence[str | Path],
    cwd: Path,
    environment: Mapping[str, str] | None,
    on_line: Callable[[str], object],
) -> CommandRun:
    """Run a program to its end; `on_line` gets each line of stdout and stderr as it is written."""
    words = [os.fspath(word) for word in argv]
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    process = _start(words, cwd, environment)
    try:
        _read(process.stdout, tail, on_line)
        return CommandRun(process.wait(), list(tail))
    finally:
        _end(process)


def raise_for_exit(argv: Sequence[str | Path], run: CommandRun) -> None:
    """Raise the JobError that a program's bad end stands for."""
    if run.exit_code == 0:
        return
    last_words = run.tail[-1] if run.tail else "it wrote nothing"
    details = {"argv": [str(word) for word in argv], "tail": run.tail}
    if run.exit_code < 0:
        name = signal.Signals(-run.exit_code).name
        message = f"{argv[0]} was ended by {name}: {last_words}"
        raise JobError(f"signal-{-run.exit_code}", message, "SYSTEM", details=details)
    message = f"{argv[0]} ended with exit code {run.exit_code}: {last_words}"
    raise JobError(f"exit-{run.exit_code}", message, "ALGORITHM", details=details)


def _start(words: list[str], cwd: Path, environment: Mapping[str, str] | None) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            words,
            cwd=cwd,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            process_group=0,  # so that the end of the job can reach the program's own children too
        )
    except (FileNotFoundError, PermissionError) as error:
        raise JobError("program-not-found", f"cannot run {words[0]}: {error.strerror}", "SYSTEM") from error


def _read(lines: IO[str] | None, tail: deque[str], on_line: Callable[[str], object]) -> None:
    for line in lines or ():
        text = line.rstrip("\n")
        tail.append(text)
        on_line(text)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _end(process: subprocess.Popen[str]) -> None:
    """Leave nothing of a program that was broken off: ask first, then insist, its children included."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
