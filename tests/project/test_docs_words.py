"""The pages name only what exists, and everything that exists is named."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from broker_config import documented
from longshore.cli.program import ALIASES, program
from shared import declaration

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
VARIABLES = {name for name, _default, _meaning in documented()} | {
    "LONGSHORE_URL",  # the user's side
    "LONGSHORE_TOKEN",
    "LONGSHORE_PATIENCE",
    "LONGSHORE_JOB_ID",  # what a command finds
    "LONGSHORE_JOB_ATTEMPT",
    "LONGSHORE_JOB_URL",
    "LONGSHORE_JOB_TOKEN",
}
OTHER_WORDS = {"canceled", "subtask", "granule", "params", "kwargs"}


def commands() -> dict[str, click.Command]:
    context = click.Context(program)
    names = {*program.list_commands(context), *ALIASES}
    return {name: command for name in names if (command := program.get_command(context, name))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_only_variables_that_exist(page: Path) -> None:
    assert set(re.findall(r"LONGSHORE_[A-Z_]+[A-Z]", page.read_text())) <= VARIABLES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_only_commands_that_exist(page: Path) -> None:
    named = set(re.findall(r"(?:^|[`$] ?|exec |api )longshore ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named <= set(commands())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_keeps_to_the_glossary(page: Path) -> None:
    assert set(re.findall(r"[a-z]+", page.read_text())) & OTHER_WORDS == set()


def test_every_word_of_the_documentation_is_reachable_from_its_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} - {"index.md"}
    assert [page for page in pages if f"({page})" not in index] == []


def imports_of(page: Path) -> set[tuple[str, str]]:
    blocks = re.findall(r"^```python[^\n]*\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    nodes = [node for block in blocks for node in ast.walk(ast.parse(block))]
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return {(node.module or "", alias.name) for node in froms for alias in node.names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_is_python_and_imports_what_exists(page: Path) -> None:
    ours = {(module, name) for module, name in imports_of(page) if module.partition(".")[0] == "longshore"}
    assert [(module, name) for module, name in ours if not hasattr(import_module(module), name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_declaration_on_a_page_is_one(page: Path) -> None:
    for block in re.findall(r"^```json\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        if json.loads(block).get("kind"):
            assert declaration.completed(json.loads(block))["name"]
