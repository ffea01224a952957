"""The wire over real brokers: wake-ups that Celery understands, hints to all, and bounded waits when it is down."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from kombu import Connection

from broker_config import Settings, celery_settings
from shared.enqueue import Courier, refill
from shared.errors import BrokerUnavailable
from shared.presence import WorkerCard, depart, present
from shared.store import Effects
from shared.wire import Wire
from tests.servers.valkey import ValkeyServer
from tests.shared.kit import Kit
from tests.waiting import wait_for

PRESENCE = 15.0


def _wire(url: str) -> Wire:
    settings = Settings.from_env({}, broker_url=url)
    return Wire(url, celery_settings(settings)["broker_transport_options"])


@pytest.fixture(params=["valkey", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param).url)


@pytest.fixture
def wire(broker_url: str) -> Iterator[Wire]:
    made = _wire(broker_url)
    yield made
    made.close()


def _queue() -> str:
    return f"q-{uuid4().hex[:8]}"


def test_wake_ups_wait_in_their_queue_and_can_be_purged(wire: Wire) -> None:
    queue = _queue()
    assert wire.depth(queue) == 0
    wire.wake(queue, ["a.1", "b.1", "c.2"])
    wait_for(lambda: wire.depth(queue) == 3, 5, "three wake-ups in the queue")
    assert wire.purge(queue) == 3
    assert wire.depth(queue) == 0


def test_a_wake_up_is_a_celery_message_of_protocol_two(wire: Wire, broker_url: str) -> None:
    queue = _queue()
    wire.wake(queue, ["job.7"])
    with Connection(broker_url) as connection:
        message = connection.SimpleQueue(queue).get(timeout=5)
    assert message.headers["task"] == "longshore.run"
    assert message.headers["id"] == "job.7"
    assert json.loads(message.body or "")[0] == [queue]
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")


def test_a_hint_reaches_every_listener(wire: Wire, broker_url: str) -> None:
    stop = threading.Event()
    heard: list[list[UUID]] = [[], []]
    listeners = [
        threading.Thread(target=_wire(broker_url).listen, args=(each.extend, stop), daemon=True) for each in heard
    ]
    for listener in listeners:
        listener.start()
    probe, jobs = uuid4(), [uuid4() for _ in range(1200)]

    def both_heard_the_probe() -> bool:
        wire.look([probe])
        return all(probe in each for each in heard)

    wait_for(both_heard_the_probe, 10, "both listeners to be there")
    wire.look(jobs)
    wait_for(lambda: all(set(jobs) <= set(each) for each in heard), 5, "all hints at both listeners")
    stop.set()
    for listener in listeners:
        listener.join(5)
        assert not listener.is_alive()


def test_revoking_needs_no_worker(wire: Wire) -> None:
    wire.revoke(["job.1", "job.2"])
    wire.revoke(["job.1"], terminate=True, signal="SIGKILL")


def test_a_broker_that_is_away_is_a_clear_error_soon_and_is_used_again_when_back(
    valkey: ValkeyServer,
) -> None:
    wire = _wire(valkey.url)
    wire.ping()
    valkey.kill()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        wire.wake("q", ["a.1"])
    assert time.monotonic() - began < 7
    valkey.restart()
    wire.wake("q", ["a.2"])
    assert wire.depth("q") == 1


def test_a_broker_that_stays_away_does_not_fill_the_log(valkey: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    wire, stop = _wire(valkey.url), threading.Event()
    valkey.kill()
    with caplog.at_level("DEBUG", logger="shared.wire"):
        listener = threading.Thread(target=wire.listen, args=(lambda _ids: None, stop))
        listener.start()
        wait_for(lambda: len(caplog.records) >= 3, 20, "the listener to have failed three times")
        stop.set()
        listener.join(10)
    assert [record.levelname for record in caplog.records[:3]] == ["WARNING", "DEBUG", "DEBUG"]


def test_a_frozen_broker_does_not_hold_the_caller(valkey: ValkeyServer) -> None:
    wire = _wire(valkey.url)
    wire.ping()
    valkey.freeze()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        wire.depth("q")
    assert time.monotonic() - began < 12
    valkey.thaw()
    assert wire.depth("q") == 0


def _worker(kit: Kit, slots: int, queues: list[str]) -> WorkerCard:
    card = WorkerCard(uuid4(), "w", "n", 1, slots, queues, [])
    present(kit.store, card)
    return card


def test_the_relay_publishes_no_more_than_there_are_slots_and_replaces_what_is_lost(
    kit: Kit, valkey: ValkeyServer
) -> None:
    wire = _wire(valkey.url)
    for _ in range(10):
        kit.queued()
    assert refill(kit.store, wire, PRESENCE) == 0, "nobody is there to be woken"
    card = _worker(kit, 3, ["default"])
    assert refill(kit.store, wire, PRESENCE) == 3
    assert refill(kit.store, wire, PRESENCE) == 0
    wire.purge("default")
    assert refill(kit.store, wire, PRESENCE, ["other"]) == 0
    assert refill(kit.store, wire, PRESENCE, ["default"]) == 3
    assert wire.depth("default") == 3
    depart(kit.store, card.id)
    wire.purge("default")
    assert refill(kit.store, wire, PRESENCE) == 0


def test_the_courier_wakes_after_a_commit_and_survives_a_broker_that_is_away(kit: Kit, valkey: ValkeyServer) -> None:
    wire = _wire(valkey.url)
    courier = Courier(kit.store, wire, PRESENCE)
    kit.store.after_commit = courier.deliver
    _worker(kit, 2, ["default"])
    kit.queued()
    wait_for(lambda: wire.depth("default") == 1, 5, "a wake-up after the commit")
    valkey.kill()
    began = time.monotonic()
    kit.queued()
    assert time.monotonic() - began < 1, "submitting waited for the broker"
    valkey.restart()

    def delivered() -> bool:
        courier.deliver(Effects(wake={"default"}))
        return wire.depth("default") >= 1

    wait_for(delivered, 10, "a wake-up again")
    courier.close()
