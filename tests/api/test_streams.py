"""Streams over the real web server."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api import create_app
from api.installation import of
from broker_config import Settings
from shared import access, migrations, report
from shared.execute import Claimed, Completed, finish
from tests.api.people import Somebody, World
from tests.api.serving import free_port, running
from tests.waiting import wait_for

MOST = 30
"""streams at once; a client that has gone keeps its place until the next beat or two"""


@dataclass
class Site:
    """A served installation, and a store of the test's own beside it."""

    url: str
    process: Any
    world: World


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all tests here; each test has a user of its own."""
    directory = tmp_path_factory.mktemp("site")
    if request.param == "sqlite":
        yield from _site(directory, f"sqlite:///{directory}/longshore.db")
    else:
        postgres = request.getfixturevalue("postgres")
        name = postgres.create_database()
        yield from _site(directory, postgres.url(name))
        postgres.drop_database(name)


def _site(directory: Path, database_url: str) -> Iterator[Site]:
    settings = Settings.from_env(
        {},
        data_dir=directory,
        database_url=database_url,
        broker_url=f"redis+socket://{directory}/none",
        port=free_port(),
        max_streams=MOST,
    )
    migrations.upgrade(settings.database_url)
    app = create_app(settings, with_upkeep=False)
    try:
        world = World(app, access.ensure_admin(of(app).store) or "")
        with running(settings) as (url, process):
            yield Site(url, process, world)
    finally:
        of(app).close()


@dataclass
class Person:
    """A user of the site, who speaks to the application at hand or to the server."""

    site: Site
    here: Somebody

    def client(self, **headers: str) -> httpx.Client:
        given = {"Authorization": f"Bearer {self.here.token}", **headers}
        return httpx.Client(base_url=f"{self.site.url}/api/v1", headers=given, timeout=20)

    def claim(self, queue: str) -> Claimed:
        claimed = self.site.world.claim(queue)
        assert claimed is not None
        return claimed


@pytest.fixture
def alice(site: Site) -> Person:
    return Person(site, site.world.user(f"alice-{uuid4().hex[:8]}"))


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


def test_a_job_is_followed_from_its_first_record_to_its_last(site: Site, alice: Person) -> None:
    job = alice.here.submit(queue="followed")["id"]
    with alice.client() as client, client.stream("GET", f"/jobs/{job}/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        messages = _messages(stream.iter_lines())
        first = next(messages)
        claimed = alice.claim("followed")
        report.push(site.world.store, claimed.lease.job_id, 1, [report.Report(stage="compute")], "worker-1")
        finish(site.world.store, claimed.lease, Completed(9), by="worker-1")
        seen = [first, *messages]
    assert [message.data["event"] for message in seen] == ["submit", "claim", "report", "complete"]
    assert [message.data["seq"] for message in seen] == [1, 2, 3, 4]
    with alice.client(**{"Last-Event-ID": seen[1].id}) as client:
        again = client.get(f"/jobs/{job}/events")
        assert [message.data["seq"] for message in _messages(iter(again.text.splitlines()))] == [3, 4]
    with alice.client(**{"Last-Event-ID": seen[3].id}) as client:
        assert client.get(f"/jobs/{job}/events").status_code == 204


def test_a_record_written_elsewhere_is_seen_within_a_second(alice: Person) -> None:
    job = alice.here.submit()["id"]
    with alice.client() as client, client.stream("GET", f"/jobs/{job}/events") as stream:
        messages = _messages(stream.iter_lines())
        next(messages)
        started = time.monotonic()
        alice.here.post(f"/jobs/{job}/pause")
        assert next(messages).data["state"] == "paused"
        assert time.monotonic() - started < 1


def test_no_record_is_skipped_or_doubled_for_anybody(alice: Person) -> None:
    opened = Barrier(5)

    def follow(_: int) -> list[int]:
        with alice.client() as client, client.stream("GET", "/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            opened.wait(20)
            messages = _messages(lines)
            return [next(messages).data["id"] for _ in range(300)]

    with ThreadPoolExecutor(4) as pool:
        followers = [pool.submit(follow, n) for n in range(4)]
        opened.wait(20)
        for _ in range(3):
            alice.here.post("/jobs/batch", {"jobs": [{"type": "square", "args": {"k": 1}}] * 100})
        seen = [follower.result(20) for follower in followers]
    with alice.client() as client:
        stored = [record["id"] for record in client.get("/updates?limit=1000").json()["items"]]
    assert all(each == stored for each in seen)


def test_others_see_nothing_of_it(site: Site, alice: Person) -> None:
    bob = site.world.user(f"bob-{uuid4().hex[:8]}")
    headers = {"Authorization": f"Bearer {bob.token}"}
    with httpx.stream("GET", f"{site.url}/api/v1/events", headers=headers, timeout=20) as stream:
        messages = _messages(stream.iter_lines())
        alice.here.submit()
        mine = bob.submit()["id"]
        assert next(messages).data["job"] == mine


def test_one_stream_too_many_is_told_to_come_back(site: Site, alice: Person) -> None:
    with alice.client() as client, ExitStack() as streams:
        refused = None
        while refused is None:
            answer = streams.enter_context(client.stream("GET", "/events"))
            refused = None if answer.status_code == 200 else answer
        assert (refused.status_code, json.loads(refused.read())["code"]) == (503, "too-many")
        assert int(refused.headers["Retry-After"]) > 0
        assert client.get("/jobs").status_code == 200
    wait_for(lambda: _taken(site) < 5, 20, "room for other streams")


def _taken(site: Site) -> int:
    checks = httpx.get(f"{site.url}/healthz").json()["checks"]
    [detail] = [check["detail"] for check in checks if check["name"] == "streams"]
    return int(detail.split()[0])


def test_a_stop_ends_streams_at_once(tmp_path: Path) -> None:
    for site in _site(tmp_path, f"sqlite:///{tmp_path}/longshore.db"):
        person = Person(site, site.world.admin)
        with person.client() as client, client.stream("GET", "/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            started = time.monotonic()
            site.process.send_signal(signal.SIGTERM)
            list(lines)
            assert time.monotonic() - started < 2


def test_updates_wait_for_what_comes(alice: Person) -> None:
    with alice.client() as client, ThreadPoolExecutor(1) as pool:
        cursor = client.get("/updates?cursor=latest").json()["next"]
        waiting = pool.submit(client.get, f"/updates?cursor={cursor}&wait=15")
        job = alice.here.submit()["id"]
        found = waiting.result(10).json()
        assert [record["job"] for record in found["items"]] == [job]
        started = time.monotonic()
        assert client.get(f"/updates?cursor={found['next']}&wait=0.5").json()["items"] == []
        assert 0.4 < time.monotonic() - started < 3
        assert client.get(f"/updates?cursor={found['next']}&wait=31").status_code == 422


def test_a_log_is_followed_until_its_execution_ends(site: Site, alice: Person) -> None:
    job = alice.here.submit(queue="written")["id"]
    claimed = alice.claim("written")

    def write(start: int, text: bytes) -> None:
        report.write_log(site.world.store, claimed.lease.job_id, 1, [report.LogPiece("log", start, text)], 1 << 20)

    write(0, b"one\n")
    with alice.client() as client, client.stream("GET", f"/jobs/{job}/logs?follow=true") as stream:
        messages = _messages(stream.iter_lines())
        assert next(messages).data == {"offset": 4, "text": "one\n"}
        write(4, "zwölf\n".encode())
        assert next(messages).data["text"] == "zwölf\n"
        finish(site.world.store, claimed.lease, Completed(), by="worker-1")
        assert next(messages).event == "end"
    with alice.client(Accept="text/plain") as client:
        assert client.get(f"/jobs/{job}/logs?follow=true").text == "one\nzwölf\n"
        read = client.get(f"/jobs/{job}/logs?offset=4")
        assert (read.text, read.headers["X-Next-Offset"]) == ("zwölf\n", "11")
        assert client.get(f"/jobs/{job}/logs?tail=1").text == "zwölf\n"
