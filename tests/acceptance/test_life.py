"""A job's life as its owner sees it over REST: submitted, watched, paused, resumed, cancelled, run again."""

from __future__ import annotations

import os
import statistics
import subprocess
from pathlib import Path

import httpx
import pytest

from longshore.client import Client
from tests.acceptance.conftest import Broker, Site
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance
TICK = 'for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >> "$1"; sleep 0.3; done'
LAMBDA = Path(__file__).resolve().parents[2] / "examples" / "data" / "lambda_virus.fa.gz"


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_genome_is_indexed_paused_resumed_and_its_outputs_are_downloaded(client: Client, tmp_path: Path) -> None:
    job = client.submit(
        "create_subtraction", {"indexer": "kmer"}, inputs={"genome": LAMBDA}, pause_at="bowtie_build", title="lambda"
    )
    wait_for(lambda: job.status().state == "paused", 60, "the pause at its stage")
    assert job.status().stage == "bowtie_build"
    assert [execution.outcome for execution in job.executions()] == ["park"]
    job.resume(reason="looks right")
    assert job.wait(60, progress=False).state == "completed"
    assert job.result()["length"] == 48_502
    stages = [record.stage for record in job.records() if record.stage]
    assert list(dict.fromkeys(stages)) == ["mk_subtraction_dir", "set_stats", "bowtie_build"]
    paths = job.download(tmp_path)
    assert {path.name for path in paths} >= {"stats.json"}
    assert all(path.stat().st_size > 0 for path in paths)
    assert "resume" in [record.event for record in job.records() if record.reason == "looks right"]


