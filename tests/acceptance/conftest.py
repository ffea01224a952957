"""An installation on the broker and database that the run was asked for, and as many workers."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longshore.client import Client
from tests.launcher.installation import LONGSHORE, Installation
from tests.servers.postgres import PostgresServer
from tests.servers.processes import server_directory
from tests.servers.rabbitmq import RabbitServer
from tests.servers.valkey import ValkeyServer
from tests.waiting import wait_for

Broker = ValkeyServer | RabbitServer
JOBS = "tests.jobs,examples.subtraction"


class Site:
    """An installation and its further workers."""

    def __init__(self, installation: Installation, workers: int) -> None:
        self.installation = installation
        self._wanted = workers
        self._further: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.installation.start()
        for _ in range(self._wanted - 1):
            self._further.append(self._worker())
        with self.client() as client:
            wait_for(lambda: len(list(client.workers.list())) >= self._wanted, 60, "all workers to be there")

    def _worker(self) -> subprocess.Popen[bytes]:
        log = (self.installation.data_dir / "logs" / "further.log").open("ab")
        with log:
            return subprocess.Popen([*LONGSHORE, "worker"], env=self.installation.environment, stdout=log, stderr=log)

    def client(self) -> Client:
        return Client(self.installation.url, self.installation.token)

    def stop(self) -> None:
        """Ends everything in good order, and by force what does not end."""
        for worker in self._further:
            worker.send_signal(signal.SIGTERM)
        for worker in self._further:
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                worker.kill()
        self.installation.stop()
        self.installation.end()


@contextmanager
def site_on(broker_url: str, database_url: str, workers: int, directory: Path) -> Iterator[Site]:
    """`longshore up` on a broker and a database of one's choice, with the times of real life."""
    installation = Installation(
        directory / "data", jobs=JOBS, slots="2", broker_url=broker_url, database_url=database_url
    )
    site = Site(installation, workers)
    try:
        site.start()
        yield site
    finally:
        site.stop()


@contextmanager
def _database(request: pytest.FixtureRequest, directory: Path) -> Iterator[str]:
    if request.config.getoption("--database") == "sqlite":
        yield f"sqlite:///{directory}/longshore.db"
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@contextmanager
def _broker(request: pytest.FixtureRequest, directory: Path) -> Iterator[Broker]:
    if request.config.getoption("--broker") == "rabbitmq":
        yield request.getfixturevalue("rabbitmq")
        return
    (directory / "valkey").mkdir()
    server = ValkeyServer(directory / "valkey")
    server.start()
    yield server
    server.stop()


@contextmanager
def _site(request: pytest.FixtureRequest) -> Iterator[tuple[Site, Broker]]:
    workers = request.config.getoption("--workers")
    with (
        server_directory("site") as directory,
        _broker(request, directory) as broker,
        _database(request, directory) as database_url,
        site_on(broker.url, database_url, workers, directory) as site,
    ):
        yield site, broker


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """The installation that all gentle tests of the run share."""
    with _site(request) as (made, _):
        yield made


@pytest.fixture
def own_site(request: pytest.FixtureRequest) -> Iterator[tuple[Site, Broker]]:
    """An installation that the test may break, and its broker."""
    with _site(request) as made:
        yield made


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    with site.client() as client:
        yield client
