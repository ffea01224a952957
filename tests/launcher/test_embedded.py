"""The private broker: found, private, on a socket of any directory, and started anew when its store is broken."""

from __future__ import annotations

import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu import Connection

from broker_config import Settings, celery_settings, embedded_socket
from launcher import embedded
from shared.errors import ConfigurationError
from tests.waiting import wait_for


def settings(data_dir: Path, **variables: str) -> Settings:
    data_dir.mkdir(parents=True, exist_ok=True)
    return Settings.from_env({"LONGSHORE_DATA_DIR": str(data_dir), **variables})


@contextmanager
def running(found: Settings) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(embedded.prepare(found), stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: embedded.answers(embedded_socket(found.data_dir)), 10, "the private broker")
        yield process
    finally:
        process.terminate()
        process.wait(10)
        embedded.forget_socket(found)


@pytest.mark.parametrize("name", ["plain", "with blank, 'quotes\" and ä", "deep/" * 30])
def test_celery_reaches_it_in_a_directory_of_any_name(tmp_path: Path, name: str) -> None:
    found = settings(tmp_path / name)
    told = celery_settings(found)
    with (
        running(found),
        Connection(told["broker_url"], transport_options=told["broker_transport_options"]) as connection,
    ):
        queue = connection.SimpleQueue("test")
        queue.put({"wake": 1})
        assert queue.get(timeout=5).payload == {"wake": 1}
        queue.close()


def test_nobody_else_reaches_it(tmp_path: Path) -> None:
    found = settings(tmp_path)
    with running(found) as process:
        listening = embedded_socket(tmp_path)
        assert stat.S_IMODE(listening.stat().st_mode) == 0o700
        assert stat.S_IMODE(listening.parent.stat().st_mode) == 0o700
        ports = Path(f"/proc/{process.pid}/net/tcp").read_text()
        inodes = {str(each.readlink()) for each in Path(f"/proc/{process.pid}/fd").iterdir()}
        assert not any(f"socket:[{line.split()[9]}]" in inodes for line in ports.splitlines()[1:])


def test_a_socket_left_by_a_dead_broker_is_replaced(tmp_path: Path) -> None:
    found = settings(tmp_path)
    listening = embedded_socket(tmp_path)
    listening.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(listening))
    with running(found):
        assert embedded.answers(listening)


def test_a_broker_that_answers_is_not_replaced(tmp_path: Path) -> None:
    found = settings(tmp_path)
    with running(found), pytest.raises(ConfigurationError, match="already answers"):
        embedded.prepare(found)


def test_wakeups_outlive_a_restart(tmp_path: Path) -> None:
    found = settings(tmp_path)
    told = celery_settings(found)
    with running(found), Connection(told["broker_url"]) as connection:
        connection.SimpleQueue("test").put({"wake": 1})
    with running(found), Connection(told["broker_url"]) as connection:
        assert connection.SimpleQueue("test").get(timeout=5).payload == {"wake": 1}


def test_a_named_program_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="LONGSHORE_BROKER_BINARY is 'no-such-server'"):
        embedded.find_binary(settings(tmp_path, LONGSHORE_BROKER_BINARY="no-such-server"))


def test_a_named_program_goes_first(tmp_path: Path) -> None:
    assert embedded.find_binary(settings(tmp_path, LONGSHORE_BROKER_BINARY="sh")).endswith("/sh")


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir(mode=0o700)
    for wrong in (open_to_all, tmp_path / "link"):
        with pytest.raises(ConfigurationError, match="not a private directory"):
            embedded.make_private(wrong)
