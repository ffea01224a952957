from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, insert, inspect, text
from sqlalchemy.exc import IntegrityError

from shared.engine import make_engine
from shared.errors import ConfigurationError, Unavailable
from shared.migrations import current, head, is_current, upgrade
from shared.models import Job, StatusRecord, Table, User
from shared.store import Store


@pytest.fixture
def migrated(database_url: str) -> Iterator[Store]:
    upgrade(database_url)
    store = Store(database_url, pool_size=2)
    yield store
    store.close()


def test_upgrade_of_an_empty_database_and_of_a_current_one(database_url: str) -> None:
    assert current(database_url) is None
    assert upgrade(database_url) == head()
    assert upgrade(database_url) == head()
    assert current(database_url) == head()


def test_is_current(database_url: str) -> None:
    store = Store(database_url, pool_size=1)
    assert not is_current(store)
    upgrade(database_url)
    assert is_current(store)
    store.close()


def test_the_directory_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    assert upgrade(f"sqlite:///{tmp_path}/a/b/longshore.db") == head()


def test_many_upgrades_at_once_are_harmless(database_url: str) -> None:
    barrier, failures = threading.Barrier(6), []

    def one() -> None:
        barrier.wait()
        try:
            upgrade(database_url)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported below
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert current(database_url) == head()


def test_a_database_of_a_newer_release_is_left_alone(migrated: Store, database_url: str) -> None:
    with migrated.transaction() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer"):
        upgrade(database_url)
    assert not is_current(migrated)


def test_models_and_migrations_agree(migrated: Store) -> None:
    with migrated.reading() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": Table.metadata})
        assert compare_metadata(context, Table.metadata) == []


def _checks(connection: Connection) -> set[str]:
    inspector = inspect(connection)
    return {
        f"{table}.{check['name']}"
        for table in Table.metadata.tables
        for check in inspector.get_check_constraints(table)
    }


def test_every_check_constraint_of_the_models_is_in_the_database(migrated: Store) -> None:
    declared = {
        f"{table.name}.{check.name}"
        for table in Table.metadata.tables.values()
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }
    with migrated.reading() as connection:
        assert _checks(connection) == declared


def _shape(connection: Connection) -> set[str]:
    """Definitions of tables, indexes and constraints as the database itself tells them."""
    if connection.dialect.name == "sqlite":
        found = connection.scalars(
            text("SELECT sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL")
        )
    else:
        found = connection.scalars(
            text(
                "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL "
                "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE conrelid <> 0 UNION ALL "
                "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, "
                "character_maximum_length, column_default) "
                "FROM information_schema.columns WHERE table_schema = 'public'"
            )
        )
    return {clause for definition in found if "alembic_version" not in definition for clause in _clauses(definition)}


def _clauses(definition: str) -> list[str]:
    """The clauses of a definition, for their order within CREATE TABLE says nothing."""
    lines = definition.split("\n")
    return [re.sub(r"\s+", " ", f"{lines[0]} {line}".strip(" ,\t")) for line in lines]


def test_the_migrated_database_is_what_the_models_would_make(
    migrated: Store, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fresh = f"sqlite:///{tmp_path}/fresh.db"
    if not migrated.is_sqlite:
        server = request.getfixturevalue("postgres")
        fresh = server.url(server.create_database())
    engine = make_engine(fresh, 1)
    Table.metadata.create_all(engine)
    with engine.connect() as made, migrated.reading() as connection:
        assert _shape(connection) == _shape(made)
    engine.dispose()


def _insert_job_and_record(store: Store) -> None:
    user, job = uuid4(), uuid4()
    with store.transaction() as tx:
        tx.execute(insert(User).values(id=user, name="alice", scopes=[]))
        declared = {"type": "count", "type_version": "1", "revision": "", "kind": "python"}
        tx.execute(insert(Job).values(id=job, owner_id=user, queue="default", state="queued", **declared))
        record = {"seq": 1, "event": "submit", "state": "queued", "attempt": 0, "rerun": 0, "at": 0}
        tx.execute(insert(StatusRecord).values(job_id=job, owner_id=user, **record))


def _refused(store: Store, statement: str) -> None:
    with pytest.raises(IntegrityError, match="status records"), store.transaction() as tx:
        tx.execute(text(statement))


def test_history_cannot_be_changed_and_goes_only_with_its_job(migrated: Store) -> None:
    _insert_job_and_record(migrated)
    _refused(migrated, "UPDATE status_record SET message = 'rewritten'")
    _refused(migrated, "DELETE FROM status_record")
    if not migrated.is_sqlite:
        _refused(migrated, "TRUNCATE status_record")
    with migrated.transaction() as tx:
        tx.execute(text("DELETE FROM job"))
        assert tx.execute(text("DELETE FROM status_record")).rowcount == 1


def test_a_database_that_cannot_be_reached_is_named_as_such() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        upgrade("postgresql://longshore@127.0.0.1:1/longshore")


def test_a_damaged_file_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "damaged.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match="is damaged"):
        upgrade(f"sqlite:///{tmp_path}/damaged.db")
