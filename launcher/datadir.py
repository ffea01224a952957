"""The data directory: who holds it, what runs on it, where it is reached."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from broker_config import Settings
from launcher.processes import Identity
from shared.errors import ConfigurationError

SUBDIRECTORIES = ("broker", "files", "work", "run", "logs")
STALE_ENDS_WITHIN = 10.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Holder:
    """The supervisor that holds a data directory, and its address once it serves."""

    identity: Identity
    url: str


class DataDirectory:
    """Paths and files of one data directory, and the lock that lets only one supervisor work on it."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.data_dir
        self.run = settings.run_dir
        self.logs = self.path / "logs"
        self.token_file = self.path / "admin.token"
        self._lock_file = self.path / "up.lock"
        self._children_file = self.run / "up.json"
        self._url_file = self.path / "url"
        self._held: IO[str] | None = None

    def make(self, settings: Settings) -> None:
        """Create what is missing, for this user alone."""
        inside = (self.path / name for name in SUBDIRECTORIES)
        for directory in (self.path, *inside, settings.files_dir, settings.work_dir, settings.run_dir):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(f"cannot make {directory}: {error.strerror}") from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise ConfigurationError(f"{self.path} belongs to somebody else; choose another --data-dir")

    def hold(self) -> bool:
        """Take the lock until this process ends; False when another supervisor has it."""
        lock = self._lock_file.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._held = lock
        self.tell_holder("")
        return True

    def is_held(self) -> bool:
        """Whether a supervisor works here now."""
        if not self._lock_file.exists():
            return False
        with self._lock_file.open("r+") as probe:
            try:
                fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def tell_holder(self, url: str) -> None:
        """Write into the lock who holds it, and the address it serves."""
        me = Identity.of(os.getpid())
        if self._held is None or me is None:
            return
        self._held.seek(0)
        self._held.truncate()
        json.dump({"pid": me.pid, "started": me.started, "url": url}, self._held)
        self._held.flush()

    def holder(self) -> Holder | None:
        """Who holds the directory, as far as it is written down and still runs."""
        found = _read(self._lock_file)
        if not isinstance(found, dict) or not self.is_held():
            return None
        identity = Identity(int(found["pid"]), int(found["started"]))
        return Holder(identity, str(found["url"])) if identity.lives() else None

    def write_url(self, url: str) -> None:
        """Say where the API is reached, for the client and the CLI."""
        self._url_file.write_text(url + "\n")
        self.tell_holder(url)

    def write_token(self, token: str) -> None:
        """Keep the admin's token where only this user can read it, at no moment anybody else."""
        fresh = self.token_file.with_name("admin.token.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.token_file)

    def write_children(self, records: Iterable[dict[str, Any]]) -> None:
        """Write down what runs, for a supervisor that comes after a sudden end of this one."""
        text = json.dumps({"boot": _boot(), "children": list(records)})
        fresh = self._children_file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._children_file)

    def end_stale(self) -> list[str]:
        """Kill what a supervisor that died has left, known by id and time of start; returns the names."""
        written = _read(self._children_file) or {}
        records = written["children"] if written.get("boot") == _boot() else []
        left = {str(each["name"]): Identity(int(each["pid"]), int(each["started"])) for each in records}
        found = [name for name, identity in left.items() if identity.send(signal.SIGQUIT)]
        end = time.monotonic() + STALE_ENDS_WITHIN
        while any(left[name].lives() for name in found) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def clear(self) -> None:
        """Take away what says that something runs here."""
        for path in (self._children_file, self._url_file):
            path.unlink(missing_ok=True)


def _boot() -> str:
    """Names the running boot of this machine: after another, the same id and start time are another process."""
    return BOOT_ID.read_text().strip()


def _read(path: Path) -> Any:
    """The JSON in a file; None when there is none, or it was cut short by a crash."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
