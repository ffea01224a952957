from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from longshore import Backoff, Input, Job, job_type
from longshore.declare import REGISTRY, Options, load
from longshore.errors import InvalidDeclaration, JobModuleError
from shared.declaration import completed


@dataclass
class CountArgs:
    upto: int = field(metadata={"minimum": 1, "description": "Last number"})
    words: list[str] = field(default_factory=list)


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Any]:
    monkeypatch.setattr("longshore.declare.REGISTRY", {})
    return REGISTRY


def declare(name: str = "count", **options: Any) -> dict[str, Any]:
    @job_type(name, **options)
    def body(job: Job) -> None:
        """Count to a number."""

    return body.declaration


def test_a_declaration_says_everything_in_json() -> None:
    declaration = declare(
        "count_words",
        version="2",
        args=CountArgs,
        inputs={"text": Input(media_types=["text/plain"], description="What to count in")},
        stages=["read", "count"],
        timeout=60,
        max_attempts=5,
        backoff=Backoff(first=2, factor=3, max=60),
        pause="both",
        cancel="checkpoint",
        grace=30,
        queue="big",
    )
    assert declaration == {
        "kind": "python",
        "name": "count_words",
        "version": "2",
        "title": "Count words",
        "description": "Count to a number.",
        "args": {
            "type": "object",
            "title": "CountArgs",
            "properties": {
                "upto": {"type": "integer", "minimum": 1, "description": "Last number"},
                "words": {"type": "array", "items": {"type": "string"}, "default": []},
            },
            "required": ["upto"],
            "additionalProperties": False,
        },
        "inputs": {
            "text": {
                "required": True,
                "multiple": False,
                "media_types": ["text/plain"],
                "description": "What to count in",
            }
        },
        "stages": ["read", "count"],
        "timeout": 60,
        "max_attempts": 5,
        "backoff": {"first": 2, "factor": 3, "max": 60},
        "pause": ["park", "suspend"],
        "cancel": "checkpoint",
        "grace": 30,
        "suspend_limit": 3600,
        "queue": "big",
        "priority": 100,
    }


def test_what_is_not_said_has_a_default() -> None:
    declaration = declare()
    assert declaration["version"] == "1"
    assert declaration["args"] == {"type": "object"}
    assert declaration["pause"] == ["park"]
    assert declaration["backoff"] == {"first": 1, "factor": 2, "max": 300}
    assert set(declaration) == {"kind", "name", "args", *Options.__annotations__}


def test_the_broker_takes_a_declaration_as_it_stands() -> None:
    for declaration in (declare(), declare("full", args=CountArgs, inputs={"a": Input()}, pause="both")):
        assert completed(declaration) == declaration


@pytest.mark.parametrize(
    ("options", "part_of_message"),
    [
        ({"name": "no spaces"}, "the name must be a letter"),
        ({"name": ""}, "the name must be a letter"),
        ({"version": 1}, "version must be a string"),
        ({"stage": ["a"]}, "unknown option 'stage'; did you mean 'stages'?"),
        ({"nonsense": 1}, "unknown option 'nonsense'; known: version"),
        ({"stages": "read"}, "stages must be a list"),
        ({"stages": ["a", "b", "a"]}, "stages names a more than once"),
        ({"stages": ["a b"]}, "the name of a stage"),
        ({"pause": "stop"}, "pause must be 'park', 'suspend', 'both' or a list"),
        ({"pause": []}, "pause must be"),
        ({"pause": ["park", "park"]}, "pause must be"),
        ({"cancel": "now"}, "cancel must be 'interrupt' or 'checkpoint'"),
        ({"timeout": 0}, "timeout must be seconds, more than 0"),
        ({"timeout": True}, "timeout must be seconds"),
        ({"timeout": float("inf")}, "timeout must be seconds"),
        ({"max_attempts": 0}, "max_attempts must be a whole number from 1"),
        ({"max_attempts": 2.5}, "max_attempts must be a whole number"),
        ({"grace": "13"}, "grace must be seconds"),
        ({"backoff": 5}, "backoff must be a Backoff"),
        ({"backoff": {"start": 1}}, "unknown field of backoff 'start'"),
        ({"backoff": {"first": "1"}}, "backoff needs numbers"),
        ({"backoff": {"first": 9, "max": 3}}, "backoff needs first >= 0"),
        ({"queue": "a/b"}, "queue must be a letter"),
        ({"inputs": ["text"]}, "inputs must be a dictionary"),
        ({"inputs": {"a-b": Input()}}, "the name of an input must be letters"),
        ({"inputs": {"text": True}}, "input 'text' must be an Input"),
        ({"inputs": {"text": {"require": True}}}, "did you mean 'required'?"),
        ({"inputs": {"text": Input(media_types="text/plain")}}, "must be a list"),
        ({"inputs": {"text": {"multiple": 1}}}, "multiple of input 'text' must be a bool"),
        ({"args": {"type": "array"}}, "must describe an object"),
        ({"args": {"properties": {"k": {"type": "whole"}}}}, "args['properties']['k']['type'] is no valid"),
        ({"args": 5}, "args must be a dataclass"),
        ({"title": 5}, "title must be a string"),
    ],
)
def test_a_mistake_is_told_at_once_and_by_name(options: dict[str, Any], part_of_message: str) -> None:
    with pytest.raises(InvalidDeclaration, match=r"^job type ") as raised:
        declare(**options)
    assert part_of_message in str(raised.value)


