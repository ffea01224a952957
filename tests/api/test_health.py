from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask

from api import create_app
from api.installation import of
from api.probe import Probe
from broker_config import Settings
from shared import access, migrations
from tests.api.people import Somebody, World
from tests.waiting import wait_for


def test_a_process_that_serves_says_so(world: World) -> None:
    assert world.nobody.get("/livez", root=True).json == {"status": "ok", "checks": []}
    ready = world.nobody.get("/readyz", root=True)
    assert (ready.status_code, ready.json["status"]) == (200, "ok")


def test_what_is_not_well_is_told_with_a_remedy(world: World) -> None:
    health = world.nobody.get("/healthz", root=True)
    assert (health.status_code, health.json["status"]) == (200, "degraded")
    [broker] = [check for check in health.json["checks"] if check["name"] == "broker"]
    assert not broker["fine"]
    assert "LONGSHORE_BROKER_URL" in broker["remedy"]


def test_a_database_without_tables_is_not_ready(settings: Settings, tmp_path: Path) -> None:
    app = create_app(replace(settings, database_url=f"sqlite:///{tmp_path}/empty.db"), with_upkeep=False)
    ready = Somebody(app, None).get("/readyz", root=True)
    assert (ready.status_code, ready.json["checks"][0]["remedy"]) == (503, "Run `longshore db upgrade`.")
    of(app).close()


def test_without_a_database_every_request_is_answered_within_five_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (1, silent.getsockname()[1]):
            _check_answers(Settings.from_env({}, data_dir=tmp_path, database_url=f"postgresql://127.0.0.1:{port}/none"))


def _check_answers(settings: Settings) -> None:
    app = create_app(settings, with_upkeep=False)
    somebody = Somebody(app, "lsh_whatever")
    for path in ("/jobs", "/updates"):
        started = time.monotonic()
        answer = somebody.get(path)
        assert time.monotonic() - started < 5
        assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
        assert answer.json["code"] == "unavailable"
        assert "Retry-After" in answer.headers
        assert "127.0.0.1" not in answer.text
    assert somebody.get("/livez", root=True).status_code == 200
    assert somebody.get("/readyz", root=True).status_code == 503
    of(app).close()


def test_one_silent_server_keeps_one_request_waiting() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def look() -> bool:
        asked.set()
        return not go_on.wait(10)

    probe = Probe(look)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(probe.answer)
        assert asked.wait(5)
        assert all(probe.answer() for _ in range(100))
        go_on.set()
        assert first.result(5) is False
    assert probe.answer() is False


def test_submitting_never_waits_for_the_broker(alice: Somebody, app: Flask) -> None:
    started = time.monotonic()
    for _ in range(5):
        alice.submit()
    assert time.monotonic() - started < 2
    assert not of(app).settings.broker_is_embedded


def test_a_feed_held_back_is_told(postgres_url: str, tmp_path: Path) -> None:
    migrations.upgrade(postgres_url)
    app = create_app(Settings.from_env({}, data_dir=tmp_path, database_url=postgres_url), with_upkeep=False)
    world = World(app, access.ensure_admin(of(app).store) or "")
    with of(app).store.engine.connect() as holder:
        holder.exec_driver_sql("SELECT pg_current_xact_id()")
        world.admin.submit()
        told = wait_for(lambda: _unwell(world, "feed"), 10, "the feed to be reported")
        assert "pg_stat_activity" in told["remedy"]
        holder.rollback()
    assert not _unwell(world, "feed")
    of(app).close()


def _unwell(world: World, name: str) -> Any:
    checks = world.nobody.get("/healthz", root=True).json["checks"]
    return next((check for check in checks if check["name"] == name and not check["fine"]), None)
