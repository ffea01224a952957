from __future__ import annotations

import signal
import time
from functools import partial
from typing import Any

import psutil
import pytest

from longshore import Job
from longshore.errors import JobCancelled
from tests.longshore.test_testing import run
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshore.declare.REGISTRY", {})


def test_a_program_runs_in_the_work_directory_and_into_the_log() -> None:
    lines: list[str] = []

    def body(job: Job) -> Any:
        return job.run(["sh", "-c", 'pwd; echo "$WORD" >&2'], environment={"WORD": "hi"}, on_line=lines.append)

    outcome = run(body)
    assert outcome.result[0] == 0
    assert outcome.log == lines == [lines[0], "hi"]
    assert lines[0].endswith("/work")


@pytest.mark.parametrize(
    ("script", "name", "category"),
    [("echo oh no; exit 3", "exit-3", "ALGORITHM"), ("kill -9 $$", "signal-9", "SYSTEM")],
)
def test_a_program_that_fails_fails_the_job(script: str, name: str, category: str) -> None:
    error = run(lambda job: job.run(["sh", "-c", script])).error
    assert error is not None
    assert (error.name, error.category) == (name, category)
    assert "oh no" in error.message or "SIGKILL" in error.message
    assert run(lambda job: job.run(["sh", "-c", script], check=False).exit_code).state == "completed"


def test_a_program_that_is_not_there_is_named() -> None:
    error = run(lambda job: job.run(["surely-no-such-program"])).error
    assert error is not None
    assert (error.name, error.category) == ("program-not-found", "SYSTEM")
    assert "surely-no-such-program" in error.message


def test_a_program_ends_with_its_job_even_against_its_will() -> None:
    pids: list[int] = []

    def stop_reading(line: str) -> None:
        pids.append(int(line))
        if len(pids) == 2:
            raise JobCancelled

    def body(job: Job) -> None:
        job.run(["sh", "-c", "trap '' TERM; sh -c 'echo $$; sleep 60' & echo $$; wait"], on_line=stop_reading)

    begun = time.monotonic()
    assert run(body).state == "cancelled"
    assert time.monotonic() - begun < 10
    for pid in pids:
        wait_for(partial(_is_gone, pid), 5, f"process {pid} to be gone")


def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_signals_have_names_in_messages() -> None:
    error = run(lambda job: job.run(["sh", "-c", f"kill -{signal.SIGSEGV.value} $$"])).error
    assert error is not None
    assert "SIGSEGV" in error.message
