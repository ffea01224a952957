from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import marshmallow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.errors import FieldProblem, InvalidArguments, InvalidDeclaration, NotJson
from longshore.jsonable import jsonable
from longshore.schema import arguments_of, problems_of


class Mode(Enum):
    FAST = "fast"
    EXACT = "exact"


@dataclass
class Window:
    size: int
    step: float = 1


@dataclass
class Everything:
    name: str
    window: Window
    mode: Mode = Mode.FAST
    aligner: Literal["bowtie2", "bwa"] = "bowtie2"
    k: Annotated[int, {"minimum": 1}] = 15
    limit: int | None = None
    windows: list[Window] = field(default_factory=list)
    pair: tuple[int, str] = (1, "a")
    many: tuple[int, ...] = ()
    tags: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    either: Window | str = "none"
    since: datetime | None = None
    day: date = date(2026, 1, 2)
    place: Path = Path("here")
    anything: Any = None

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ValueError("this name is taken")


ARGUMENTS = arguments_of(Everything)


def wrong(raw: dict[str, Any]) -> list[FieldProblem]:
    with pytest.raises(InvalidArguments) as raised:
        ARGUMENTS.decode(raw)
    return list(raised.value.problems)


def test_json_becomes_the_declared_types() -> None:
    args = ARGUMENTS.decode(
        {
            "name": "a",
            "window": {"size": 3, "step": 2},
            "mode": "exact",
            "limit": 4,
            "windows": [{"size": 1}],
            "pair": [2, "b"],
            "many": [1, 2, 3],
            "tags": ["x"],
            "sizes": {"y": 1},
            "either": {"size": 9},
            "since": "2026-01-02T03:04:05+00:00",
            "place": "there",
            "anything": [None],
        }
    )
    assert args == Everything(
        name="a",
        window=Window(3, 2.0),
        mode=Mode.EXACT,
        limit=4,
        windows=[Window(1)],
        pair=(2, "b"),
        many=(1, 2, 3),
        tags={"x"},
        sizes={"y": 1},
        either=Window(9),
        since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        place=Path("there"),
        anything=[None],
    )
    assert isinstance(args.window.step, float)


def test_what_is_not_given_has_the_default_of_the_dataclass() -> None:
    assert ARGUMENTS.decode({"name": "a", "window": {"size": 1}}) == Everything("a", Window(1))


def test_every_wrong_field_is_named_with_what_would_be_right() -> None:
    found = wrong({"window": {"size": "3"}, "k": 0, "aligner": "star", "windows": [{}], "extra": 1})
    assert {problem.field: problem.expected for problem in found} == {
        "args.aligner": "one of: bowtie2, bwa",
        "args.extra": "one of: " + ", ".join(sorted(Everything.__dataclass_fields__)),
        "args.k": "minimum 1",
        "args.name": "",
        "args.window.size": "integer",
        "args.windows[0].size": "",
    }


def test_a_dataclass_may_check_itself() -> None:
    assert wrong({"name": "forbidden", "window": {"size": 1}}) == [FieldProblem("args", "this name is taken")]


def test_a_number_beyond_all_bounds_is_refused_as_an_arg() -> None:
    assert [p.field for p in wrong({"name": "a", "window": {"size": 1, "step": 10**400}})] == ["args"]


def test_true_is_no_number() -> None:
    assert [problem.field for problem in wrong({"name": "a", "window": {"size": True}})] == ["args.window.size"]


@given(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(Mode))
def test_what_was_declared_survives_the_way_through_json(name: str, size: int, step: float, mode: Mode) -> None:
    if name == "forbidden":
        return
    args = Everything(name=name, window=Window(size, step), mode=mode)
    assert ARGUMENTS.decode(jsonable(args, "args")) == args


@dataclass
class Unspeakable:
    what: complex


@dataclass
class Unresolvable:
    what: NoSuchThing  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("declared", [Unspeakable, Unresolvable])
def test_a_type_that_json_lacks_is_refused(declared: type) -> None:
    with pytest.raises(InvalidDeclaration, match="args"):
        arguments_of(declared)


# ------------------------------------------------------------------------------------------ other forms


def test_a_json_schema_gives_dictionaries_with_defaults_filled_in() -> None:
    arguments = arguments_of(
        {
            "properties": {
                "k": {"type": "integer", "default": 15},
                "window": {"type": "object", "properties": {"step": {"default": [1]}}},
            },
            "required": ["name"],
        }
    )
    assert arguments.schema["type"] == "object"
    given_args = {"name": "a", "window": {}}
    decoded = arguments.decode(given_args)
    assert decoded == {"name": "a", "k": 15, "window": {"step": [1]}}
    assert given_args == {"name": "a", "window": {}}
    decoded["window"]["step"].append(2)
    assert arguments.decode(given_args)["window"] == {"step": [1]}
    with pytest.raises(InvalidArguments, match=r"args\.name: is required"):
        arguments.decode(None)


class Inner(marshmallow.Schema):
    size = marshmallow.fields.Integer(required=True, validate=marshmallow.validate.Range(1, 9))


class Outer(marshmallow.Schema):
    inner = marshmallow.fields.Nested(Inner, required=True)
    name = marshmallow.fields.String(load_default="nobody")

    @marshmallow.validates("name")
    def check_name(self, name: str, **_: object) -> None:
        if name == "forbidden":
            raise marshmallow.ValidationError("this name is taken")


@pytest.mark.parametrize("declared", [Outer, Outer()])
def test_a_marshmallow_schema_is_taken_too(declared: Any) -> None:
    arguments = arguments_of(declared)
    assert arguments.schema["properties"]["inner"]["properties"]["size"]["maximum"] == 9
    assert arguments.decode({"inner": {"size": 3}}) == {"inner": {"size": 3}, "name": "nobody"}
    with pytest.raises(InvalidArguments) as raised:
        arguments.decode({"inner": {"size": 30}, "more": 1})
    assert [problem.field for problem in raised.value.problems] == ["args.inner.size", "args.more"]
    with pytest.raises(InvalidArguments, match=r"args\.name: this name is taken"):
        arguments.decode({"inner": {"size": 3}, "name": "forbidden"})


def test_other_documents_can_be_checked_under_their_own_name() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}
    assert problems_of(schema, {"a": [1, "x"]}, "extra") == [
        FieldProblem("extra.a[1]", "has the wrong type: 'x'", "integer")
    ]


# ------------------------------------------------------------------------------------- values into JSON


class Number:
    """Stands for a number of numpy, which is known by `tolist` alone."""

    def tolist(self) -> float:
        return 2.5


def test_common_values_become_json() -> None:
    value = {"a": Window(1), "b": Mode.FAST, "c": Path("x"), "d": {3, 1}, "e": (1, None), "f": Number()}
    assert jsonable(value, "it") == {
        "a": {"size": 1, "step": 1},
        "b": "fast",
        "c": "x",
        "d": [1, 3],
        "e": [1, None],
        "f": 2.5,
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, object()]}, r"it\.a\[1\] is a object"),
        ({"a": float("nan")}, r"it\.a is nan"),
        ({1: 2}, "it has the key 1"),
        (b"bytes", "it is a bytes"),
    ],
)
def test_what_json_cannot_express_is_named_by_its_place(value: Any, message: str) -> None:
    with pytest.raises(NotJson, match=message):
        jsonable(value, "it")
