"""The settings: read once from the environment, frozen afterwards. The server side reads it nowhere else.

Every field of `Settings` is the variable `LONGSHORE_<NAME>`. A wrong value stops the start with an error that
names the variable, what was given and what is expected. `celery_settings` says what they mean for Celery.
"""
# ruff: noqa: RUF009 - the fields of Settings are declared through one function that adds their documentation

from __future__ import annotations

import hashlib
import math
import os
import re
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import isodate
from platformdirs import user_data_dir

from shared.errors import ConfigurationError
from shared.timings import Timings

PREFIX = "LONGSHORE_"
SOCKET_PATH_LIMIT = 100
"""bytes; the kernel allows 108 for a unix socket's path"""

_DAY = 86_400.0
_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB
_SIZE_UNITS = {"": 1, "k": _KIB, "m": _MIB, "g": _GIB, "t": 1024 * _GIB}
_TIME_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY, "w": 7 * _DAY}


# ------------------------------------------------------------------------------------------------ parsers
# Each takes the text of a variable and gives the value, or raises ValueError saying what is expected.


def _text(text: str) -> str:
    return text


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def _some_names(text: str) -> tuple[str, ...]:
    names = _names(text)
    if not names or not all(re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) for name in names):
        raise ValueError("a list of names separated by commas (letters, digits, '_', '.', '-')")
    return names


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"-?\d{1,18}", text.strip()) else None
        if number is None or number < least or (most is not None and number > most):
            raise ValueError(f"a whole number from {least}" + ("" if most is None else f" to {most}"))
        return number

    return parse


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d{1,15})\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise ValueError("a size in bytes, or with a unit such as 64MiB or 10GiB")
    return int(match[1]) * _SIZE_UNITS[match[2]]


def duration(text: str) -> float:
    """Seconds meant by `text`: plain seconds, `30s`, `5m`, `1h30m`, `30d`, or an ISO 8601 duration."""
    given = text.strip()
    try:
        seconds = _iso_seconds(given) if given[:1] in {"P", "p"} else _unit_seconds(given.lower())
    except (ValueError, isodate.ISO8601Error):
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("a duration: seconds, or 30s, 5m, 2h, 30d, or ISO 8601 such as PT30S")
    return seconds


def _iso_seconds(text: str) -> float:
    value = isodate.parse_duration(text.upper())
    return value.total_seconds() if isinstance(value, timedelta) else math.nan  # months have no length


def _unit_seconds(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h|d|w))+", text):
        return math.nan
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", text)
    return sum(float(number) * _TIME_UNITS[unit] for number, unit in parts)


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.strip().lower() not in words:
            raise ValueError("one of " + ", ".join(words))
        return text.strip().lower()

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if urlsplit(text.strip()).scheme not in schemes or "://" not in text:
            raise ValueError("a URL that starts with " + ", ".join(f"{scheme}://" for scheme in schemes))
        return text.strip()

    return parse


def _database(text: str) -> str:
    url = _url("sqlite", "postgresql", "postgres", "postgresql+psycopg")(text)
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def _broker(text: str) -> str:
    return _url("redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps")(text)


def _base_url(text: str) -> str:
    return _url("http", "https")(text).rstrip("/")


# ----------------------------------------------------------------------------------------------- defaults


def embedded_socket(data_dir: Path) -> Path:
    """Where the private broker of `data_dir` listens: in it, or in a short private place if it is deep."""
    usual = data_dir / "broker" / "valkey.sock"
    if len(os.fsencode(usual)) <= SOCKET_PATH_LIMIT:
        return usual
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"longshore-{os.getuid()}-{digest}" / "valkey.sock"


def _embedded_url(data_dir: Path) -> str:
    return "redis+socket://" + quote(str(embedded_socket(data_dir)))


def _user_dir(_known: Mapping[str, Any]) -> Path:
    here = Path.cwd() / "longshore-data"
    return here if here.is_dir() and here.stat().st_uid == os.getuid() else Path(user_data_dir("longshore"))


def _database_file(known: Mapping[str, Any]) -> str:
    return f"sqlite:///{known['data_dir'] / 'longshore.db'}"


def _private_broker(known: Mapping[str, Any]) -> str:
    return _embedded_url(known["data_dir"])


def base_url(host: str, port: int) -> str:
    """The address at which a server bound to `host` and `port` is reached from this machine."""
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared only
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _local_url(known: Mapping[str, Any]) -> str:
    return base_url(known["host"], known["port"])


def _inside(name: str) -> Callable[[Mapping[str, Any]], Path]:
    return lambda known: Path(known["data_dir"]) / name


def _usable_cores(_known: Mapping[str, Any]) -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _host_name(_known: Mapping[str, Any]) -> str:
    return socket.gethostname()


