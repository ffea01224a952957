"""`longshore up` with real components: start, refusal, restarts, stop, and nothing left however it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from broker_config import embedded_socket
from tests.launcher.installation import LONGSHORE, Installation, all_gone
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
NOTHING_LEFT_WITHIN = 15.0


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "data")
    yield made
    made.end()


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation for all tests after which it runs as before."""
    made = Installation(tmp_path_factory.mktemp("steady") / "data")
    made.start()
    yield made
    made.end()


@pytest.fixture
def running(installation: Installation) -> Installation:
    installation.start()
    return installation


def test_one_command_serves_and_stops_cleanly(running: Installation) -> None:
    assert stat.S_IMODE((running.data_dir / "admin.token").stat().st_mode) == 0o600
    for path in ("/livez", "/readyz", "/healthz"):
        assert httpx.get(running.url + path, timeout=10).status_code == 200
    assert running.get("/api/v1/me").status_code == 200
    everything = running.tree()
    assert running.stop() == 0
    assert all_gone(everything)
    assert not running.url_file.exists()


def test_a_restart_keeps_the_data(running: Installation) -> None:
    token = running.token
    assert running.stop() == 0
    running.start()
    assert running.token == token
    assert running.get("/api/v1/me").status_code == 200


def test_a_second_start_is_refused_with_the_reason(steady: Installation) -> None:
    refused = steady.command("up")
    assert refused.returncode == 1
    assert f"process {steady.process.pid}" in refused.stderr
    assert steady.url in refused.stderr
    assert steady.get("/api/v1/me").status_code == 200


def test_detached_it_serves_when_the_command_returns_and_down_ends_it(installation: Installation) -> None:
    started = installation.command("up", "--detach")
    assert started.returncode == 0, started.stderr
    assert "Longshore is ready at" in started.stdout
    try:
        assert installation.get("/readyz").status_code == 200
    finally:
        ended = installation.command("down")
    assert ended.returncode == 0
    assert "Stopped" in ended.stderr
    again = installation.command("down")
    assert again.returncode == 0
    assert "Nothing runs" in again.stderr


@pytest.mark.faults
def test_nothing_is_left_when_the_supervisor_is_killed(running: Installation) -> None:
    everything = running.tree()
    assert len(everything) > 6
    running.process.kill()
    running.process.wait()
    wait_for(lambda: all_gone(everything), NOTHING_LEFT_WITHIN, "the end of every process")


@pytest.mark.faults
def test_a_new_start_ends_what_a_killed_one_left(running: Installation) -> None:
    everything = running.tree()
    running.process.kill()
    running.process.wait()
    running.url_file.unlink()
    running.start()
    assert all_gone(everything)
    assert running.get("/api/v1/me").status_code == 200


@pytest.mark.faults
@pytest.mark.parametrize("words", ["valkey", "launcher.web", "worker.agent"])
def test_a_component_that_dies_is_started_again(steady: Installation, words: str) -> None:
    dead = steady.component(words)
    dead.send(signal.SIGKILL)

    def is_back() -> bool:
        try:
            return steady.component(words) != dead and steady.get("/readyz").status_code == 200
        except (AssertionError, httpx.HTTPError):
            return False

    wait_for(is_back, 20, f"{words} to come back")


@pytest.mark.faults
def test_callers_wait_through_a_restart_of_the_api(steady: Installation) -> None:
    steady.component("launcher.web").send(signal.SIGKILL)
    assert httpx.get(steady.url + "/readyz", timeout=30).status_code == 200


@pytest.mark.faults
def test_a_guard_that_is_killed_takes_its_component_with_it(running: Installation) -> None:
    guards = {each for each in running.tree() if b"guard.py" in Path(f"/proc/{each.pid}/cmdline").read_bytes()}
    agent = running.component("worker.agent")
    for each in guards:
        each.send(signal.SIGKILL)
    wait_for(lambda: not agent.lives(), 5, "the end of the component")
    wait_for(lambda: httpx.get(running.url + "/readyz", timeout=20).status_code == 200, 20, "the API")
    everything = running.tree()
    assert running.stop() == 0
    assert all_gone(everything)


def test_open_streams_end_and_do_not_hold_the_stop_up(running: Installation) -> None:
    headers = {"Authorization": f"Bearer {running.token}"}
    with httpx.stream("GET", running.url + "/api/v1/events", headers=headers, timeout=30) as stream:
        assert stream.status_code == 200
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        for _ in stream.iter_raw():
            pass
        assert time.monotonic() - begun < 12
    assert running.process.wait(20) == 0


def test_a_port_in_use_is_named(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = installation.command("up", "--port", str(port))
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "--port" in refused.stderr


def test_a_wrong_setting_is_named_before_anything_starts(installation: Installation) -> None:
    installation.environment["LONGSHORE_LEASE"] = "soon"
    refused = installation.command("up")
    assert refused.returncode == 1
    assert "LONGSHORE_LEASE is 'soon'" in refused.stderr
    assert not installation.data_dir.exists()


@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_a_database_that_is_away_stops_the_start(installation: Installation, detach: list[str]) -> None:
    installation.environment["LONGSHORE_DATABASE_URL"] = "postgresql://ann:s3cret@127.0.0.1:1/jobs"
    refused = installation.command("up", *detach)
    assert refused.returncode == 1
    assert "database" in refused.stderr
    assert "s3cret" not in refused.stderr
    assert not installation.url_file.exists()
    socket_path = embedded_socket(installation.data_dir)
    assert not socket_path.exists()


@pytest.mark.faults
def test_a_broker_store_that_cannot_be_read_is_put_aside(running: Installation) -> None:
    assert running.stop() == 0
    [store] = (running.data_dir / "broker").glob("appendonlydir/*.incr.aof")
    store.write_bytes(b"*2\r\n$3\r\nxyz garbage\r\n" * 50)
    running.start()
    assert list((running.data_dir / "broker").glob("appendonlydir.unreadable-*"))
    assert running.get("/healthz").status_code == 200


def test_a_deep_directory_gets_a_short_socket_that_goes_with_it(tmp_path: Path) -> None:
    deep = Installation(tmp_path.joinpath(*["directory"] * 12))
    try:
        deep.start()
        listening = embedded_socket(deep.data_dir)
        assert not listening.is_relative_to(deep.data_dir)
        assert deep.stop() == 0
        assert not listening.parent.exists()
    finally:
        deep.end()


def test_ctrl_c_on_a_terminal_stops_it_once(installation: Installation) -> None:
    process = subprocess.Popen(
        [*LONGSHORE, "up"], env=installation.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, text=True,
    )  # fmt: skip
    try:
        wait_for(installation.url_file.exists, 60, "the installation")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group
        shown, _ = process.communicate(timeout=40)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Longshore is ready at" in shown
    assert re.search(r"^api +\| ", shown, re.MULTILINE)