def test_only_an_ordinary_function_of_one_argument_can_be_a_job() -> None:
    async def waits(job: Job) -> None: ...

    def takes_nothing() -> None: ...

    for wrong in (waits, takes_nothing, CountArgs):
        with pytest.raises(InvalidDeclaration, match="function"):
            job_type("wrong")(wrong)  # type: ignore[arg-type]


def test_a_declared_function_can_still_be_called() -> None:
    @job_type("twice")
    def twice(job: Job) -> int:
        return 2 * len(job.id)

    class Known:
        id = "abc"

    assert twice(Known()) == 6  # type: ignore[arg-type]


def test_one_name_and_version_has_one_home() -> None:
    declare("same")

    with pytest.raises(InvalidDeclaration, match="'same' version '1' is declared twice"):

        @job_type("same")
        def other(job: Job) -> None: ...


def test_backoff_grows_to_its_bound() -> None:
    backoff = Backoff(first=1, factor=2, max=300)
    assert [backoff.delay(burnt) for burnt in (1, 2, 3, 9, 10, 100_000)] == [1, 2, 4, 256, 300, 300]


# --------------------------------------------------------------------------------------------- loading

SOURCE = """
from longshore import Job, job_type

@job_type("{name}")
def body(job: Job) -> str:
    return "done"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_modules_are_found_in_the_present_directory(place: Path) -> None:
    (place / "jobs_found_here.py").write_text(SOURCE.format(name="found"))
    found = load(["jobs_found_here"], entry_points=False)
    assert list(found) == [("found", "1")]
    assert found["found", "1"].home == "jobs_found_here.body"


def test_a_package_offers_what_its_modules_declare(place: Path) -> None:
    package = place / "jobs_in_package"
    package.mkdir()
    (package / "__init__.py").write_text("from . import inner")
    (package / "inner.py").write_text(SOURCE.format(name="inner"))
    assert list(load(["jobs_in_package"], entry_points=False)) == [("inner", "1")]


@pytest.mark.parametrize(
    ("source", "part_of_message"),
    [
        (None, "there is no module 'jobs_wrong'"),
        ("import surely_not_installed", "module 'jobs_wrong' needs 'surely_not_installed'"),
        ("1 / 0", "module 'jobs_wrong' cannot be imported: ZeroDivisionError"),
        ("x = 1", "module 'jobs_wrong' declares no job types"),
        (SOURCE.format(name="bad name"), "job type 'bad name': the name must be"),
    ],
)
def test_a_module_that_cannot_serve_is_named(place: Path, source: str | None, part_of_message: str) -> None:
    sys.modules.pop("jobs_wrong", None)
    if source is not None:
        (place / "jobs_wrong.py").write_text(source)
    with pytest.raises(JobModuleError) as raised:
        load(["jobs_wrong"], entry_points=False)
    assert part_of_message in str(raised.value)


def test_an_installed_package_offers_job_types_by_entry_point(place: Path) -> None:
    (place / "jobs_installed.py").write_text(SOURCE.format(name="installed"))
    metadata = place / "jobs_installed-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: jobs-installed\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[longshore.jobs]\nmine = jobs_installed:body\n")
    sys.path.insert(0, str(place))
    assert ("installed", "1") in load([], entry_points=True)


def test_an_entry_point_that_cannot_be_loaded_is_named(place: Path) -> None:
    metadata = place / "jobs_broken-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: jobs-broken\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[longshore.jobs]\nmine = jobs_broken_module\n")
    sys.path.insert(0, str(place))
    with pytest.raises(JobModuleError, match="entry point 'mine' = 'jobs_broken_module' cannot be loaded"):
        load([])


def test_importing_longshore_is_light() -> None:
    code = "import sys, longshore; print(len([m for m in sys.modules if m.startswith('longshore')]))"
    heavy = "print(any(m in sys.modules for m in ('jsonschema', 'httpx', 'click', 'rich', 'logging')))"
    found = subprocess.run([sys.executable, "-c", f"{code}; {heavy}"], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1", "False"]
