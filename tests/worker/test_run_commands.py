"""Commands as jobs on a real worker."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from shared import files
from shared.files import FileStore
from tests.waiting import wait_for
from tests.worker.fleet import Fleet
from tests.worker.test_agent_control import lives, pids_of

SH = "/bin/sh"


def command(name: str, script: str, *words: str, **options: Any) -> dict[str, Any]:
    """The declaration of a shell script as a job type."""
    extra = {"environment": options.pop("environment", {}), "exit_codes": options.pop("exit_codes", {})}
    return {
        "kind": "command",
        "name": name,
        "version": "1",
        **options,
        "command": {"argv": [SH, "-c", script, name, *words], **extra},
    }


def args(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {}}, "required": [name]}


@pytest.fixture(scope="module")
def commands(running: Fleet) -> Fleet:
    running.define(command("hello", 'echo "hello $1"; echo oops >&2', "${args.name}", args=args("name")))
    running.define(
        command(
            "staged",
            'echo "::stage first"; echo "::progress 1 4 going"; echo "::stage second"; '
            'tr a-z A-Z < "$1" > "$2/loud.txt"; echo "::message nearly"',
            "${input.text}",
            "${job_output_dir}",
            inputs={"text": {"required": True}},
            stages=["first", "second"],
        )
    )
    running.define(
        command(
            "broken",
            "exit $1",
            "${args.code}",
            args=args("code"),
            exit_codes={"3": {"name": "bad-input", "title": "Bad input", "category": "DATA"}},
        )
    )
    script = (
        "trap '' TERM; for i in 1 2; do setsid sh -c \"trap '' TERM; echo \\$\\$ >> '$1'; sleep 300\" & done; "
        'echo $$ >> "$1"; sleep 300; sleep 300'
    )
    running.define(command("stubborn_command", script, "${args.pids}", args=args("pids")))
    ticking = 'i=0; while [ $i -lt 60 ]; do echo $i >> "$1"; i=$((i+1)); sleep 0.05; done'
    running.define(command("ticking", ticking, "${args.trace}", args=args("trace")))
    return running


def test_a_command_runs_and_its_output_is_kept_by_stream(commands: Fleet) -> None:
    job = commands.wait(commands.submit("hello", {"name": "you"}), "completed")
    assert commands.log(job.id, "stdout") == "hello you\n"
    assert commands.log(job.id, "stderr") == "oops\n"
    assert commands.executions(job.id)[0].exit_code == 0


def test_a_command_reports_reads_an_input_and_leaves_an_output(commands: Fleet) -> None:
    store = FileStore(commands.settings.files_dir)
    text = files.record_upload(commands.store, commands.user, store.receive(io.BytesIO(b"quiet"), "a.txt"))
    job = commands.wait(commands.submit("staged", inputs={"text": str(text.id)}), "completed")
    assert [r.stage for r in commands.records(job.id) if r.event == "report"][:2] == ["first", "first"]
    assert (job.stage, job.message) == ("second", "nearly")
    output = commands.outputs(job.id)[0]
    assert store.open(output.path).read() == b"QUIET"


@pytest.mark.parametrize(("code", "name", "category"), [(3, "bad-input", "DATA"), (4, "exit-4", "ALGORITHM")])
def test_an_exit_code_is_a_named_error(commands: Fleet, code: int, name: str, category: str) -> None:
    job = commands.wait(commands.submit("broken", {"code": code}), "failed")
    assert (job.error["name"], job.error["category"], job.attempt) == (name, category, 1)
    assert commands.executions(job.id)[0].exit_code == code


def test_a_cancel_leaves_no_process_of_a_stubborn_command(commands: Fleet, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    job_id = commands.submit("stubborn_command", {"pids": pids})
    wait_for(lambda: len(pids_of(pids)) == 3, 10, "the command's processes to start")
    commands.cancel(job_id)
    commands.wait(job_id, "cancelled", 8)
    assert not [pid for pid in pids_of(pids) if lives(pid)]


def test_a_command_is_suspended_in_place_and_goes_on(commands: Fleet, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    job_id = commands.submit("ticking", {"trace": trace})
    wait_for(lambda: trace.exists() and trace.read_text().count("\n") > 3, 10, "some ticks")
    commands.pause(job_id)
    commands.wait(job_id, "paused", 3)
    stood = trace.read_text()
    commands.wait(commands.submit("hello", {"name": "you"}), "completed")
    assert trace.read_text() == stood
    commands.resume(job_id)
    job = commands.wait(job_id, "completed")
    assert (job.attempt, trace.read_text().count("\n")) == (1, 60)


def test_the_time_limit_of_a_command_ends_it(commands: Fleet, tmp_path: Path) -> None:
    job_id = commands.submit("ticking", {"trace": tmp_path / "trace"}, timeout=0.5)
    assert commands.wait(job_id, "failed", 10).error["name"] == "timed-out"
