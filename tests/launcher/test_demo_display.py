"""What the demo shows of a job: a line for each stage, moving only where a terminal can redraw it."""

from __future__ import annotations

import pytest

from launcher.demo.display import StageLines
from longshore.models import Job


def job(stage: str | None, done: float | None = None, total: float | None = None, **fields: str) -> Job:
    return Job(
        stage=stage, done=done, total=total, state=fields.get("state", "running"), message=fields.get("message", "")
    )


def test_each_stage_ends_with_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    lines = StageLines()
    for each in (job("unpack", 0, 10), job("unpack", 9, 10), job("index", 1, 4, message="block 1"), job("index")):
        lines.show(each)
    lines.end_stage("paused")
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == ["unpack", "unpack", "unpack", "index", "index"]
    assert "done" in shown[2]
    assert "block 1" in shown[3]
    assert "paused" in shown[4]


def test_without_a_terminal_little_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = StageLines()
    for number in range(1000):
        lines.show(job("index", number, 1000))
    assert len(capsys.readouterr().out.splitlines()) <= 5


def test_a_final_job_moves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    StageLines().show(job("index", 4, 4, state="completed"))
    assert capsys.readouterr().out == ""
