"""Streams over the real web server."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from api import create_app
from api.installation import of
from broker_config import Settings
from shared import access, migrations, report
from shared.execute import Completed, finish
from tests.api.people import Somebody, World
from tests.api.serving import free_port, running
from tests.waiting import wait_for


@dataclass
class Site:
    """A served installation, and a store of the test's own beside it."""

    url: str
    process: Any
    world: World
    alice: Somebody

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {self.alice.token}", **headers},
            timeout=20,
        )


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    settings = replace(settings, port=free_port(), max_streams=6)
    migrations.upgrade(settings.database_url)
    app = create_app(settings, with_upkeep=False)
    world = World(app, access.ensure_admin(of(app).store) or "")
    with running(settings) as (url, process):
        yield Site(url, process, world, world.user("alice"))
    of(app).close()


@dataclass
class Message:
    id: str
    event: str
    data: Any


def _messages(lines: Iterator[str]) -> Iterator[Message]:
    """Server-sent events by their specification, as far as we use it."""
    parts: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name:
            parts[name] = value
        elif "data" in parts:
            yield Message(parts.get("id", ""), parts.pop("event", "message"), json.loads(parts.pop("data")))


def test_a_job_is_followed_from_its_first_record_to_its_last(site: Site) -> None:
    job = site.alice.submit()["id"]
    with site.client() as client, client.stream("GET", f"/jobs/{job}/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        messages = _messages(stream.iter_lines())
        first = next(messages)
        claimed = site.world.claim()
        assert claimed is not None
        report.push(site.world.store, claimed.lease.job_id, 1, [report.Report(stage="compute")], "worker-1")
        finish(site.world.store, claimed.lease, Completed(9), by="worker-1")
        seen = [first, *messages]
    assert [message.data["event"] for message in seen] == ["submit", "claim", "report", "complete"]
    assert [message.data["seq"] for message in seen] == [1, 2, 3, 4]
    with site.client(**{"Last-Event-ID": seen[1].id}) as client:
        again = client.get(f"/jobs/{job}/events")
        assert [message.data["seq"] for message in _messages(iter(again.text.splitlines()))] == [3, 4]
    with site.client(**{"Last-Event-ID": seen[3].id}) as client:
        assert client.get(f"/jobs/{job}/events").status_code == 204


def test_a_record_written_elsewhere_is_seen_within_a_second(site: Site) -> None:
    job = site.alice.submit()["id"]
    with site.client() as client, client.stream("GET", f"/jobs/{job}/events") as stream:
        messages = _messages(stream.iter_lines())
        next(messages)
        started = time.monotonic()
        site.alice.post(f"/jobs/{job}/pause")
        assert next(messages).data["state"] == "paused"
        assert time.monotonic() - started < 1


def test_no_record_is_skipped_or_doubled_for_anybody(site: Site) -> None:
    def follow(_: int) -> list[int]:
        with site.client() as client, client.stream("GET", "/events") as stream:
            messages = _messages(stream.iter_lines())
            return [next(messages).data["id"] for _ in range(300)]

    def opened() -> bool:
        return str(httpx.get(f"{site.url}/healthz").json()).find("4 open streams") >= 0

    with ThreadPoolExecutor(4) as pool:
        followers = [pool.submit(follow, n) for n in range(4)]
        wait_for(opened, 10, "four open streams")
        for _ in range(3):
            site.alice.post("/jobs/batch", {"jobs": [{"type": "square", "args": {"k": 1}}] * 100})
        seen = [follower.result(20) for follower in followers]
    with site.client() as client:
        stored = [record["id"] for record in client.get("/updates?limit=1000").json()["items"]]
    assert all(each == stored for each in seen)


def test_others_see_nothing_of_it(site: Site) -> None:
    bob = site.world.user("bob")
    headers = {"Authorization": f"Bearer {bob.token}"}
    with httpx.stream("GET", f"{site.url}/api/v1/events", headers=headers, timeout=20) as stream:
        messages = _messages(stream.iter_lines())
        site.alice.submit()
        mine = bob.submit()["id"]
        assert next(messages).data["job"] == mine


def test_one_stream_too_many_is_told_to_come_back(site: Site) -> None:
    with site.client() as client:
        streams = [client.stream("GET", "/events") for _ in range(6)]
        for each in streams:
            assert each.__enter__().status_code == 200
        refused = client.get("/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "too-many")
        assert int(refused.headers["Retry-After"]) > 0
        assert client.get("/jobs").status_code == 200
        streams.pop().__exit__(None, None, None)
        wait_for(lambda: _opens(client), 15, "room for another stream")
        for each in streams:
            each.__exit__(None, None, None)


def _opens(client: httpx.Client) -> bool:
    with client.stream("GET", "/events") as stream:
        return stream.status_code == 200


def test_a_stop_ends_streams_at_once(site: Site) -> None:
    with site.client() as client, client.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        started = time.monotonic()
        site.process.send_signal(signal.SIGTERM)
        list(lines)
        assert time.monotonic() - started < 2


def test_updates_wait_for_what_comes(site: Site) -> None:
    with site.client() as client, ThreadPoolExecutor(1) as pool:
        cursor = client.get("/updates?cursor=latest").json()["next"]
        waiting = pool.submit(client.get, f"/updates?cursor={cursor}&wait=15")
        job = site.alice.submit()["id"]
        found = waiting.result(10).json()
        assert [record["job"] for record in found["items"]] == [job]
        started = time.monotonic()
        assert client.get(f"/updates?cursor={found['next']}&wait=0.5").json()["items"] == []
        assert 0.4 < time.monotonic() - started < 3
        assert client.get(f"/updates?cursor={found['next']}&wait=31").status_code == 422


def test_a_log_is_followed_until_its_execution_ends(site: Site) -> None:
    job = site.alice.submit()["id"]
    claimed = site.world.claim()
    assert claimed is not None

    def write(start: int, text: bytes) -> None:
        report.write_log(site.world.store, claimed.lease.job_id, 1, [report.LogPiece("log", start, text)], 1 << 20)

    write(0, b"one\n")
    with site.client() as client, client.stream("GET", f"/jobs/{job}/logs?follow=true") as stream:
        messages = _messages(stream.iter_lines())
        assert next(messages).data == {"offset": 4, "text": "one\n"}
        write(4, "zwölf\n".encode())
        assert next(messages).data["text"] == "zwölf\n"
        finish(site.world.store, claimed.lease, Completed(), by="worker-1")
        assert next(messages).event == "end"
    with site.client(Accept="text/plain") as client:
        assert client.get(f"/jobs/{job}/logs?follow=true").text == "one\nzwölf\n"
        read = client.get(f"/jobs/{job}/logs?offset=4")
        assert (read.text, read.headers["X-Next-Offset"]) == ("zwölf\n", "11")
        assert client.get(f"/jobs/{job}/logs?tail=1").text == "zwölf\n"
