"""What the routes work with: the store, the files, the broker's door, and the threads that belong to the process."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from typing import cast
from uuid import uuid4

from flask import Flask, current_app

from api.probe import Probe
from api.streams import Feed
from broker_config import Settings, broker_connection, timings
from shared.enqueue import Courier
from shared.errors import BrokerUnavailable
from shared.files import FileStore
from shared.store import Effects, Store
from shared.upkeep import Upkeep
from shared.wire import Wire

NAME = "longshore"
log = logging.getLogger(__name__)


@dataclass
class Installation:
    """One process's share of an installation. Threads start with the first request, never before a fork."""

    settings: Settings
    store: Store
    wire: Wire
    courier: Courier
    files: FileStore
    feed: Feed
    broker: Probe
    upkeep: Upkeep | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    _pid: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Starts this process's upkeep; calling it again does nothing."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid() and self.upkeep is not None:
                threading.Thread(target=self.upkeep.run, args=(self.stop,), name="upkeep", daemon=True).start()
            self._pid = os.getpid()

    def committed(self, effects: Effects) -> None:
        """Tells the workers and the open streams what a transaction has changed."""
        self.courier.deliver(effects)
        self.feed.poke()

    def drain(self) -> None:
        """Ends all open streams; call it when the process is told to stop, before the server waits for requests."""
        self.feed.close()

    def close(self) -> None:
        """Ends streams and threads and closes all connections."""
        self.stop.set()
        self.drain()
        self.courier.close()
        self.wire.close()
        self.store.close()


def assemble(settings: Settings, *, with_upkeep: bool) -> Installation:
    """Builds the parts from the settings; nothing is connected yet."""
    store = Store(settings.database_url, pool_size=min(settings.api_threads, 16), keep_seconds=settings.keep)
    wire = Wire(*broker_connection(settings))
    courier = Courier(store, wire, settings.presence)
    files = FileStore(settings.files_dir, settings.max_upload)
    feed = Feed(store, most=settings.max_streams)
    broker = Probe(lambda: _answers(wire))
    upkeep = Upkeep(store, wire, timings(settings), uuid4(), key_days=settings.key_days, files=files)
    made = Installation(settings, store, wire, courier, files, feed, broker, upkeep if with_upkeep else None)
    store.after_commit = made.committed
    return made


def _answers(wire: Wire) -> bool:
    try:
        wire.ping()
    except BrokerUnavailable:
        return False
    return True


def installation() -> Installation:
    """The installation of the application that answers the present request."""
    return of(current_app)


def of(app: Flask) -> Installation:
    """The installation of `app`."""
    return cast("Installation", app.extensions[NAME])
