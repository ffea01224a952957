"""The command line against a real broker with a real worker."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from longshore.cli import main
from longshore.cli.exits import Exit
from longshore.client import Client, NotAuthenticated
from tests.launcher.installation import Installation
from tests.waiting import wait_for

PATIENCE = 30.0


@dataclass
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        assert self.err == "", "JSON mode keeps stderr silent"
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def run(broker_up: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process, as somebody who has the data directory."""
    for name in [name for name in os.environ if name.startswith("LONGSHORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LONGSHORE_DATA_DIR", str(broker_up.data_dir))

    def run(*arguments: str | Path) -> Said:
        code = main([str(word) for word in arguments])
        shown = capsys.readouterr()
        return Said(code, shown.out, shown.err)

    return run


# ---------------------------------------------------------------------------------------- submit and show


def test_a_job_is_submitted_and_shown(run: Run) -> None:
    submitted = run(
        "submit", "echo", "--arg", "k=21", "--arg", "name=E. coli", "--title", "A title", "-l", "x", "-o", "json"
    )
    job = submitted.json
    assert (job["args"], job["title"], job["labels"]) == ({"k": 21, "name": "E. coli"}, "A title", ["x"])
    assert run("watch", str(job["number"])).code == Exit.OK
    card = run("show", job["id"][:20]).out
    for words in (job["id"], "A title", "completed", '"k": 21', "1: on "):
        assert words in card


def test_args_come_from_a_file_and_single_ones_go_before_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "args.json").write_text('{"a": 1, "b": 2}')
    said = run("submit", "echo", "--args", f"@{tmp_path}/args.json", "--arg", "b=3", "--wait", "--json", "result")
    assert said.json == {"result": {"a": 1, "b": 3}}


def test_people_see_number_id_and_state(run: Run) -> None:
    number, job_id, state = run("submit", "echo").out.split()
    assert number.isdigit()
    assert len(job_id) == 36
    assert state in {"queued", "running"}


@pytest.mark.parametrize(("category", "code"), [("none", Exit.OK), ("DATA", Exit.FAILURE)], ids=["completed", "failed"])
def test_the_exit_code_tells_how_the_job_ended(run: Run, category: str, code: Exit) -> None:
    order = ["submit", "echo"] if category == "none" else ["submit", "fail", "--arg", f"category={category}"]
    said = run(*order, "--wait")
    assert said.code == code
    assert ("unlucky" in said.err) == (code == Exit.FAILURE)


def test_a_cancelled_job_ends_the_watching_with_2(run: Run, running: str) -> None:
    assert run("cancel", running, "--reason", "why not", "--wait").code == Exit.OK
    assert run("watch", running, "--exit-status").code == Exit.CANCELLED
    assert run("watch", running).code == Exit.OK


def test_waiting_has_an_end(run: Run, running: str) -> None:
    said = run("watch", running, "--timeout", "0.3")
    assert said.code == Exit.TIMEOUT
    assert "it goes on" in said.err


def test_the_same_key_gives_the_same_job(run: Run) -> None:
    key = uuid4().hex
    first, second = (run("submit", "echo", "--idempotency-key", key, "--json", "id").json for _ in range(2))
    assert first == second


def test_wrong_args_are_named_field_by_field(run: Run) -> None:
    said = run("submit", "sleep", "--arg", "seconds=long")
    assert said.code == Exit.FAILURE
    assert "args.seconds" in said.err
    said = run("submit", "sleep", "--arg", "seconds=long", "-o", "json")
    assert json.loads(said.err)["error"]["errors"][0]["field"] == "args.seconds"


# ------------------------------------------------------------------------------------------ find and list


