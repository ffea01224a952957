"""A fleet of workers over the database and the broker of the run, with the protocol's times cut down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.processes import server_directory
from tests.servers.valkey import ValkeyServer
from tests.worker.fleet import Fleet, fleet

QUICK = {
    "lease": 8,
    "heartbeat": 0.5,
    "presence": 2,
    "fence": 4,
    "tick": 1,
    "grace_term": 0.5,
    "grace_kill": 2,
    "drain": 3,
}
"""The protocol at a fraction of its usual times."""


@pytest.fixture
def quick(tmp_path: Path, chosen_database_url: str, chosen_broker_url: str) -> Iterator[Fleet]:
    """An installation of the test's own, without a worker."""
    with fleet(tmp_path, chosen_database_url, chosen_broker_url, **QUICK) as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """SQLite, Valkey and a worker that all tests of a module share: they leave it as they found it."""
    directory = tmp_path_factory.mktemp("fleet")
    with server_directory("valkey") as place:
        server = ValkeyServer(place)
        try:
            server.start()
            with fleet(directory, f"sqlite:///{directory}/longshore.db", server.url, **QUICK) as made:
                made.start(slots=3)
                yield made
        finally:
            server.stop()
