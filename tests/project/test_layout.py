"""What keeps the tree legible, where no linter looks."""

from __future__ import annotations

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


@pytest.mark.parametrize("entry", sorted(entry_points(group="longshore.commands")), ids=lambda entry: str(entry.name))
def test_every_server_command_is_there(entry: object) -> None:
    command = entry.load()  # type: ignore[attr-defined]
    assert isinstance(command, click.Command)
    assert command.help
