"""The components' logs: shown line by line under their names, kept small, never in a component's way."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from launcher import logs
from launcher.logs import LogView, last_lines
from tests.waiting import wait_for


def plain(out: io.StringIO) -> list[str]:
    return re.sub(r"\x1b\[\d+m", "", out.getvalue()).splitlines()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_new_lines_are_shown_whole_and_under_their_component(tmp_path: Path) -> None:
    append(tmp_path / "api.log", "of an earlier run\n")
    out = io.StringIO()
    view = LogView(tmp_path, ("api", "worker"), out)
    view.start()
    append(tmp_path / "api.log", "half a ")
    append(tmp_path / "worker.log", "job 1\njob 2\n")
    wait_for(lambda: len(plain(out)) == 2, 5, "the worker's lines")
    append(tmp_path / "api.log", "line\n")
    wait_for(lambda: len(plain(out)) == 3, 5, "the API's line")
    view.stop()
    assert plain(out) == ["worker | job 1", "worker | job 2", "api    | half a line"]


def test_a_log_that_has_grown_large_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST", 1000)
    view = LogView(tmp_path, ("api",), None)
    view.start()
    writer = (tmp_path / "api.log").open("a", buffering=1)
    with writer:
        writer.write("x" * 1500 + "\n")
        wait_for((tmp_path / "api.log.1").exists, 5, "the older log")
        wait_for(lambda: (tmp_path / "api.log").stat().st_size == 0, 5, "an empty log")
        writer.write("after\n")
    view.stop()
    assert (tmp_path / "api.log").read_text() == "after\n"


def test_stopping_a_view_that_never_began_is_nothing(tmp_path: Path) -> None:
    LogView(tmp_path, ("api",), None).stop()


def test_the_end_of_a_log_explains_a_failed_start(tmp_path: Path) -> None:
    append(tmp_path / "api.log", "".join(f"line {number}\n" for number in range(100)))
    assert last_lines(tmp_path / "api.log", 2) == "line 98\nline 99"
    assert last_lines(tmp_path / "missing.log") == ""
