"""The components by themselves, as on a cluster: `db upgrade`, `api`, `worker`, each told to stop by SIGTERM."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from longshore.client import Client
from tests.launcher.installation import LONGSHORE, Installation
from tests.servers.valkey import ValkeyServer
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def cluster(tmp_path: Path, valkey: ValkeyServer) -> Installation:
    """Settings of an installation whose components are started one by one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    return Installation(tmp_path / "data", broker_url=valkey.url, port=port, jobs="tests.jobs")


@pytest.fixture
def start(cluster: Installation, tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{arguments[0]}.log").open("wb") as log:
            process = subprocess.Popen([*LONGSHORE, *arguments], env=cluster.environment, stdout=log, stderr=log)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(40)


def test_each_component_runs_by_itself_and_stops_when_told(cluster: Installation, start: Start) -> None:
    assert cluster.command("db", "current").stdout.startswith("none")
    upgraded = cluster.command("db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert cluster.command("db", "current").stdout.strip() in upgraded.stderr
    token = cluster.token
    assert cluster.command("db", "upgrade").returncode == 0
    assert cluster.token == token

    api, worker = start("api"), start("worker", "--slots", "1")
    url = f"http://127.0.0.1:{cluster.environment['LONGSHORE_PORT']}"
    wait_for(lambda: _is_ready(url), 40, "the API")
    with Client(url, token) as client:
        wait_for(lambda: any(each.name == "echo" for each in client.types.list()), 40, "the worker's job types")
        assert client.submit("echo", {"k": 1}).result(40, progress=False) == {"k": 1}

    for process in (worker, api):
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url + "/readyz", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
