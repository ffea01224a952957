"""A private RabbitMQ node. Needs the system's `rabbitmq-server`; only the run over RabbitMQ asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import amqp

from tests.servers.processes import ServerProcess, free_port, unprivileged_user
from tests.waiting import wait_for

PLACES = (Path("/usr/lib/rabbitmq/bin"), Path("/opt/homebrew/sbin"))


def _program(name: str) -> str:
    """Prefer the plain start script over a distribution's wrapper, which insists on its own user."""
    standing = next((str(place / name) for place in PLACES if (place / name).exists()), None)
    found = standing or shutil.which(name)
    assert found, f"{name} is not installed here (Debian: apt-get install rabbitmq-server)"
    return found


class RabbitServer:
    """One node with directories, ports, cookie and name service of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._names_port = free_port()
        self._distribution_port = free_port()
        self._user = unprivileged_user()
        self._names: ServerProcess | None = None
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """The address as Celery wants it."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        environment = self._environment()
        if self._names is None:
            names = shutil.which("epmd")
            assert names, "epmd, part of Erlang, is not installed here"
            self._names = ServerProcess([names], self.directory, user=self._user, environment=environment)
        self._process = ServerProcess(
            [_program("rabbitmq-server")], self.directory, user=self._user, environment=environment
        )
        wait_for(self.answers, 90, "RabbitMQ to answer", interval=0.2)

    def answers(self) -> bool:
        assert self._process is not None
        self._process.require_alive()
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", "guest", "guest", connect_timeout=5):
                return True
        except (OSError, amqp.exceptions.AMQPError):
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(patience=30)
            self._process = None
        if self._names is not None:
            self._names.stop()
            self._names = None

    def kill(self) -> None:
        """End the node as a power cut would end it."""
        assert self._process is not None
        self._process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def control(self, *words: str) -> str:
        """Run `rabbitmqctl` against this node and give what it prints."""
        done = subprocess.run(
            [_program("rabbitmqctl"), "-n", self._node, *words],
            env=self._environment(),
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    @property
    def _node(self) -> str:
        return f"ls{self.port}@localhost"

    def _environment(self) -> dict[str, str]:
        configuration = self.directory / "rabbitmq.conf"
        configuration.write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\nloopback_users.guest = true\n")
        plugins = self.directory / "enabled_plugins"
        plugins.write_text("[].\n")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
        }