def test_jobs_are_listed_by_filters(run: Run) -> None:
    label = uuid4().hex
    for k in (1, 2, 3):
        assert run("submit", "echo", "--arg", f"k={k}", "-l", label, "--not-before", "1h").code == 0
    found = run("ls", "--label", label, "--json", "number,args.k").json
    assert [job["args.k"] for job in found] == [3, 2, 1]
    assert len(run("ls", "--label", label, "--query", '{"args.k": {"$gte": 2}}', "-o", "json").json) == 2
    assert run("ls", "--label", label, "--state", "running", "-o", "json").json == []
    assert "No jobs match" in run("ls", "--label", label, "--state", "running").err
    table = run("ls", "-l", label, "-n", "2")
    assert table.out.splitlines()[0].split()[:4] == ["NUMBER", "ID", "TYPE", "STATE"]
    assert len(table.out.splitlines()) == 3
    assert "--all" in table.err
    assert run("bulk", "cancel", "--label", label, "--yes", "-o", "json").json["changed"] == 3


def test_a_job_is_named_by_number_id_or_the_beginning_of_its_id(run: Run) -> None:
    job = run("submit", "echo", "-o", "json").json
    for name in (str(job["number"]), f"#{job['number']}", job["id"], job["id"].replace("-", ""), job["id"][:30]):
        assert run("show", name, "--json", "id").json == {"id": job["id"]}
    run("submit", "echo")
    ambiguous = run("show", job["id"][:4])
    assert ambiguous.code == 2
    assert "several ids" in ambiguous.err
    assert run("show", "999999999").code == Exit.FAILURE
    assert run("show", "ffffffff").code == Exit.FAILURE


def test_numbers_of_jobs_are_completed(run: Run, broker_up: Installation) -> None:
    number = str(run("submit", "echo", "-o", "json").json["number"])
    environ = {
        **broker_up.environment,
        "_LONGSHORE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"longshore show {number}",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "longshore.cli"], env=environ, capture_output=True, text=True, check=False
    )
    assert number in {line.partition(",")[2] for line in done.stdout.splitlines()}


# ------------------------------------------------------------------------------------------------- steer


def test_a_job_is_paused_and_resumed(run: Run, running: str, gate: Path) -> None:
    assert run("pause", running, "--mode", "park", "--reason", "lunch", "--wait", "--json", "state").json == {
        "state": "paused"
    }
    why = run("why", running, "-o", "json").json
    assert why["reason"]
    assert run("resume", running, "-r", "back").code == 0
    gate.touch()
    assert run("watch", running, "--exit-status").code == Exit.OK
    history = run("history", running)
    assert "lunch" in history.out
    assert "back" in history.out


def test_several_jobs_are_steered_and_one_that_refuses_stops_none(run: Run) -> None:
    done = run("submit", "echo", "--wait", "--json", "number").json["number"]
    waiting = [str(run("submit", "echo", "--not-before", "1h", "-o", "json").json["number"]) for _ in range(2)]
    said = run("cancel", waiting[0], str(done), waiting[1])
    assert said.code == Exit.FAILURE
    assert [line.split()[0] for line in said.out.splitlines()] == waiting
    assert "completed" in said.err


def test_a_draft_is_edited_sent_and_removed(run: Run) -> None:
    number = str(run("submit", "echo", "--draft", "-o", "json").json["number"])
    assert run("edit", number, "--priority", "5", "--label", "a", "--json", "priority,labels").json == {
        "priority": 5,
        "labels": ["a"],
    }
    assert run("send", number).code == 0
    assert run("watch", number, "--exit-status").code == Exit.OK
    assert run("rm", number, "--yes").code == 0
    assert run("show", number).code == Exit.FAILURE


def test_a_job_is_run_again(run: Run) -> None:
    failed = run("submit", "fail", "--arg", "category=DATA", "--wait", "-o", "json")
    assert failed.code == Exit.FAILURE
    number = str(json.loads(failed.out)["number"])
    assert run("rerun", number, "--json", "rerun").json == {"rerun": 1}
    assert run("watch", number, "--exit-status").code == Exit.FAILURE


# ------------------------------------------------------------------------------------------------ follow