def _as_text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is(parse: Callable[[str], Any], default: Any, doc: str, shown: str | None = None) -> Any:
    """A field of `Settings`. A `default` may be computed from the fields before it: `shown` tells it then."""
    text = shown if shown is not None else _as_text(default)
    return field(metadata={"doc": doc, "parse": parse, "default": default, "shown": text})


@dataclass(frozen=True, repr=False)
class Settings:
    """All settings of one installation. Durations are seconds, sizes bytes. Made by `from_env`."""

    data_dir: Path = _is(_path, _user_dir, "Everything kept on this machine.", "./longshore-data, else the user's")
    database_url: str = _is(_database, _database_file, "sqlite:///FILE or postgresql://...", "in data_dir")
    broker_url: str = _is(_broker, _private_broker, "redis[s]://, sentinel:// or amqp[s]://", "private Valkey")
    broker_binary: str = _is(_text, "", "Program to start as the private broker.", "the one found")
    host: str = _is(_text, "127.0.0.1", "Address the API listens on.")
    port: int = _is(_whole(0, 65_535), 8080, "Port the API listens on; 0 takes a free one.")
    public_url: str = _is(_base_url, _local_url, "Base URL at which users and jobs reach the API.", "http://HOST:PORT")
    slots: int = _is(_whole(1, 1024), _usable_cores, "How many jobs a worker runs at once.", "usable cores")
    queues: tuple[str, ...] = _is(_some_names, ("default",), "Queues a worker serves, by commas.", "default")
    jobs: tuple[str, ...] = _is(_names, (), "Modules of job types a worker imports, by commas.", "none")
    files_dir: Path = _is(_path, _inside("files"), "Inputs and outputs; all nodes see it.", "data_dir/files")
    work_dir: Path = _is(_path, _inside("work"), "Work directories of executions.", "data_dir/work")
    run_dir: Path = _is(_path, _inside("run"), "Process ids and sockets; on this machine.", "data_dir/run")
    log_level: str = _is(_one_of("debug", "info", "warning", "error"), "info", "Least severe line logged.")
    log_format: str = _is(_one_of("text", "json"), "text", "Form of log lines: text or json.")
    api_threads: int = _is(_whole(1, 1024), 64, "Ordinary requests the API answers at once.")
    max_body: int = _is(_size, _MIB, "Largest body of an ordinary request.", "1MiB")
    max_batch_body: int = _is(_size, 64 * _MIB, "Largest body of a batch of jobs.", "64MiB")
    max_upload: int = _is(_size, 10 * _GIB, "Largest file uploaded.", "10GiB")
    max_log: int = _is(_size, 8 * _MIB, "Largest log kept of one attempt.", "8MiB")
    max_streams: int = _is(_whole(1, 10_000), 200, "Event streams the API keeps open at once.")
    keep: float = _is(duration, 30 * _DAY, "How long finished jobs are kept.", "30d")
    key_days: int = _is(_whole(1, 3650), 7, "Days for which an Idempotency-Key is remembered.")
    run_as: str = _is(_text, "", "User whom commands run as; the worker must be root.", "the worker's user")
    lease: float = _is(duration, 30.0, "How long the right to a job outlasts the worker's last heartbeat.")
    heartbeat: float = _is(duration, 5.0, "How often a worker renews its leases.")
    fence: float = _is(duration, 20.0, "How long after its last renewal a worker kills its own jobs.")
    tick: float = _is(duration, 5.0, "How often upkeep looks for lost wake-ups and expired leases.")
    presence: float = _is(duration, 15.0, "How often an idle worker says that it is there.")
    grace_term: float = _is(duration, 2.0, "From a cancel to SIGTERM for all that is left of a job.")
    grace_kill: float = _is(duration, 13.0, "From a cancel to SIGKILL.")
    suspend_limit: float = _is(duration, 3600.0, "How long a job stays suspended before it is parked.", "1h")
    drain: float = _is(duration, 30.0, "How long a worker that stops waits for its jobs.")
    node: str = _is(_text, _host_name, "Name of this machine in lists of workers.", "the host name")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Settings of `environ`; an override that is not None (text or value) goes before a variable."""
        environ = os.environ if environ is None else environ
        unknown = overrides.keys() - {each.name for each in fields(cls)}
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        values: dict[str, Any] = {}
        for each in fields(cls):
            values[each.name] = _value(each, environ, overrides.get(each.name), values)
        settings = cls(**values)
        _check_times(settings)
        return settings

    @property
    def broker_is_embedded(self) -> bool:
        """Whether the broker is the private one that `longshore up` starts."""
        return self.broker_url == _embedded_url(self.data_dir)

    def __repr__(self) -> str:
        """Without passwords, fit for logs."""
        shown = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("database_url", "broker_url"):
            shown[name] = redacted(shown[name])
        return "Settings(" + ", ".join(f"{name}={value!r}" for name, value in shown.items()) + ")"


def _value(each: Field[Any], environ: Mapping[str, str], override: Any, known: Mapping[str, Any]) -> Any:
    name = PREFIX + each.name.upper()
    given = override if override is not None else environ.get(name)
    if given is None or (isinstance(given, str) and not given.strip()):
        default = each.metadata["default"]
        return default(known) if callable(default) else default
    text = given if isinstance(given, str) else _as_text(given)
    try:
        return each.metadata["parse"](text)
    except ValueError as error:
        raise ConfigurationError(f"{name} is {redacted(text)!r}; expected: {error}") from None


def _check_times(settings: Settings) -> None:
    """The protocol holds only in this order: a missed beat is noticed before the lease goes to another."""
    for shorter, longer in (("heartbeat", "fence"), ("fence", "lease"), ("grace_term", "grace_kill")):
        less, more = getattr(settings, shorter), getattr(settings, longer)
        if not 0 < less < more:
            raise ConfigurationError(
                f"{PREFIX}{shorter.upper()} is {less:g}; "
                f"expected: more than 0 and less than {PREFIX}{longer.upper()}, which is {more:g}"
            )


def redacted(url: str) -> str:
    """`url` with the passwords in it replaced by `***`."""
    hidden = re.sub(r"(://[^/@:\s;]*):[^/@\s;]*@", r"\1:***@", url)
    hidden = re.sub(r"://[^/:@\s;]{40,}@", "://***@", hidden)
    return re.sub(r"([?&][a-z_]*(?:password|token)=)[^&\s]*", r"\1***", hidden)


def environment(settings: Settings) -> dict[str, str]:
    """The variables with which a child process reads these very settings."""
    return {PREFIX + each.name.upper(): _as_text(getattr(settings, each.name)) for each in fields(settings)}


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with the settings in force, for a component started by the launcher."""
    return {**os.environ, **environment(settings)}


