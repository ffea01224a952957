"""The sessions of README and tutorial, typed as printed there, against a real installation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.project.sessions import ROOT, Reader, matches, read_page
from tests.servers.processes import server_directory
from tests.waiting import wait_for

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_SESSIONS = [path for path in PAGES if read_page(path).typed]


def processes_of(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        environment = process.info["environ"] or {}
        if environment.get("HOME") == str(home):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


@pytest.fixture
def reader() -> Iterator[Reader]:
    with server_directory("docs") as home:
        someone = Reader(home)
        try:
            yield someone
        finally:
            someone.leave()
            wait_for(lambda: not processes_of(home), 15, "the end of all that the page had started")


@pytest.mark.parametrize("path", WITH_SESSIONS, ids=lambda path: path.stem)
def test_a_page_does_what_it_says(path: Path, reader: Reader) -> None:
    page = read_page(path)
    for typed, printed in zip(page.typed, reader.follow(page, patience=150), strict=True):
        assert matches(typed.expected, printed), f"$ {typed.command}\nprinted:\n{printed}\nexpected:\n{typed.expected}"


def test_the_readme_and_the_tutorials_have_sessions() -> None:
    names = {path.name for path in WITH_SESSIONS}
    assert {"README.md", "index-a-genome.md", "write-a-job-type.md"} <= names


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("one\n...\nlast", "one\ntwo\nthree\nlast", True),
        ("one\n...\nlast", "one\nlast", True),
        ("job ... is done", "job 12 is done", True),
        ("job ... is done", "job 12 is\nnot done", False),
        ("a+b", "a+b", True),
        ("a+b", "aab", False),
        ("", "anything", False),
    ],
)
def test_dots_stand_for_anything(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        targets = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", page.read_text())
        assert [target for target in targets if not (page.parent / target).exists()] == [], page