def test_a_hostile_job_is_gone_after_its_cancel(client: Client, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    job = client.submit("stubborn", {"pids": str(pids)})
    wait_for(lambda: job.status().stage == "resist", 30, "the job to resist")
    wait_for(lambda: len(pids.read_text().split()) >= 4, 10, "all its processes")
    job.cancel("enough")
    assert job.wait(30, progress=False).state == "cancelled"
    child = job.executions()[0].pid
    left = [pid for pid in map(int, pids.read_text().split()) if _lives(pid)]
    assert left in ([], [child]), "only the pool child itself may go on, for the next job"


def test_an_administrator_declares_a_command_and_runs_it(client: Client) -> None:
    client.types.define(
        {
            "kind": "command", "name": "greet", "version": "1",
            "args": {"type": "object", "properties": {"whom": {"type": "string"}}, "required": ["whom"]},
            "stages": ["speak"],
            "command": {"argv": ["sh", "-c", 'echo "::stage speak"; echo "hello $1"', "greet", "${args.whom}"]},
        }
    )  # fmt: skip
    job = client.submit("greet", {"whom": "harbour; rm -rf /"})
    assert job.wait(60, progress=False).state == "completed"
    assert "hello harbour; rm -rf /" in job.logs(stream="stdout")
    assert "speak" in [record.stage for record in job.records()]


def test_a_command_is_suspended_in_place_and_goes_on(client: Client, tmp_path: Path) -> None:
    client.types.define(
        {
            "kind": "command", "name": "tick", "version": "1",
            "args": {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"]},
            "command": {"argv": ["sh", "-c", TICK, "tick", "${args.file}"]},
        }
    )  # fmt: skip
    ticks = tmp_path / "ticks"
    job = client.submit("tick", {"file": str(ticks)})
    wait_for(ticks.exists, 30, "the first tick")
    job.pause(mode="suspend", reason="wait")
    wait_for(lambda: job.status().state == "paused", 10, "the suspension")
    assert job.status().suspended
    before = ticks.read_text()
    wait_for(lambda: job.why() is not None, 5, "an answer to why")
    assert ticks.read_text() == before
    job.resume()
    assert job.wait(30, progress=False).state == "completed"
    assert len(ticks.read_text().split()) == 10
    assert job.status().attempt == 1


def test_an_urgent_job_behind_ten_thousand_starts_next(client: Client, tmp_path: Path, chosen_workers: int) -> None:
    gate = tmp_path / "gate"
    slots = 2 * chosen_workers
    holders = [client.submit("gated", {"gate": str(gate)}) for _ in range(slots)]
    wait_for(lambda: all(each.status().stage == "gate" for each in holders), 60, "all slots to be taken")
    already = len(list(client.jobs(state="completed", type="noop")))
    backlog = client.submit_many([{"type": "noop"} for _ in range(10_000)])
    urgent = client.submit("echo", {"n": 1}, priority=1)
    gate.touch()
    assert urgent.wait(60, progress=False).state == "completed"
    started = urgent.status().started_at
    assert started is not None
    ended = [each.status().started_at for each in client.jobs(state="completed", type="noop", limit=100)]
    overtaking = [each for each in ended if each is not None and each < started]
    assert len(overtaking) <= already + slots
    client.act_on_all("cancel", {"type": ["noop"], "state": ["queued"]}, reason="that was all")
    assert len(backlog) == 10_000


def test_an_idle_installation_starts_a_job_at_once(client: Client) -> None:
    waits = []
    client.submit("noop").wait(60, progress=False)
    for _ in range(21):
        job = client.submit("noop").wait(30, progress=False)
        assert job.started_at is not None
        assert job.created_at is not None
        waits.append((job.started_at - job.created_at).total_seconds())
    assert statistics.median(waits) < 1, "wake-ups came by the relay's tick, not by its short cut"
    print(f"submit to start: median {statistics.median(waits) * 1000:.0f} ms, longest {max(waits) * 1000:.0f} ms")


def test_submitting_works_while_the_broker_is_down(own_site: tuple[Site, Broker]) -> None:
    site, broker = own_site
    with site.client() as client:
        client.submit("noop").wait(60, progress=False)
        broker.kill()
        try:
            headers = {"Authorization": f"Bearer {site.installation.token}"}
            accepted = [
                httpx.post(f"{site.installation.url}/api/v1/jobs", json={"type": "noop"}, headers=headers, timeout=5)
                for _ in range(5)
            ]
        finally:
            broker.restart()
        assert [answer.status_code for answer in accepted] == [201] * 5
        for answer in accepted:
            assert client.get(answer.json()["id"]).wait(60, progress=False).state == "completed"


def test_a_killed_worker_costs_one_attempt_and_the_next_goes_on_from_the_checkpoint(
    own_site: tuple[Site, Broker], tmp_path: Path
) -> None:
    with own_site[0].client() as client:
        _kill_a_worker_in_mid_job(client, tmp_path / "trace")


def _kill_a_worker_in_mid_job(client: Client, trace: Path) -> None:
    job = client.submit("counter", {"upto": 400, "delay": 0.1, "trace": str(trace)})
    wait_for(lambda: (job.status().done or 0) >= 5, 60, "a few checkpoints")
    first = job.executions()[0]
    agent = next(each for each in client.workers.list(absent=True) if each.id == first.worker).pid
    os.kill(agent, 9)
    wait_for(lambda: job.status().attempt == 2, 40, "a new attempt")
    wait_for(lambda: trace.read_text().splitlines()[-1].startswith("2 "), 30, "the new attempt to count")
    numbers = [int(line.split()[2]) for line in trace.read_text().splitlines()]
    redone = len(numbers) - len(set(numbers))
    assert redone <= 1, "only the number that was not yet checkpointed may be counted again"
    assert job.status().burnt == 1
    job.cancel()
    job.wait(30, progress=False)


def test_a_second_up_on_the_same_data_is_refused(site: Site) -> None:
    second = site.installation.command("up")
    assert second.returncode != 0
    assert str(site.installation.data_dir) in second.stderr + second.stdout
    assert isinstance(second, subprocess.CompletedProcess)


def test_a_job_that_writes_to_its_input_leaves_the_stored_file_alone(client: Client, tmp_path: Path) -> None:
    """Inputs were hard links into the store once."""
    client.types.define(
        {
            "kind": "command", "name": "vandal", "version": "1", "inputs": {"genome": {"required": True}},
            "command": {"argv": ["sh", "-c", 'chmod u+w "$1"; echo broken > "$1"', "vandal", "${input.genome}"]},
        }
    )  # fmt: skip
    stored = client.files.upload(LAMBDA)
    job = client.submit("vandal", inputs={"genome": stored.id})
    assert job.wait(60, progress=False).state == "completed"
    assert client.files.download(stored, tmp_path / "back", progress=False).read_bytes() == LAMBDA.read_bytes()
