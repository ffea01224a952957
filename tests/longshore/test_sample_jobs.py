"""The job types that other tests rely on do what they say; those that kill run on workers only."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshore.declare import load
from longshore.testing import run_job
from shared.declaration import completed
from tests import jobs


def test_every_declaration_is_one_that_the_broker_takes() -> None:
    for job_type in load(["tests.jobs"], entry_points=False).values():
        assert completed(job_type.declaration) == job_type.declaration


def test_the_counter_counts_each_number_once_over_its_attempts(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    first = run_job(jobs.counter, {"upto": 5, "trace": str(trace)}, pause_at_checkpoint=2)
    second = run_job(jobs.counter, {"upto": 5, "trace": str(trace)}, resume_from=first)
    assert second.result == {"counted": 5, "attempt": 2}
    assert [line.split()[::2] for line in trace.read_text().splitlines()] == [
        ["1", "0"],
        ["1", "1"],
        ["2", "2"],
        ["2", "3"],
        ["2", "4"],
    ]


def test_sleep_goes_on_where_it_stopped() -> None:
    first = run_job(jobs.sleep, {"seconds": 0.2}, pause_at_checkpoint=3)
    assert run_job(jobs.sleep, {"seconds": 0.2}, resume_from=first).checkpoints == 1


def test_failing_and_succeeding() -> None:
    first = run_job(jobs.fail_once)
    assert (first.state, first.error and first.error.name) == ("failed", "unlucky")
    assert run_job(jobs.fail_once, resume_from=first).result == 2
    assert run_job(jobs.fail, {"category": "DATA"}, resume_from=first).state == "failed"
    assert run_job(jobs.raise_plainly).state == "failed"


def test_echo_files_and_chatter(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_job(jobs.echo, {"a": [1]}).result == {"a": [1]}
    (tmp_path / "a.txt").write_text("a")
    copied = run_job(jobs.copy_files, {}, {"one": tmp_path / "a.txt", "more": [tmp_path / "a.txt"]})
    assert copied.result == ["0-a.txt", "1-a.txt"]
    assert copied.outputs["1-a.txt"].path.read_text() == "a"
    assert "a program speaks" in run_job(jobs.chatty, {"lines": 2}).log
    assert capfd.readouterr().out == "stdout line 0\nstdout line 1\n"


def test_the_gate_lets_a_test_decide(tmp_path: Path) -> None:
    files = {"gate": str(tmp_path / "gate"), "arrived": str(tmp_path / "arrived")}
    waiting = run_job(jobs.gated, files, pause_at_checkpoint=2)
    assert (waiting.stages, (tmp_path / "arrived").exists()) == (["before", "gate"], True)
    (tmp_path / "gate").touch()
    assert run_job(jobs.gated, files, resume_from=waiting).stages[-1] == "after"


def test_the_hook_finds_the_work_directory(tmp_path: Path) -> None:
    files = {"mark": str(tmp_path / "mark"), "arrived": str(tmp_path / "arrived")}
    assert run_job(jobs.with_hook, files, cancel_at=1).state == "cancelled"
    assert (tmp_path / "mark").read_text() == "True"