def test_watching_prints_a_line_for_each_change(run: Run) -> None:
    number = str(run("submit", "sleep", "--arg", "seconds=1", "-o", "json").json["number"])
    lines = run("watch", number).out.splitlines()
    assert lines[-1].startswith("completed")
    assert any(line.startswith("running  sleep") for line in lines)


def test_watching_in_json_prints_one_object_to_a_line(run: Run) -> None:
    number = str(run("submit", "sleep", "--arg", "seconds=0.5", "-o", "json").json["number"])
    states = [json.loads(line)["state"] for line in run("watch", number, "--json", "state").out.splitlines()]
    assert states[-1] == "completed"


def test_the_log_is_printed_and_followed(run: Run) -> None:
    number = str(run("submit", "chatty", "--arg", "lines=5", "-o", "json").json["number"])
    followed = run("logs", "-f", number)
    assert "stdout line 4" in followed.out
    assert followed.code == 0
    assert sorted(run("logs", number).out.splitlines()) == sorted(followed.out.splitlines())
    assert "log line 4" in run("logs", number, "-o", "json").json["log"]
    assert run("logs", number, "--stream", "stderr", "--tail", "1").out == "stderr line 4\n"


def test_updates_are_printed_from_a_cursor(run: Run) -> None:
    cursor = run("updates").err.split()[-1]
    job = run("submit", "echo", "--wait", "-o", "json")
    job_id = json.loads(job.out)["id"]
    lines = [json.loads(line) for line in run("updates", "--cursor", cursor, "-o", "json").out.splitlines()]
    assert [line["state"] for line in lines if line["job"] == job_id][:2] == ["queued", "running"]


# ---------------------------------------------------------------------------------------- files and types


def test_files_are_uploaded_listed_and_downloaded(run: Run, tmp_path: Path) -> None:
    genome = tmp_path / "genome.fna"
    genome.write_text(">x\nACGT\n")
    file_id = run("files", "upload", genome, "-o", "json").json["id"]
    assert file_id in run("files").out
    job = run(
        "submit", "copy_files", "--input", f"one={genome}", "--input", f"more={file_id}", "--wait", "-o", "json"
    ).json
    names = {file["name"] for file in run("files", "ls", job["id"], "-o", "json").json if file["role"] == "output"}
    paths = run("files", "download", job["id"], "-d", tmp_path / "out", "-o", "json").json
    assert {Path(path).name for path in paths} == names
    assert {Path(path).read_text() for path in paths} == {">x\nACGT\n"}
    assert run("files", "download", file_id, "-d", tmp_path / "again").code == 0
    assert (tmp_path / "again/genome.fna").exists()


def test_a_command_type_is_defined_paused_and_run(run: Run, tmp_path: Path) -> None:
    name = f"count-{uuid4().hex[:8]}"
    declaration = tmp_path / "type.json"
    args = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
    command = {"argv": ["echo", "${args.word}"]}
    declaration.write_text(json.dumps({"kind": "command", "name": name, "args": args, "command": command}))
    assert run("types", "define", f"@{declaration}", "--json", "name,kind").json == {"name": name, "kind": "command"}
    assert run("types", "pause", name, "--reason", "not yet").code == 0
    assert run("types", "show", name, "--json", "paused").json == {"paused": True}
    number = str(run("submit", name, "--arg", "word=hello", "-o", "json").json["number"])
    assert run("types", "resume", name).code == 0
    assert run("watch", number, "--exit-status").code == Exit.OK
    assert run("logs", number).out == "hello\n"
    assert name in run("types").out


def test_who_waits_for_a_job_that_pauses_is_told(run: Run) -> None:
    said = run("submit", "sleep", "--arg", "seconds=0", "--pause-at", "sleep", "--wait", "--wait-timeout", "4")
    assert said.code == Exit.TIMEOUT
    assert "is paused. It goes on with: longshore resume" in said.err


