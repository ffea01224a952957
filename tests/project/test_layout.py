"""What keeps the tree legible, where no linter looks."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("api", "worker", "shared", "longshore", "launcher", "examples", "docs", "tests")
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "base", "core", "misc"}


MODULES = [ROOT / "broker_config.py", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_can_be_read_at_a_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 400


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in MODULES if path.stem in VAGUE_NAMES or path.parent.name in VAGUE_NAMES] == []


def test_no_address_of_a_package_index_and_no_local_path_is_kept() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        assert not re.search(r"://|@ file|--(extra-)?index-url|--find-links|--trusted-host", path.read_text()), path


def test_every_pin_has_a_hash() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        pins = re.findall(r"^\S+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", path.read_text(), re.MULTILINE)
        assert len(pins) == len(re.findall(r"^\S+==", path.read_text(), re.MULTILINE)) > 50


def test_development_and_installation_pin_the_same_versions() -> None:
    run, dev = (
        set(re.findall(r"^(\S+==\S+) ", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("run.txt", "dev.txt")
    )
    assert run <= dev


@pytest.mark.parametrize("entry", sorted(entry_points(group="longshore.commands")), ids=lambda entry: str(entry.name))
def test_every_server_command_is_there(entry: object) -> None:
    command = entry.load()  # type: ignore[attr-defined]
    assert isinstance(command, click.Command)
    assert command.help
