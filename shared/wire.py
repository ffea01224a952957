"""The door to the broker: the only file that speaks to it, whichever broker it is.

A message here is a wake-up or a hint and may be lost, doubled or late without harm. Every call ends within a few
seconds: sockets have time-outs, and a broker that cannot be reached is a `BrokerUnavailable`.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.message import Message
from kombu.pidbox import Mailbox

from shared.errors import BrokerUnavailable

log = logging.getLogger(__name__)

TASK = "longshore.run"
"""Name of the one Celery task."""

LOOK = Exchange("longshore.look", type="fanout", durable=False)
"""Fanout of hints "look at these jobs" to all agents."""

LOOKS_AT_ONCE = 500
_TRANSIENT, _PERSISTENT = 1, 2
_SECONDS_BETWEEN_WARNINGS = 60.0
_CONTROL = "celery"
"""Name of the mailbox that Celery workers take remote control commands from."""


class Wire:
    """Connections to one broker; safe for threads, and usable after a fork."""

    def __init__(self, broker_url: str, transport_options: Mapping[str, Any] | None = None) -> None:
        self._url = broker_url
        self._options = dict(transport_options or {})
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._pid = os.getpid()

    def wake(self, queue: str, task_ids: Sequence[str]) -> None:
        """Publishes one wake-up for the queue under each of `task_ids`."""
        with self._connected() as connection, connection.channel() as channel:
            producer = Producer(channel, serializer="json")
            Queue(queue, durable=True)(channel).queue_declare()
            for task_id in task_ids:
                producer.publish(_task_body(queue), routing_key=queue, **_task_properties(task_id, queue))

    def depth(self, queue: str) -> int:
        """How many wake-ups wait in the queue."""
        with self._connected() as connection, connection.channel() as channel:
            return _size(channel, queue)

    def purge(self, queue: str) -> int:
        """Takes all waiting wake-ups out of the queue; jobs are not touched and are announced again when due."""
        with self._connected() as connection, connection.channel() as channel:
            return int(Queue(queue, durable=True)(channel).purge() or 0)

    def look(self, job_ids: Iterable[UUID]) -> None:
        """Tells all agents to read the flags of these jobs now."""
        ids = iter(job_ids)
        with self._connected() as connection, connection.channel() as channel:
            producer = Producer(channel, serializer="json", exchange=LOOK)
            while chunk := [str(job_id) for job_id in islice(ids, LOOKS_AT_ONCE)]:
                producer.publish({"jobs": chunk}, declare=[LOOK], delivery_mode=_TRANSIENT)

    def revoke(self, task_ids: Sequence[str], *, terminate: bool = False, signal: str = "SIGTERM") -> None:
        """Asks all Celery workers to drop these tasks, and with `terminate` to end the one that runs."""
        arguments = {"task_id": list(task_ids), "terminate": terminate, "signal": signal}
        with self._connected() as connection, connection.channel() as channel:
            mailbox: Any = Mailbox(_CONTROL, type="fanout", accept=["json"], serializer="json")(connection)
            mailbox._broadcast("revoke", arguments, channel=channel)  # noqa: SLF001 - Celery's own control calls it

    def ping(self) -> None:
        """Raises `BrokerUnavailable` unless the broker answers."""
        with self._connected() as connection, connection.channel():
            pass

    def listen(self, seen: Callable[[list[UUID]], None], stop: threading.Event) -> None:
        """Calls `seen` with the jobs of each hint until `stop` is set; connects again by itself."""
        warned = -math.inf
        while not stop.is_set():
            try:
                self._listen_once(seen, stop)
            except Exception as error:  # noqa: BLE001 - kombu's transports raise many kinds; a hint may be lost
                is_news = time.monotonic() >= warned + _SECONDS_BETWEEN_WARNINGS
                log.log(logging.WARNING if is_news else logging.DEBUG, "listening for hints was interrupted: %s", error)
                warned = time.monotonic() if is_news else warned
                stop.wait(1.0)

    def _listen_once(self, seen: Callable[[list[UUID]], None], stop: threading.Event) -> None:
        def take(body: Any, message: Message) -> None:
            message.ack()
            seen([UUID(job_id) for job_id in body.get("jobs", [])])

        name = f"longshore.look.{uuid4().hex}"
        hints = Queue(name, exchange=LOOK, exclusive=True, auto_delete=True, durable=False)
        with self._open() as connection, Consumer(connection, [hints], callbacks=[take], accept=["json"]):
            while not stop.is_set():
                try:
                    connection.drain_events(timeout=1.0)
                except (TimeoutError, socket.timeout):  # noqa: UP041 - transports differ
                    continue

    def close(self) -> None:
        """Closes the connection; a later call opens a new one."""
        with self._lock:
            self._drop()

    def _open(self) -> Connection:
        return Connection(self._url, transport_options=self._options, connect_timeout=3)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self._lock:
            if self._pid != os.getpid():
                self._connection, self._pid = None, os.getpid()
            try:
                if self._connection is None:
                    self._connection = self._open()
                    self._connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
                yield self._connection
            except Exception as error:
                self._drop()
                raise BrokerUnavailable(f"The broker cannot be reached now ({error}).") from error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.release()
            except Exception as error:  # noqa: BLE001 - it is given up anyway
                log.debug("closing a broken broker connection: %s", error)


def _size(channel: Any, queue: str) -> int:
    return int(channel.queue_declare(queue=queue, durable=True, auto_delete=False).message_count)


def _task_body(queue: str) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    return [queue], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def _task_properties(task_id: str, queue: str) -> dict[str, Any]:
    """Headers of Celery's message protocol, version 2."""
    headers = {
        "lang": "py",
        "task": TASK,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "eta": None,
        "expires": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": repr([queue]),
        "kwargsrepr": "{}",
        "ignore_result": True,
    }
    return {"headers": headers, "correlation_id": task_id, "delivery_mode": _PERSISTENT}
