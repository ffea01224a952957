"""The doctor: says what is wrong and what to do, never hangs, changes nothing, shows no password."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

from broker_config import Settings
from launcher.commands import doctor
from launcher.doctor import findings, machine
from launcher.doctor.findings import Finding, Status
from launcher.prepare import prepare
from shared.presence import WorkerCard, present
from shared.store import Store
from tests.servers.valkey import ValkeyServer


@pytest.fixture
def settings(tmp_path: Path, database_url: str, valkey: ValkeyServer) -> Settings:
    """Settings of an installation that is prepared and has nothing running but its servers."""
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    found = Settings.from_env(
        {
            "LONGSHORE_DATA_DIR": str(data_dir),
            "LONGSHORE_DATABASE_URL": database_url,
            "LONGSHORE_BROKER_URL": valkey.url,
        }
    )
    prepare(found)
    return found


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def of(found: list[Finding], check: str) -> Finding:
    return next(each for each in found if each.check == check)


def test_a_sound_installation_has_nothing_wrong(settings: Settings) -> None:
    found = list(findings(settings))
    assert [each for each in found if each.status is Status.FAIL] == []
    for check in ("broker", "broker version", "database", "database version", "clock", "tables", "data directory"):
        assert of(found, check).status is Status.OK


def test_whatever_is_not_well_comes_with_a_remedy(settings: Settings) -> None:
    assert all(each.remedy for each in findings(settings) if each.status is not Status.OK)


def test_workers_are_counted(settings: Settings) -> None:
    assert of(list(findings(settings)), "workers").status is Status.WARN
    store = Store(settings.database_url)
    present(store, WorkerCard(uuid4(), "w", "node-1", 1, 3, ["default"], []))
    store.close()
    found = of(list(findings(settings)), "workers")
    assert found.status is Status.OK
    assert "3 slots on node-1" in found.detail


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    settings = Settings.from_env({"LONGSHORE_DATA_DIR": str(tmp_path / "data")})
    found = list(findings(settings))
    assert not (tmp_path / "data").exists()
    assert of(found, "database").status is Status.WARN
    (tmp_path / "data").mkdir()
    list(findings(settings))
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_or_silent_is_found_in_seconds(tmp_path: Path, silent_port: int, scheme: str) -> None:
    url = f"{scheme}://ann:s3cret@127.0.0.1:{silent_port}/"
    settings = Settings.from_env({"LONGSHORE_DATA_DIR": str(tmp_path), "LONGSHORE_BROKER_URL": url})
    found = of(list(findings(settings)), "broker")
    assert found.status is Status.FAIL
    assert "s3cret" not in found.detail + found.remedy


def test_a_database_that_is_away_fails_the_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        doctor,
        ["-o", "json", "--data-dir", str(tmp_path)],
        env={"LONGSHORE_DATABASE_URL": "postgresql://ann:s3cret@127.0.0.1:1/jobs", "LONGSHORE_DATA_DIR": None},
    )
    assert result.exit_code == 1
    assert "s3cret" not in result.output
    report = json.loads(result.stdout)
    assert {"check", "status", "detail", "remedy"} == set(report[0])
    assert next(each for each in report if each["check"] == "database")["status"] == "FAIL"


def test_tables_of_another_release_are_named(tmp_path: Path) -> None:
    settings = Settings.from_env({"LONGSHORE_DATA_DIR": str(tmp_path)})
    Store(settings.database_url).engine.connect().close()
    assert of(list(findings(settings)), "tables").remedy == "run `longshore db upgrade`"


def test_an_open_token_and_directory_are_told(tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_text("t")
    (tmp_path / "admin.token").chmod(0o644)
    tmp_path.chmod(0o755)
    found = list(machine.data_directory(Settings.from_env({"LONGSHORE_DATA_DIR": str(tmp_path)})))
    assert of(found, "data directory").status is Status.WARN
    assert of(found, "admin token").status is Status.FAIL


def test_a_mistyped_variable_is_told() -> None:
    [found] = machine.variables({"LONGSHORE_SLOT": "4", "LONGSHORE_PORT": "1", "PATH": ""})
    assert "LONGSHORE_SLOT" in found.detail
    assert "LONGSHORE_PORT" not in found.detail
