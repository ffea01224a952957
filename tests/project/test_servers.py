"""The fixtures themselves: a server that silently does not start would make every other test worthless."""

from __future__ import annotations

import psutil
import pytest
from sqlalchemy import create_engine, text

from tests.servers.rabbitmq import RabbitServer
from tests.servers.valkey import ValkeyServer
from tests.waiting import wait_for


def test_valkey_keeps_its_lists_over_a_kill(valkey: ValkeyServer) -> None:
    with valkey.client() as client:
        client.rpush("waiting", *range(100))
        wait_for(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0, 5, "the log on disk")
    first = valkey.pid
    valkey.kill()
    assert not psutil.pid_exists(first)
    valkey.restart()
    with valkey.client() as client:
        assert client.llen("waiting") == 100


def test_every_test_gets_an_empty_database(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE only_here (number INTEGER)"))
    engine.dispose()


def test_and_the_next_one_another(database_url: str) -> None:
    test_every_test_gets_an_empty_database(database_url)


@pytest.mark.rabbitmq
def test_rabbitmq_is_private(rabbitmq: RabbitServer) -> None:
    assert rabbitmq.answers()
    assert "guest" in rabbitmq.control("list_users", "--quiet")


def test_waiting_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.05 s for the moon; last value: 0"):
        wait_for(lambda: 0, 0.05, "the moon")
