"""A fleet of workers over the databases and brokers of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.valkey import ValkeyServer
from tests.worker.fleet import Fleet, fleet

QUICK = {
    "lease": 6,
    "heartbeat": 0.5,
    "presence": 2,
    "fence": 3,
    "tick": 1,
    "grace_term": 0.5,
    "grace_kill": 2,
    "drain": 3,
}
"""The protocol at a fraction of its usual times."""


@pytest.fixture
def quick(tmp_path: Path, sqlite_url: str, valkey: ValkeyServer) -> Iterator[Fleet]:
    """SQLite and Valkey, with short times."""
    with fleet(tmp_path, sqlite_url, valkey.url, **QUICK) as made:
        yield made
