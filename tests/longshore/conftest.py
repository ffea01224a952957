"""A whole installation for the tests of the client and the command line; each of them makes jobs of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from longshore.client import Client
from tests.launcher.installation import Installation
from tests.servers.processes import server_directory
from tests.waiting import wait_for

PATIENCE = 30.0


@pytest.fixture(scope="session")
def broker_up() -> Iterator[Installation]:
    """`longshore up` with the job types of `tests.jobs`."""
    with server_directory("client") as directory:
        installation = Installation(directory / "data", jobs="tests.jobs", slots="3")
        try:
            installation.start()
            yield installation
            installation.stop()
        finally:
            installation.end()


@pytest.fixture
def client(broker_up: Installation) -> Iterator[Client]:
    with Client(broker_up.url, broker_up.token) as client:
        yield client


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that jobs of the type `gated` wait for; it is there after the test, whatever happens."""
    path = tmp_path / f"gate-{uuid4().hex[:8]}"
    yield path
    path.touch()


@pytest.fixture
def running(client: Client, gate: Path) -> str:
    """The number of a job that runs until its gate is there."""
    arrived = gate.with_suffix(".arrived")
    job = client.submit("gated", {"gate": str(gate), "arrived": str(arrived)})
    wait_for(arrived.exists, PATIENCE, "the job to run")
    return str(job.number)
