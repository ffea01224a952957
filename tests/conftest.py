"""Fixtures that everybody shares: real servers, fresh databases, and the choices of an acceptance run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.postgres import PostgresServer
from tests.servers.processes import server_directory, unprivileged_user
from tests.servers.rabbitmq import RabbitServer
from tests.servers.valkey import ValkeyServer


def pytest_configure() -> None:
    """Lets SIGINT and SIGQUIT end what tests start: a shell that runs this in the background has them ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("longshore", "what an acceptance run stands on")
    group.addoption("--broker", choices=["valkey", "rabbitmq"], default="valkey")
    group.addoption("--database", choices=["sqlite", "postgresql"], default="sqlite")
    group.addoption("--workers", type=int, default=1, help="how many workers an acceptance run starts")


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey of the test's own: `.url`, `.kill()`, `.restart()`, `.freeze()`, `.client()`."""
    with server_directory("valkey") as directory:
        server = ValkeyServer(directory)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitServer]:
    """One RabbitMQ node for the run; it takes many seconds to start. What an earlier test left in a queue is stale."""
    with server_directory("rabbit", unprivileged_user()) as directory:
        server = RabbitServer(directory)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One cluster for the run; ask for `postgres_url` or `database_url` to get a database of your own."""
    with server_directory("pg", unprivileged_user()) as directory:
        server = PostgresServer(directory)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Where a fresh SQLite database will be."""
    return f"sqlite:///{tmp_path}/longshore.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database; the test runs once over SQLite and once over PostgreSQL."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def chosen_broker_url(request: pytest.FixtureRequest) -> str:
    """The broker that `--broker` names, started."""
    return str(request.getfixturevalue(request.config.getoption("--broker")).url)


@pytest.fixture
def chosen_database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database of the kind that `--database` names."""
    fixture = "sqlite_url" if request.config.getoption("--database") == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(fixture))


@pytest.fixture
def chosen_workers(request: pytest.FixtureRequest) -> int:
    """How many workers `--workers` asks for."""
    return int(request.config.getoption("--workers"))
