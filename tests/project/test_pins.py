"""The pins: the same everywhere, checked by hash, from no place in particular, and what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN_EXTRAS = ("postgres", "embedded", "examples")


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+) ", text, re.MULTILINE))


def asked_for(*extras: str) -> list[Requirement]:
    optional = PROJECT["optional-dependencies"]
    return [Requirement(text) for group in (PROJECT["dependencies"], *map(optional.get, extras)) for text in group]


@pytest.mark.parametrize(("name", "extras"), [("run.txt", RUN_EXTRAS), ("dev.txt", (*RUN_EXTRAS, "dev"))])
def test_the_pins_are_what_the_project_asks_for(name: str, extras: tuple[str, ...]) -> None:
    versions = pinned(name)
    for requirement in asked_for(*extras):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


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
