"""The data directory: one holder at a time, and what a dead one left is known and ended."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from broker_config import Settings
from launcher.datadir import DataDirectory
from launcher.processes import Identity


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"LONGSHORE_DATA_DIR": str(tmp_path / "data")})


@pytest.fixture
def directory(settings: Settings) -> DataDirectory:
    made = DataDirectory(settings)
    made.make(settings)
    return made


def test_it_is_for_its_user_alone(directory: DataDirectory) -> None:
    for path in (directory.path, *directory.path.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_only_one_holds_it(directory: DataDirectory, settings: Settings) -> None:
    other = DataDirectory(settings)
    assert not other.is_held()
    assert other.holder() is None
    assert directory.hold()
    assert not other.hold()
    assert other.is_held()


def test_the_holder_is_named_with_its_address(directory: DataDirectory, settings: Settings) -> None:
    assert directory.hold()
    directory.write_url("http://127.0.0.1:1234")
    holder = DataDirectory(settings).holder()
    assert holder is not None
    assert holder.identity.pid == os.getpid()
    assert holder.url == "http://127.0.0.1:1234"
    assert (directory.path / "url").read_text().strip() == "http://127.0.0.1:1234"


def test_a_holder_that_was_killed_holds_no_more(directory: DataDirectory, settings: Settings) -> None:
    script = (
        "import sys, time; from broker_config import Settings; from launcher.datadir import DataDirectory\n"
        "d = DataDirectory(Settings.from_env()); print(d.hold(), flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "LONGSHORE_DATA_DIR": str(settings.data_dir)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        assert directory.is_held()
        process.kill()
    assert not directory.is_held()
    assert directory.hold()


def test_stale_processes_are_ended_but_not_those_that_only_have_their_number(directory: DataDirectory) -> None:
    with subprocess.Popen(["sleep", "600"]) as stale, subprocess.Popen(["sleep", "600"]) as other:
        known, reused = Identity.of(stale.pid), Identity.of(other.pid)
        assert known
        assert reused
        directory.write_children(
            [
                {"name": "api", "pid": known.pid, "started": known.started},
                {"name": "worker", "pid": reused.pid, "started": reused.started - 5},
            ]
        )
        assert directory.end_stale() == ["api"]
        assert stale.wait(5) == -signal.SIGQUIT
        assert reused.lives()
        other.kill()


def test_processes_of_an_earlier_boot_are_left_alone(directory: DataDirectory) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        found = Identity.of(other.pid)
        assert found
        directory.write_children([{"name": "api", "pid": found.pid, "started": found.started}])
        record = directory.run / "up.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "boot": "another"}))
        assert directory.end_stale() == []
        assert found.lives()
        other.kill()


@pytest.mark.parametrize("content", ["", "[{", "null"])
def test_a_record_cut_short_is_no_record(directory: DataDirectory, content: str) -> None:
    (directory.run / "up.json").write_text(content)
    assert directory.end_stale() == []


def test_nothing_says_that_it_runs_once_it_is_cleared(directory: DataDirectory) -> None:
    assert directory.hold()
    directory.write_url("http://127.0.0.1:1")
    directory.write_children([])
    assert json.loads((directory.run / "up.json").read_text())["children"] == []
    directory.clear()
    assert not (directory.path / "url").exists()
    assert not (directory.run / "up.json").exists()


def test_the_token_is_never_readable_by_others(directory: DataDirectory) -> None:
    directory.token_file.write_text("old")
    directory.token_file.chmod(0o644)
    directory.write_token("new")
    assert directory.token_file.read_text() == "new\n"
    assert stat.S_IMODE(directory.token_file.stat().st_mode) == 0o600
