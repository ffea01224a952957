"""The real application over a fresh database, and people to use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from api import create_app
from api.installation import of
from broker_config import Settings
from shared import access, migrations
from tests.api.people import Somebody, World


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """No broker listens where these settings point: no request may ever wait for it."""
    return Settings.from_env(
        {}, data_dir=tmp_path, database_url=database_url, broker_url=f"redis+socket://{tmp_path}/none"
    )


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    migrations.upgrade(settings.database_url)
    made = create_app(settings, with_upkeep=False)
    yield made
    of(made).close()


@pytest.fixture
def world(app: Flask) -> World:
    """An admin, two users, and job types of both kinds."""
    secret = access.ensure_admin(of(app).store)
    assert secret is not None
    return World(app, secret)


@pytest.fixture
def admin(world: World) -> Somebody:
    return world.admin


@pytest.fixture
def alice(world: World) -> Somebody:
    return world.user("alice")


@pytest.fixture
def bob(world: World) -> Somebody:
    return world.user("bob")