def own_variables() -> dict[str, str]:
    """The LONGSHORE_ variables of this process."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def documented() -> list[tuple[str, str, str]]:
    """(variable, default, meaning) of every setting, for the reference pages and their tests."""
    return [
        (PREFIX + each.name.upper(), str(each.metadata["shown"]), str(each.metadata["doc"]))
        for each in fields(Settings)
    ]


def timings(settings: Settings) -> Timings:
    """The times of the protocol, as `shared` wants them."""
    return Timings(**{each.name: getattr(settings, each.name) for each in fields(Timings)})


# ------------------------------------------------------------------------------------------------- Celery


def broker_kind(url: str) -> str:
    """`redis`, `sentinel` or `amqp`: what the options of a broker URL depend on."""
    scheme = urlsplit(url).scheme
    return {"sentinel": "sentinel", "amqp": "amqp", "amqps": "amqp"}.get(scheme, "redis")


_ANY_BROKER = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}
_AMQP = {"read_timeout": 5, "write_timeout": 5, "confirm_publish": True}
_REDIS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 5,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}


def broker_connection(settings: Settings) -> tuple[str, dict[str, Any]]:
    """(URL, transport options) for kombu: every wait is bounded, so that no publish and no start can hang."""
    url = settings.broker_url
    match broker_kind(url):
        case "amqp":
            return url, _ANY_BROKER | _AMQP
        case "sentinel":
            url, master, secret = _sentinel_parts(url)
            sentinel = {"master_name": master, "sentinel_kwargs": {"password": secret, "socket_timeout": 2}}
            return url, _ANY_BROKER | _REDIS | sentinel
        case _:
            return url, _ANY_BROKER | _REDIS


def _sentinel_parts(url: str) -> tuple[str, str, str | None]:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    master, secret = query.pop("master_name", "mymaster"), query.pop("sentinel_password", None)
    return urlunsplit(parts._replace(query=urlencode(query))), master, secret and unquote(secret)


def celery_settings(settings: Settings) -> dict[str, Any]:
    """Celery hosts, wakes and supervises processes; whatever would make it keep state is off."""
    url, options = broker_connection(settings)
    return {
        "broker_url": url,
        "broker_transport_options": options,
        "broker_connection_timeout": 4,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_heartbeat": 10,
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_acks_late": False,
        "task_publish_retry": False,
        "task_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": settings.queues[0],
        "task_default_delivery_mode": "transient",
        "task_send_sent_event": False,
        "worker_send_task_events": False,
        "worker_pool": "prefork",
        "worker_concurrency": settings.slots,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": broker_kind(url) != "amqp",
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_enable_remote_control": True,
        "enable_utc": True,
    }
