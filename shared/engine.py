"""Connections to SQLite and PostgreSQL, set so that both mean the same and neither waits without bound."""

from __future__ import annotations

import fcntl
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, create_engine, event, make_url

from shared.errors import Unavailable

READ_ONLY = "longshore_read_only"
"""Execution option of a connection that will only read; on SQLite it must not take the write lock."""

LOCK_SECONDS = 10.0
"""How long a writer waits for SQLite's turn before it gives up with a clear error."""


def _dumps(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _loads(value: Any) -> Any:
    """JSON from the database; SQLite hands a lone number over as the number that it took it for."""
    return value if isinstance(value, int | float) else orjson.loads(value)


def make_engine(url: str, pool_size: int = 8) -> Engine:
    """An engine for `url`; `pool_size` connections are kept, as many again opened at need."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(str(parsed), pool_size)
    if parsed.get_backend_name() == "postgresql":
        return _postgresql(parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False), pool_size)
    message = f"the database URL must begin with sqlite:/// or postgresql://, not {parsed.get_backend_name()}://"
    raise ValueError(message)


def _postgresql(url: str, pool_size: int) -> Engine:
    options = "-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s -c timezone=UTC"
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        pool_use_lifo=True,
        json_serializer=_dumps,
        json_deserializer=_loads,
        connect_args={"connect_timeout": 3, "keepalives_idle": 5, "tcp_user_timeout": 8000, "options": options},
    )


def _sqlite(url: str, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=64,
        pool_timeout=5,
        json_serializer=_dumps,
        json_deserializer=_loads,
        connect_args={"timeout": LOCK_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


class _LeaseClock:
    """CLOCK_BOOTTIME as it stood when the transaction began: one answer for all expressions of a statement."""

    def __init__(self) -> None:
        self.set()

    def set(self) -> None:
        self._microseconds = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def read(self) -> int:
        return self._microseconds


def boot_id() -> str:
    """Names the running boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None
    boot = boot_id()
    connection.create_function("longshore_now", 0, lambda: time.time_ns() // 1000)
    clock = record.info["lease_clock"] = _LeaseClock()
    connection.create_function("longshore_lease_now", 0, clock.read)
    connection.create_function("power", 2, math.pow, deterministic=True)
    connection.create_function("longshore_boot_id", 0, lambda: boot)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    connection.info["lease_clock"].set()
    read_only = connection.get_execution_options().get(READ_ONLY)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


class WriteTurn:
    """One writer at a time among all processes that share a SQLite file.

    SQLite's own busy back-off let writers wait for seconds when eight processes wrote; a lock on a file beside it is
    handed on within a millisecond. The lock ends with its process, however that ends.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._thread_lock = threading.Lock()
        self._file: int | None = None
        self._pid = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Holds the turn; raises `Unavailable` when it was not given within `LOCK_SECONDS`."""
        deadline = time.monotonic() + LOCK_SECONDS
        self.forget_after_fork()
        if not self._thread_lock.acquire(timeout=LOCK_SECONDS):
            raise Unavailable
        try:
            descriptor = self._take(deadline)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            self._thread_lock.release()

    def forget_after_fork(self) -> None:
        """In a process that was forked: lets go of the parent's lock, which the kernel frees when all have done so."""
        if self._pid != os.getpid():
            if self._file is not None:
                os.close(self._file)
            self._pid, self._file, self._thread_lock = os.getpid(), None, threading.Lock()

    def _take(self, deadline: float) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        pause = 0.0001
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable from None
                time.sleep(pause)
                pause = min(pause * 2, 0.002)
            else:
                return self._file
