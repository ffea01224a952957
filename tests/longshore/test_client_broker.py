"""The client against a real broker with a real worker."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from longshore.client import (
    Client,
    Conflict,
    Damaged,
    InvalidInput,
    JobFailed,
    JobHandle,
    JobWasCancelled,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    WaitTimeout,
)
from tests import jobs as job_types
from tests.launcher.installation import Installation
from tests.waiting import wait_for

PATIENCE = 30.0


def arrived(gate: Path) -> Path:
    return gate.with_suffix(".arrived")


def at_the_gate(client: Client, gate: Path, **fields: str) -> JobHandle:
    """A job that runs and goes on when the gate is there."""
    job = client.submit("gated", {"gate": str(gate), "arrived": str(arrived(gate))}, **fields)  # type: ignore[arg-type]
    wait_for(arrived(gate).exists, PATIENCE, "the job to arrive at its gate")
    return job


# ----------------------------------------------------------------------------------------- submit and wait


def test_a_job_is_submitted_and_its_result_read(client: Client) -> None:
    job = client.submit("echo", {"k": 21, "nested": [1, None, {"a": "ü"}]}, title="A title", labels=["one", "two"])
    assert job.job.state in {"queued", "running"}
    assert job.result(PATIENCE) == {"k": 21, "nested": [1, None, {"a": "ü"}]}
    seen = client.get(job.id).job
    assert client.get(job.number).id == job.id
    with pytest.raises(NotFound, match="number 999999"):
        client.get(999999)
    assert (seen.title, seen.labels, seen.state, seen.progress) == ("A title", ["one", "two"], "completed", 1.0)
    assert seen.created_at is not None
    assert seen.finished_at is not None
    assert seen.created_at <= seen.finished_at


def test_a_declared_job_type_and_its_args_stand_for_themselves(client: Client) -> None:
    job = client.submit(job_types.sleep, job_types.SleepArgs(seconds=0.1), timeout=timedelta(seconds=30))
    assert (job.job.type, job.job.args, job.job.timeout) == ("sleep", {"seconds": 0.1}, 30)
    assert job.result(PATIENCE) >= 0.1


def test_the_same_key_is_the_same_job(client: Client) -> None:
    key = str(uuid4())
    first, second = (client.submit("echo", {"k": 1}, idempotency_key=key) for _ in range(2))
    assert first.id == second.id
    with pytest.raises(InvalidInput):
        client.submit("echo", {"k": 2}, idempotency_key=key)


def test_every_wrong_field_is_named(client: Client) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.submit("sleep", {"seconds": "long"})
    assert "args.seconds" in caught.value.fields
    with pytest.raises(InvalidInput) as caught:
        client.submit("echo", priority="high")  # type: ignore[arg-type]
    assert "priority" in caught.value.fields


def test_many_jobs_are_submitted_in_order(client: Client) -> None:
    label = uuid4().hex
    handles = client.submit_many({"type": "echo", "args": {"n": n}, "labels": [label]} for n in range(25))
    assert len({handle.id for handle in handles}) == 25
    assert [handle.result(PATIENCE)["n"] for handle in handles[:3]] == [0, 1, 2]
    found = sorted(client.jobs(label=label), key=lambda handle: handle.number)
    assert [handle.id for handle in found] == [handle.id for handle in handles]


def test_a_failed_job_says_why(client: Client) -> None:
    job = client.submit("fail", {"name": "bad-genome", "category": "DATA"})
    with pytest.raises(JobFailed, match="bad-genome") as caught:
        job.result(PATIENCE)
    assert caught.value.error is not None
    assert (caught.value.error.name, caught.value.error.category) == ("bad-genome", "DATA")
    assert caught.value.job.state == "failed"
    assert job.wait(PATIENCE).state == "failed"


def test_waiting_has_an_end(client: Client, gate: Path) -> None:
    job = at_the_gate(client, gate)
    with pytest.raises(WaitTimeout, match="it goes on"):
        job.wait(0.5, progress=False)
    gate.touch()
    assert job.result(PATIENCE) == 1


def test_waiting_outlives_a_broker_that_is_killed(broker_up: Installation, client: Client, gate: Path) -> None:
    job = at_the_gate(client, gate)
    results: list[object] = []
    waiting = threading.Thread(target=lambda: results.append(client.get(job.id).result(PATIENCE)))
    waiting.start()
    os.kill(broker_up.component("launcher.web").pid, signal.SIGKILL)
    gate.touch()
    waiting.join(PATIENCE)
    assert results == [1]


# ---------------------------------------------------------------------------------------------- steering


def test_a_job_is_paused_and_resumed(client: Client, gate: Path) -> None:
    job = at_the_gate(client, gate)
    asked = job.pause(mode="park", reason="lunch")
    assert asked.shown_state in {"pausing", "paused"}
    assert job.wait(PATIENCE, until="paused").state == "paused"
    job.resume(reason="back")
    gate.touch()
    assert job.result(PATIENCE) == 2
    reasons = {record.reason for record in job.records()}
    assert {"lunch", "back"} <= reasons


def test_a_job_is_cancelled_and_run_again(client: Client, gate: Path) -> None:
    job = at_the_gate(client, gate)
    job.cancel("wrong genome")
    with pytest.raises(JobWasCancelled):
        job.result(PATIENCE)
    with pytest.raises(Conflict):
        job.pause()
    gate.touch()
    assert job.rerun(reason="right after all").rerun == 1
    assert job.result(PATIENCE) == 2
    assert [execution.attempt for execution in job.executions()] == [1, 2]


def test_a_draft_is_edited_submitted_and_removed(client: Client) -> None:
    job = client.submit("echo", {"k": 1}, draft=True)
    assert job.job.state == "draft"
    assert job.edit(title="Better", priority=7).priority == 7
    job.submit()
    assert job.wait(PATIENCE).title == "Better"
    job.remove()
    with pytest.raises(NotFound):
        job.status()


def test_all_jobs_that_match_are_cancelled(client: Client) -> None:
    label = uuid4().hex
    client.submit_many({"type": "echo", "labels": [label], "not_before": "PT1H"} for _ in range(5))
    assert client.act_on_all("cancel", {"label": [label]}, dry_run=True).matched == 5
    counts = client.act_on_all("cancel", {"label": [label]}, reason="not needed")
    assert (counts.matched, counts.changed) == (5, 5)
    assert {handle.job.state for handle in client.jobs(label=label)} == {"cancelled"}


def test_a_job_that_waits_says_why(client: Client) -> None:
    job = client.submit("echo", not_before=timedelta(hours=1))
    why = job.why()
    assert why.reason
    assert why.detail
    job.cancel()


# --------------------------------------------------------------------------------------------- following


def test_events_are_the_whole_history_in_order(client: Client, gate: Path) -> None:
    job = at_the_gate(client, gate)
    threading.Timer(0.3, gate.touch).start()
    records = list(job.events())
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert [records[0].event, records[-1].state] == ["submit", "completed"]
    stages = list(dict.fromkeys(record.stage for record in records if record.stage))
    assert stages == ["before", "gate", "after"]
    assert [record.seq for record in job.events(after=2)] == [record.seq for record in records[2:]]


def test_the_log_is_read_and_followed(client: Client) -> None:
    job = client.submit("chatty", {"lines": 30})
    followed = "".join(job.logs(follow=True))
    assert job.wait(PATIENCE).state == "completed"
    whole = job.logs()
    for line in ("log line 29", "stdout line 29", "stderr line 29", "a program speaks"):
        assert line in whole
        assert line in followed
    assert sorted(followed.splitlines()) == sorted(whole.splitlines())
    assert job.logs(stream="stderr", tail=1) == "stderr line 29\n"


def test_a_job_shows_itself_in_notebooks(client: Client) -> None:
    job = client.submit("echo", title="x")
    job.wait(PATIENCE)
    assert "completed" in job._repr_html_()
    assert str(job.number) in repr(job)


# ------------------------------------------------------------------------------------------------- files


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fna"
    path.write_bytes(os.urandom(3_000_000))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_inputs_are_uploaded_and_outputs_downloaded(client: Client, genome: Path, tmp_path: Path) -> None:
    stored = client.files.upload(genome, name="second.fna")
    assert (stored.name, stored.size, stored.sha256) == ("second.fna", 3_000_000, digest(genome))
    job = client.submit("copy_files", inputs={"one": genome, "more": [stored, stored.id]})
    assert len(job.result(PATIENCE)) == 3
    paths = job.download(tmp_path / "results")
    assert len(paths) == 3
    assert {digest(path) for path in paths} == {digest(genome)}
    assert {file.role for file in job.files()} == {"input", "output"}
    with pytest.raises(NotFound, match=r"no output nothing\.txt"):
        job.download(tmp_path, ["nothing.txt"])


def test_a_download_goes_on_where_it_stopped(client: Client, genome: Path, tmp_path: Path) -> None:
    stored = client.files.upload(genome)
    target = tmp_path / "copy.fna"
    part = target.with_name(f".copy.fna.{stored.id[-12:]}.part")
    part.write_bytes(genome.read_bytes()[:2_000_000])
    assert client.files.download(stored, target) == target
    assert digest(target) == stored.sha256
    assert not part.exists()


def test_a_damaged_download_is_not_kept(client: Client, genome: Path, tmp_path: Path) -> None:
    stored = client.files.upload(genome)
    target = tmp_path / "copy.fna"
    part = target.with_name(f".copy.fna.{stored.id[-12:]}.part")
    part.write_bytes(b"x" * 1000)
    with pytest.raises(Damaged):
        client.files.download(stored, target)
    assert not target.exists()
    assert digest(client.files.download(stored, target)) == stored.sha256


def test_an_input_that_is_no_file_is_refused_before_anything_is_sent(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"missing\.fna is no file"):
        client.submit("copy_files", inputs={"one": tmp_path / "missing.fna"})
    with pytest.raises(InvalidInput, match=r"pathlib\.Path"):
        client.submit("copy_files", inputs={"one": "genome.fna"})


# ------------------------------------------------------------------------------------ everything else


def test_job_types_are_listed(client: Client) -> None:
    assert {"echo", "sleep"} <= {kind.name for kind in client.types.list()}
    assert client.types.get("gated").stages == ["before", "gate", "after"]
    with pytest.raises(NotFound, match="no job type 'nothing'"):
        client.types.get("nothing")


def test_a_token_may_do_what_its_scopes_say_until_it_is_revoked(broker_up: Installation, client: Client) -> None:
    made = client.tokens.create(name="for a test", scopes=["jobs:read"])
    assert made.token
    with Client(broker_up.url, made.token) as reader:
        assert reader.me()["scopes"] == ["jobs:read"]
        with pytest.raises(NotPermitted):
            reader.submit("echo")
        client.tokens.revoke(made.id)

        def refused() -> bool:
            try:
                reader.me()
            except NotAuthenticated:
                return True
            return False

        wait_for(refused, 5, "the token to be refused")


def test_users_log_in_with_a_password(broker_up: Installation, client: Client) -> None:
    name = f"ana-{uuid4().hex[:8]}"
    assert client.users.create(name, password="correct horse").has_password
    with Client(broker_up.url, auth=(name, "correct horse")) as ana:
        assert ana.me()["name"] == name
        job = ana.submit("echo")
        assert job.wait(PATIENCE).owner == name
    with Client(broker_up.url, auth=(name, "wrong horse")) as stranger, pytest.raises(NotAuthenticated):
        stranger.me()
    assert name in {user.name for user in client.users.list()}


def test_the_broker_tells_of_itself(client: Client) -> None:
    assert client.ready()["status"] == "ok"
    assert client.health()["checks"]
    assert any(worker.present for worker in client.workers.list())
    assert any(queue.name == "default" for queue in client.queues.list())


def test_updates_go_on_from_a_cursor(client: Client) -> None:
    cursor = client.updates("latest")["next"]
    job = client.submit("echo")
    job.wait(PATIENCE)
    seen: list[str] = []

    def all_of_it() -> bool:
        nonlocal cursor
        answer = client.updates(cursor, wait=2.0)
        cursor = answer["next"]
        seen.extend(each["state"] for each in answer["items"] if each["job"] == job.id)
        return "completed" in seen

    wait_for(all_of_it, PATIENCE, "the end of the job in the feed")
    assert seen[0] == "queued"
