"""Settings: defaults, variables, errors that name the variable, and what Celery is told."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import broker_config
from broker_config import (
    PREFIX,
    SOCKET_PATH_LIMIT,
    Settings,
    celery_settings,
    documented,
    duration,
    embedded_socket,
    environment,
    redacted,
    timings,
)
from shared.errors import ConfigurationError
from shared.timings import Timings

BASE = {"LONGSHORE_DATA_DIR": "/srv/longshore"}


def settings(**variables: str) -> Settings:
    return Settings.from_env(BASE | {PREFIX + name.upper(): value for name, value in variables.items()})


def test_one_directory_is_enough() -> None:
    found = settings()
    assert found.database_url == "sqlite:////srv/longshore/longshore.db"
    assert found.broker_url == "redis+socket:///srv/longshore/broker/valkey.sock"
    assert found.broker_is_embedded
    assert (found.files_dir, found.work_dir) == (Path("/srv/longshore/files"), Path("/srv/longshore/work"))
    assert found.public_url == "http://127.0.0.1:8080"


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        settings().port = 1  # type: ignore[misc]


def test_a_child_process_reads_the_same_settings() -> None:
    found = settings(queues="a,b", keep="90d", max_upload="3GiB", lease="7.5", fence="5", heartbeat="1.25")
    assert Settings.from_env(environment(found)) == found


def test_an_override_goes_before_a_variable_and_none_does_not() -> None:
    found = Settings.from_env(BASE | {"LONGSHORE_PORT": "1234", "LONGSHORE_SLOTS": "3"}, port=0, slots=None)
    assert (found.port, found.slots) == (0, 3)


def test_an_unknown_override_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="prot"):
        Settings.from_env(BASE, prot=1)


@pytest.mark.parametrize(
    ("name", "given_text", "expected"),
    [
        ("port", "99999", "a whole number from 0 to 65535"),
        ("slots", "0", "a whole number from 1 to 1024"),
        ("slots", "many", "a whole number"),
        ("lease", "soon", "a duration"),
        ("keep", "P1M", "a duration"),
        ("tick", "-5", "a duration"),
        ("max_body", "1 mega", "a size in bytes"),
        ("log_level", "loud", "one of debug, info, warning, error"),
        ("queues", "a,b c", "a list of names"),
        ("broker_url", "kafka://host", "a URL that starts with redis://"),
        ("database_url", "mysql://host/db", "a URL that starts with sqlite://"),
        ("public_url", "ftp://host", "a URL that starts with http://"),
        ("fence", "30", "less than LONGSHORE_LEASE, which is 30"),
        ("heartbeat", "20", "less than LONGSHORE_FENCE, which is 20"),
        ("grace_kill", "1", "less than LONGSHORE_GRACE_KILL, which is 1"),
    ],
)
def test_an_error_names_variable_value_and_expectation(name: str, given_text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(**{name: given_text})
    assert expected in caught.value.detail
    assert given_text in caught.value.detail
    assert "LONGSHORE_" in caught.value.detail


@pytest.mark.parametrize(
    ("text", "seconds"),
    {
        "30": 30, "0.5": 0.5, "500ms": 0.5, "30s": 30, "5m": 300, "1h30m": 5400, "30d": 2_592_000,
        "2w": 1_209_600, "PT30S": 30, "pt1h": 3600, "P1DT1S": 86_401,
    }.items(),
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@given(st.text(max_size=20))
def test_a_duration_is_a_number_of_seconds_or_a_value_error(text: str) -> None:
    try:
        assert duration(text) >= 0
    except ValueError as error:
        assert "duration" in str(error)  # noqa: PT017 - either outcome is right


def test_no_password_is_shown() -> None:
    found = settings(
        database_url="postgresql://ann:s3cret@db/jobs?sslpassword=s3cret",
        broker_url="sentinel://:s3cret@a:26379;sentinel://:s3cret@b:26379/0?sentinel_password=s3cret",
    )
    assert "s3cret" not in repr(found)
    with pytest.raises(ConfigurationError) as caught:
        settings(database_url="mysql://ann:s3cret@db/jobs")
    assert "s3cret" not in caught.value.detail


@pytest.mark.parametrize("url", ["redis+socket:///srv/x.sock", "sqlite:////a/b@c.db", "redis://host:1/0"])
def test_a_url_without_password_is_shown_as_it_is(url: str) -> None:
    assert redacted(url) == url


def test_the_driver_of_postgresql_is_ours_to_choose() -> None:
    assert settings(database_url="postgres://h/x").database_url == "postgresql+psycopg://h/x"
    assert settings(database_url="postgresql://h/x").database_url == "postgresql+psycopg://h/x"


def test_a_deep_data_directory_gets_a_short_socket_of_its_own() -> None:
    deep, other = Path("/", *["directory"] * 20), Path("/", *["directory"] * 21)
    assert len(str(embedded_socket(deep))) <= SOCKET_PATH_LIMIT
    assert embedded_socket(deep) != embedded_socket(other)
    assert embedded_socket(deep) == embedded_socket(deep)
    assert Settings.from_env({"LONGSHORE_DATA_DIR": str(deep)}).broker_is_embedded


def test_an_address_for_every_host() -> None:
    assert settings(host="0.0.0.0", port="1").public_url == "http://127.0.0.1:1"  # noqa: S104 - not bound here
    assert settings(host="::1", port="2").public_url == "http://[::1]:2"
    assert settings(public_url="https://jobs.example.org/").public_url == "https://jobs.example.org"


def test_timings_are_the_settings_of_the_same_names() -> None:
    assert timings(settings()) == Timings()
    assert timings(settings(suspend_limit="2h")).suspend_limit == 7200


def test_every_setting_is_documented() -> None:
    assert [name for name, _, _ in documented()] == [PREFIX + each.name.upper() for each in fields(Settings)]
    assert all(meaning and shown for _, shown, meaning in documented())


def test_celery_keeps_no_state_and_takes_json_only() -> None:
    found = celery_settings(settings())
    assert found["result_backend"] is None
    assert found["accept_content"] == ["json"]
    assert not found["task_acks_late"]
    assert not found["worker_cancel_long_running_tasks_on_connection_loss"]
    assert not found["worker_send_task_events"]
    assert found["broker_connection_max_retries"] is None


@pytest.mark.parametrize(
    ("url", "disables"),
    [("redis://h", True), ("rediss://h", True), ("sentinel://h", True), ("amqp://h", False), ("amqps://h", False)],
)
def test_prefetch_is_switched_off_where_celery_can(url: str, disables: bool) -> None:
    found = celery_settings(settings(broker_url=url))
    assert found["worker_disable_prefetch"] is disables
    assert found["worker_prefetch_multiplier"] == 1


def test_a_sentinel_url_carries_its_group_and_password() -> None:
    url = "sentinel://a:26379;sentinel://b:26379/0?master_name=jobs&sentinel_password=p%40w"
    found = celery_settings(settings(broker_url=url))
    assert found["broker_url"] == "sentinel://a:26379;sentinel://b:26379/0"
    assert found["broker_transport_options"]["master_name"] == "jobs"
    assert found["broker_transport_options"]["sentinel_kwargs"]["password"] == "p@w"


def test_the_environment_of_this_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_NODE", "node-7")
    assert Settings.from_env().node == "node-7"
    assert broker_config.child_environment(settings(node="node-8"))["LONGSHORE_NODE"] == "node-8"
