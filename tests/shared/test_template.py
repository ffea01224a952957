from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.template import Rendered, Values, check_template, placeholders, render, with_defaults

SCHEMA = {
    "type": "object",
    "properties": {
        "k": {"type": "integer"},
        "name": {"type": "string"},
        "names": {"type": "array", "items": {"type": "string"}},
        "tables": {"type": "array", "items": {"type": "object"}},
        "options": {"type": "object"},
        "mode": {"enum": ["fast", "slow"], "default": "fast"},
        "maybe": {"type": "string"},
    },
    "required": ["k", "name", "names", "options", "tables"],
}
INPUTS: dict[str, dict[str, Any]] = {
    "genome": {"required": True},
    "reads": {"multiple": True},
    "hint": {"required": False},
}


def values(args: Mapping[str, Any] | None = None, **inputs: Path | list[Path]) -> Values:
    return Values(
        args=args or {},
        inputs=inputs,
        job_output_dir=Path("/w/output"),
        job_work_dir=Path("/w"),
        job_id="0190",
        attempt=2,
    )


def problems(*argv: str, inputs: Mapping[str, Any] | None = None, **environment: str) -> list[tuple[str, str]]:
    command = {"argv": ["prog", *argv], "environment": environment}
    found = check_template(command, SCHEMA, INPUTS if inputs is None else inputs)
    return [(each.field, each.message) for each in found]


def rendered(*argv: str, values: Values = values()) -> list[str]:  # noqa: B008 - frozen
    return render({"argv": list(argv)}, values).argv


@pytest.mark.parametrize(
    "argument",
    [
        "plain",
        "${args.k}",
        "--k=${args.k}",
        "${args.mode}",
        "${args.names}",
        "${input.genome}",
        "a:${input.genome}:b",
        "${input.reads}",
        "${input.hint}",
        "${job_output_dir}/out",
        "${job_work_dir}",
        "${job_id}-${attempt}",
        "$${HOME} and $HOME",
    ],
)
def test_these_arguments_can_always_be_rendered(argument: str) -> None:
    assert problems(argument) == []


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("${HOME}", "${HOME} is not known"),
        ("${}", "${} is not known"),
        ("${args.}", "args has no property ''"),
        ("${args.other}", "args has no property 'other'"),
        ("${args.maybe}", "may be missing"),
        ("${args.options}", "may be an object"),
        ("x${args.names}", "may be a list"),
        ("${args.tables}", "a list of more than plain values"),
        ("${input.other}", "there is no input 'other'"),
        ("${input}", "exactly one declared input"),
        ("x${input.reads}", "may be several files"),
        ("x${input.hint}", "may be missing"),
        ("${args.k", "without '}'"),
        ("a\0b", "NUL"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(argument: str, message: str) -> None:
    [(field, text)] = problems("fine", argument)
    assert field == "command.argv.2"
    assert message in text


def test_the_environment_is_checked_too() -> None:
    assert problems(GENOME="${input.genome}") == []
    [(field, _)] = problems(READS="${input.reads}")
    assert field == "command.environment.READS"
    [(field, text)] = problems(LONGSHORE_JOB_ID="x")
    assert (field, text) == ("command.environment.LONGSHORE_JOB_ID", "is set by the worker")


def test_a_job_cannot_choose_the_program() -> None:
    [problem] = check_template({"argv": ["${args.name}"]}, SCHEMA, INPUTS)
    assert (problem.field, problem.message) == ("command.argv.0", "the program depends on the job")
    [problem] = check_template({"argv": []}, SCHEMA, INPUTS)
    assert problem.field == "command.argv"


def test_input_alone_means_the_only_one() -> None:
    assert problems("${input}", inputs={"genome": {}}) == []
    assert problems("x${input}", inputs={"genome": {"multiple": True}}) != []
    assert rendered("prog", "${input}", values=values(genome=Path("/w/g.fa"))) == ["prog", "/w/g.fa"]


def test_values_take_their_places() -> None:
    given_values = values(
        {"k": 31, "name": "a b", "ratio": 0.5, "flag": True}, genome=Path("/in/g.fa"), reads=[Path("/r1"), Path("/r2")]
    )
    assert rendered(
        "prog",
        "-k${args.k}",
        "${args.name}",
        "${args.ratio}/${args.flag}",
        "${input.genome}",
        "${input.reads}",
        "${job_output_dir}/x",
        "${job_work_dir}",
        "${job_id}.${attempt}",
        values=given_values,
    ) == ["prog", "-k31", "a b", "0.5/true", "/in/g.fa", "/r1", "/r2", "/w/output/x", "/w", "0190.2"]


def test_a_list_becomes_as_many_arguments_and_nothing_becomes_none() -> None:
    assert rendered("p", "${args.names}", values=values({"names": ["a", "b c", ""]})) == ["p", "a", "b c", ""]
    assert rendered("p", "${args.names}", "end", values=values({"names": []})) == ["p", "end"]
    assert rendered("p", "${input.hint}", "end") == ["p", "end"]
    assert rendered("p", "${args.x}", "<${args.x}>", values=values({"x": None})) == ["p", "<>"]


def test_the_environment_is_rendered_too() -> None:
    command = {"argv": ["p"], "environment": {"K": "k=${args.k}", "LITERAL": "$${args.k}"}}
    assert render(command, values({"k": 3})) == Rendered(["p"], {"K": "k=3", "LITERAL": "${args.k}"})


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_value_is_one_argument_whatever_it_holds(text: str) -> None:
    assert rendered("p", "${args.name}", "<${args.name}>", values=values({"name": text})) == [
        "p",
        text,
        f"<{text}>",
    ]


@pytest.mark.parametrize("text", ["${args.secret}", "$${x}", "$(id)", "`id`", "; rm -rf /", "a' \"b", "--opt", "*"])
def test_what_a_value_holds_is_never_interpreted(text: str) -> None:
    assert rendered("p", "x=${args.name}", values=values({"name": text, "secret": "s"})) == ["p", f"x={text}"]


@pytest.mark.parametrize("value", [{"a": 1}, [["x"]], "a\0b", "\ud800", float("nan"), ["ok", {"a": 1}]])
def test_what_cannot_be_an_argument_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="cannot be started"):
        rendered("p", "${args.x}", values=values({"x": value}))


@pytest.mark.parametrize("argument", ["${args.gone}", "${what}", "x${args.gone}"])
def test_a_value_that_is_not_there_is_refused(argument: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rendered("p", argument)
    assert caught.value.problems[0].field == "command.argv.1"


def test_declared_defaults_fill_what_was_left_out() -> None:
    assert with_defaults(SCHEMA, {"k": 1}) == {"mode": "fast", "k": 1}
    assert with_defaults(SCHEMA, {"mode": "slow"}) == {"mode": "slow"}
    assert with_defaults({}, {"k": 1}) == {"k": 1}


def test_placeholders_are_named_once_and_in_order() -> None:
    assert placeholders(["${args.b}${args.a}", "${args.b}", "$${no}"]) == ["args.b", "args.a"]