def test_a_command_type_is_replaced_and_removed(run: Run, tmp_path: Path) -> None:
    declaration = tmp_path / "type.json"

    def define(*options: str) -> Said:
        return run("types", "define", f"@{declaration}", *options)

    document = {"kind": "command", "name": f"wc-{uuid4().hex[:8]}", "command": {"argv": ["wc"]}}
    declaration.write_text(json.dumps(document))
    assert define("--replace").code == 0
    again = define()
    assert (again.code, "add --replace" in again.err) == (Exit.FAILURE, True)
    declaration.write_text(json.dumps({**document, "title": "Count"}))
    assert define("--replace", "--json", "title").json == {"title": "Count"}
    assert run("types", "rm", document["name"]).out == f"{document['name']} 1  removed\n"
    assert run("types", "show", document["name"]).code == Exit.FAILURE


# ------------------------------------------------------------------------------------- people and health


def test_a_token_is_made_used_and_revoked(run: Run) -> None:
    user = f"ana-{uuid4().hex[:8]}"
    made = run("token", "create", "--user", user, "--scope", "jobs:read", "--expires", "1d", "-o", "json").json
    assert (made["user"], made["scopes"]) == (user, ["jobs:read"])
    assert run("--token", made["token"], "ls", "-o", "json").json == []
    assert run("--token", made["token"], "submit", "echo").code == Exit.LOGIN
    assert run("token", "revoke", made["id"]).code == 0
    wait_for(lambda: run("--token", made["token"], "ls").code == Exit.LOGIN, 5, "the token to be refused")
    plain = run("token", "create", "--user", user)
    assert "There was no user" not in plain.err
    assert plain.out.strip()
    assert len(plain.out.split()) == 1
    assert user in run("token", "ls", "--user", user).out
    assert user in run("user").out
    run("token", "create", "--user", user, "--name", "short", "--expires", "PT0.01S")
    wait_for(lambda: "ended" in run("token", "ls", "--user", user).out, 5, "the token to have ended")


def test_the_broker_tells_of_itself(run: Run) -> None:
    assert run("ping", "-o", "json").json["status"] == "ok"
    status = run("status", "-o", "json").json
    assert status["me"]["name"] == "admin"
    assert "database" in run("status").out
    assert "default" in run("queues").out
    assert "0/3" in run("workers").out or "/3" in run("workers").out


def test_a_queue_is_paused_and_resumed(run: Run) -> None:
    name = f"q-{uuid4().hex[:8]}"
    assert run("queues", "pause", name, "--reason", "full", "-o", "json").json == {"name": name, "paused": True}
    assert "full" in run("queues").out
    assert run("queues", "resume", name).code == 0


def test_a_user_with_a_password_is_made(run: Run, broker_up: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"ben-{uuid4().hex[:8]}"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a long password\n")))
    assert run("user", "create", name, "--password-stdin", "--json", "has_password").json == {"has_password": True}
    with Client(broker_up.url, auth=(name, "a long password")) as client:
        assert client.me()["name"] == name


def test_a_user_is_disabled_and_gets_another_password(
    run: Run, broker_up: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"cyd-{uuid4().hex[:8]}"
    assert run("user", "create", name).code == 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"another password\n")))
    assert run("user", "password", name, "--password-stdin").code == 0
    assert run("user", "disable", name).out == f"{name}  disabled\n"
    with Client(broker_up.url, auth=(name, "another password")) as client:
        with pytest.raises(NotAuthenticated):
            client.me()
        assert run("user", "enable", name, "--json", "disabled_at").json == {"disabled_at": None}
        assert client.me()["name"] == name


def test_nobody_is_asked_where_nobody_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    for words, way_out in (
        (("bulk", "cancel", "--label", "none"), "--yes"),
        (("rm", "1"), "--yes"),
        (("user", "create", "dan", "--password"), "--password-stdin"),
    ):
        said = run(*words)
        assert (said.code, way_out in said.err) == (2, True), said


def test_a_reader_that_goes_away_is_no_error(run: Run, broker_up: Installation) -> None:
    run("submit", "echo")
    command = f"{sys.executable} -m longshore.cli ls --all -o json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], env=broker_up.environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[", "")
