"""Checks of what runs: the supervisor, the API, the broker, the database and its clock, the workers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text

from broker_config import Settings, broker_connection, broker_kind, embedded_socket, redacted
from launcher.components import answers_ready
from launcher.datadir import DataDirectory
from launcher.doctor.findings import Finding, fail, fine, warn
from launcher.prepare import is_yet_to_be_made
from shared import migrations
from shared.errors import BrokerUnavailable, Unavailable
from shared.presence import workers_present
from shared.store import Store
from shared.wire import Wire

SLOW_DATABASE_MS = 20.0
SKEW_WORTH_TELLING, SKEW_TOO_MUCH = 2.0, 60.0
OLDEST_SQLITE, OLDEST_POSTGRESQL = (3, 35), 140_000
PROBES = 5


def installation(settings: Settings) -> Iterator[Finding]:
    """Whether `longshore up` runs on this data directory, and its API answers."""
    directory = DataDirectory(settings)
    holder = directory.holder()
    if holder is None:
        yield warn("longshore up", f"does not run on {settings.data_dir}", "start it with `longshore up`")
        return
    parts = urlsplit(holder.url)
    if not holder.url or not answers_ready(parts.hostname or "", parts.port or 0):
        yield fail("longshore up", f"process {holder.identity.pid} runs, its API does not answer",
                   f"look into {directory.logs}/api.log")  # fmt: skip
    else:
        yield fine("longshore up", f"process {holder.identity.pid} serves {holder.url}")


def broker(settings: Settings) -> Iterator[Finding]:
    """The broker answers, and keeps what it is given."""
    begun = time.perf_counter()
    wire = Wire(*broker_connection(settings))
    try:
        wire.ping()
    except BrokerUnavailable as error:
        yield _no_broker(settings, error)
        return
    finally:
        wire.close()
    took = (time.perf_counter() - begun) * 1000
    yield fine("broker", f"{redacted(settings.broker_url)} answers in {took:.0f} ms")
    if broker_kind(settings.broker_url) == "redis":
        yield from _redis(settings)


def _no_broker(settings: Settings, error: BrokerUnavailable) -> Finding:
    if settings.broker_is_embedded and DataDirectory(settings).holder() is None:
        return warn("broker", "the private broker is not running", "it starts with `longshore up`")
    where = settings.data_dir / "logs" / "broker.log" if settings.broker_is_embedded else "LONGSHORE_BROKER_URL"
    return fail("broker", f"{redacted(settings.broker_url)}: {redacted(error.detail)}",
                f"jobs are accepted and wait meanwhile; check {where}")  # fmt: skip


def _redis(settings: Settings) -> Iterator[Finding]:
    client = _redis_client(settings)
    try:
        server, memory = client.info("server"), client.info("memory")
    except RedisError as error:
        yield warn("broker policy", f"cannot be read ({error})", "allow INFO to this user")
        return
    finally:
        client.close()
    name = "Valkey" if "valkey_version" in server else "Redis"
    version = server.get("valkey_version") or server.get("redis_version")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield warn("broker policy", f"{name} {version} throws keys away when full ({policy})",
                   "set maxmemory-policy noeviction")  # fmt: skip
    else:
        yield fine("broker version", f"{name} {version}, {memory.get('used_memory_human')} used")


def _redis_client(settings: Settings) -> Redis:
    if settings.broker_is_embedded:
        return Redis(unix_socket_path=str(embedded_socket(settings.data_dir)), socket_timeout=2)
    url = settings.broker_url.replace("redis+socket://", "unix://")
    return Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)


def database(settings: Settings) -> Iterator[Finding]:
    """The database answers quickly, has this release's tables, and its clock agrees with ours."""
    shown = redacted(settings.database_url)
    if is_yet_to_be_made(settings):
        yield warn("database", f"{shown} does not exist yet", "`longshore up` or `longshore db upgrade` makes it")
        return
    store = Store(settings.database_url, pool_size=1)
    try:
        yield from _database(store, shown)
        if migrations.is_current(store):
            yield from _workers(settings, store)
    except Unavailable as error:
        yield fail("database", f"{shown}: {redacted(error.detail)}", "check LONGSHORE_DATABASE_URL and the server")
    finally:
        store.close()


def _database(store: Store, shown: str) -> Iterator[Finding]:
    latency = statistics.median(_probe(store) for _ in range(PROBES))
    detail = f"{shown} answers in {latency:.1f} ms"
    if latency > SLOW_DATABASE_MS:
        yield warn("database", detail, "put it nearer: every step of a job is a statement or two")
    else:
        yield fine("database", detail)
    yield _version(store)
    yield _clock(store)
    yield _tables(store)


def _tables(store: Store) -> Finding:
    if migrations.is_current(store):
        return fine("tables", f"at revision {migrations.head()}")
    return fail("tables", "missing, or of another release", "run `longshore db upgrade`")


def _probe(store: Store) -> float:
    begun = time.perf_counter()
    with store.reading() as connection:
        connection.execute(text("SELECT 1"))
    return (time.perf_counter() - begun) * 1000


def _version(store: Store) -> Finding:
    with store.reading() as connection:
        if store.is_sqlite:
            found = str(connection.execute(text("SELECT sqlite_version()")).scalar_one())
            old = tuple(map(int, found.split(".")[:2])) < OLDEST_SQLITE
        else:
            found = str(connection.execute(text("SHOW server_version")).scalar_one())
            old = int(connection.execute(text("SHOW server_version_num")).scalar_one()) < OLDEST_POSTGRESQL
    name = "SQLite" if store.is_sqlite else "PostgreSQL"
    if old:
        return fail("database version", f"{name} {found}", "use SQLite 3.35 or PostgreSQL 14, or later")
    return fine("database version", f"{name} {found}")


def _clock(store: Store) -> Finding:
    if store.is_sqlite:
        return fine("clock", "the database counts by this machine's own")
    with store.reading() as connection:
        before = time.time()
        theirs = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
        skew = (before + time.time()) / 2 - float(theirs)
    detail = f"{abs(skew):.2f} s {'ahead of' if skew > 0 else 'behind'} the database's"
    if abs(skew) > SKEW_TOO_MUCH:
        return fail("clock", detail, "set this machine's clock (chrony, systemd-timesyncd)")
    if abs(skew) > SKEW_WORTH_TELLING:
        return warn("clock", detail, "leases follow the database; only times in logs differ. Set the clock")
    return fine("clock", detail)


def _workers(settings: Settings, store: Store) -> Iterator[Finding]:
    with store.reading() as connection:
        found = workers_present(connection, settings.presence)
    if not found:
        yield warn("workers", "none has been heard of", "jobs wait: start `longshore worker` or `longshore up`")
        return
    slots, nodes = sum(row.slots for row in found), sorted({row.node for row in found})
    draining = sum(1 for row in found if row.draining)
    detail = f"{len(found)} with {slots} slots on {', '.join(nodes)}" + (f"; {draining} draining" if draining else "")
    served = {queue for row in found for queue in row.queues}
    if unserved := set(settings.queues) - served:
        yield warn("workers", f"{detail}; none serves {', '.join(sorted(unserved))}",
                   "start one with --queues")  # fmt: skip
    else:
        yield fine("workers", detail)
