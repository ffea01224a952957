"""The command line by itself: start-up, help, usage, exit codes, errors as JSON. No broker is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from longshore.cli import main
from longshore.cli.exits import Exit
from longshore.cli.filters import moment
from longshore.cli.lazy import LazyGroup
from longshore.cli.program import PLACES, program

HEAVY = ("flask", "celery", "sqlalchemy", "marshmallow", "rich", "jsonschema", "api", "worker", "shared", "launcher")
PROBE = """
import json, sys
from longshore.cli import main
code = main(sys.argv[1:])
print(json.dumps({"code": code, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
NOWHERE = ["--url", "http://127.0.0.1:9", "--patience", "0"]


def probe(*arguments: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_a_command_of_the_client_loads_nothing_of_the_server() -> None:
    found = probe(*NOWHERE, "ls")
    assert found["code"] == Exit.UNREACHABLE
    assert set(HEAVY) & set(found["loaded"]) == set()  # type: ignore[call-overload]


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += every_command(command, (*path, name))
    return found


@pytest.mark.parametrize(
    "path", [path for path in every_command(program) if path[0] in {*PLACES, "jobs"}], ids=" ".join
)
def test_every_command_explains_itself(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*path, "--help"]) == 0
    assert f"Usage: longshore {' '.join(path)}" in capsys.readouterr().out


@pytest.mark.parametrize(("alias", "name"), [("list", "ls"), ("inspect", "show"), ("users", "user"), ("job", "jobs")])
def test_aliases_lead_to_the_command(alias: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([alias, "--help"]) == 0
    assert f"Usage: longshore {name}" in capsys.readouterr().out


def test_commands_about_jobs_are_found_under_the_noun_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job", "list", "--help"]) == 0
    assert "Usage: longshore jobs ls" in capsys.readouterr().out


def test_a_command_of_a_package_that_is_broken_says_so() -> None:
    class Broken:
        def load(self) -> None:
            raise ImportError("no module named launcher")

    class Group(LazyGroup):
        def _entry_points(self) -> dict[str, Broken]:  # type: ignore[override]
            return {"up": Broken()}

    command = Group("group").get_command(click.Context(program), "up")
    assert command is not None
    with pytest.raises(click.ClickException, match="`longshore up` is not installed here: no module named launcher"):
        command.main(["--port", "1"], standalone_mode=False)


# ---------------------------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["ls", "--no-such-option"],
        ["show"],
        ["ls", "--state", "sleeping"],
        ["submit", "x", "--arg", "k"],
        ["submit", "x", "--args", "[1]"],
        ["submit", "x", "--args", "{"],
        ["submit", "x", "--input", "genome=no-such-file"],
        ["ls", "--query", "[]"],
        ["bulk", "cancel"],
        ["show", "what?"],
        ["watch"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*NOWHERE, *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Usage" in shown.err or "Error" in shown.err


@pytest.mark.parametrize("form", [["-o", "json"], ["-ojson"], ["--output=json"], ["--json", "id"], ["--json=id"]])
def test_in_json_mode_errors_are_json_on_stderr(form: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*NOWHERE, "ls", *form]) == Exit.UNREACHABLE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert json.loads(shown.err)["error"]["code"] == "unavailable"


def test_wrong_usage_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "-o", "json", "--limit", "none"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "usage"


def test_without_a_broker_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LONGSHORE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("LONGSHORE_URL", raising=False)
    assert main(["ls"]) == Exit.UNREACHABLE
    assert "longshore up" in capsys.readouterr().err


def test_every_exit_code_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/use-the-cli.md").read_text()
    for code in Exit:
        assert f"| {code.value} |" in page


# --------------------------------------------------------------------------------------------------- shells


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_LONGSHORE_COMPLETE" in capsys.readouterr().out


def completed(words: str, last: int) -> list[str]:
    environ = {**os.environ, "_LONGSHORE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(last)}
    done = subprocess.run(
        [sys.executable, "-m", "longshore.cli"], env=environ, capture_output=True, text=True, check=False
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_commands_and_options_are_completed() -> None:
    assert completed("longshore ca", 1) == ["cancel"]
    assert "--reason" in completed("longshore cancel --re", 2)
    assert "running" in completed("longshore ls --state r", 3)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("90m", "PT90M"), ("2d", "P2D"), ("1w", "P1W"), ("PT5S", "PT5S"), ("2026-01-01", "2026-01-01")],
)
def test_short_durations_become_iso(text: str, meaning: str) -> None:
    assert moment(text) == meaning
