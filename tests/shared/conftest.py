"""A migrated store on each database, some people, and jobs made the way everybody makes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.engine import Row

from shared import catalog, execute, persist
from shared.migrations import upgrade
from shared.models import User
from shared.persist import Order
from shared.principal import USER_SCOPES, Principal, Scope
from shared.store import Store
from tests.servers.postgres import PostgresServer
from tests.shared.kit import Kit

JobMaker = Callable[..., Row[Any]]

ECHO: dict[str, Any] = {"kind": "python", "name": "echo", "stages": ["first", "second"]}


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("template") / "longshore.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """The name of a migrated PostgreSQL database, to be copied."""
    name = postgres.create_database()
    upgrade(postgres.url(name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh migrated database; the test runs once over SQLite and once over PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "longshore.db")
        yield f"sqlite:///{tmp_path}/longshore.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create_database(request.getfixturevalue("postgres_template"))
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store over a fresh migrated database."""
    made = Store(store_url)
    yield made
    made.close()


def person(store: Store, name: str, scopes: frozenset[Scope] = USER_SCOPES) -> Principal:
    """A user of that name, and the principal of somebody logged in as them."""
    principal = Principal(uuid4(), name, scopes)
    with store.transaction() as tx:
        tx.execute(insert(User).values(id=principal.user_id, name=name, scopes=sorted(scopes)))
    return principal


@pytest.fixture
def admin(store: Store) -> Principal:
    return person(store, "admin", frozenset({Scope.ADMIN}))


@pytest.fixture
def alice(store: Store) -> Principal:
    return person(store, "alice")


@pytest.fixture
def bob(store: Store) -> Principal:
    return person(store, "bob")


@pytest.fixture
def echo(store: Store) -> str:
    """The revision of a job type `echo` that takes any args."""
    return catalog.declare(store, [ECHO], "test")["echo", "1"]


@pytest.fixture
def make_job(store: Store, alice: Principal, echo: str) -> JobMaker:
    """Submit a job: `make_job(owner=bob, title="x", args={...})`; alice's `echo` where nothing is said."""
    assert echo

    def make(owner: Principal = alice, **fields: Any) -> Row[Any]:
        return persist.submit(store, owner, Order(**{"type": "echo", **fields})).jobs[0]

    return make


@pytest.fixture
def kit(store: Store) -> Kit:
    """Alice, Bob and an admin, the job type `count`, and a worker that offers it."""
    return Kit(store)


def offer_of(revision: str, queue: str = "default") -> execute.Offer:
    return execute.Offer(uuid4(), "worker-1", "node-1", 4711, queue, frozenset({revision}))


@pytest.fixture
def claim(store: Store, echo: str) -> Callable[[], execute.Lease]:
    """Let a worker take the first due job."""

    def take() -> execute.Lease:
        claimed = execute.claim(store, offer_of(echo))
        assert claimed is not None
        return claimed.lease

    return take
