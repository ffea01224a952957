"""The tables' history: brings a database of any age to the shape that the models describe.

One revision is one file in `versions`; every revision works on SQLite and PostgreSQL. A migration is one transaction,
and only one runs at a time however many processes ask for it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, make_url, text

from shared.errors import ConfigurationError
from shared.store import Store

_LOCK = 0x6C6F6E6773686F72
"""Key of the advisory lock on PostgreSQL: the first eight letters of the project's name."""


def upgrade(url: str) -> str:
    """Bring the database at `url` to the newest revision and return its id; harmless when it is there already.

    The directory of a SQLite file is made if it is missing. Raises Unavailable if the database cannot be reached, and
    ConfigurationError if a newer release has migrated it already.
    """
    _make_directory(url)
    store = Store(url, pool_size=1)
    try:
        with store.transaction() as tx:
            if not store.is_sqlite:
                _wait_for_others(tx.connection)
            _run(tx.connection)
    finally:
        store.close()
    return head()


def current(url: str) -> str | None:
    """The revision of the database at `url`; None when it has no tables yet."""
    store = Store(url, pool_size=1)
    try:
        return _revision(store)
    finally:
        store.close()


def is_current(store: Store) -> bool:
    """Whether the database has the tables that this release expects."""
    return _revision(store) == head()


@cache
def head() -> str:
    """The newest revision that this release knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _revision(store: Store) -> str | None:
    with store.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


def _run(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigurationError(
            f"This database cannot be migrated by this release; a newer one may have migrated it ({error})."
        ) from error


def _wait_for_others(connection: Connection) -> None:
    """Take a lock that ends with the transaction; a migration of large tables may take longer than a request."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = '10min'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _make_directory(url: str) -> None:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
