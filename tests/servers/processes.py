"""Starting a server so that it can neither outlive its test run nor write outside its own directory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.waiting import wait_for

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def unprivileged_user() -> str | None:
    """Give the user to run servers as that refuse to run as root; None where we are not root."""
    return "nobody" if os.geteuid() == 0 else None


@contextlib.contextmanager
def server_directory(name: str, owner: str | None = None) -> Iterator[Path]:
    """Make a short-named directory (socket paths are limited to 107 bytes), removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix=f"ls-{name}-"))
    try:
        if owner is not None:
            account = pwd.getpwnam(owner)
            os.chown(directory, account.pw_uid, account.pw_gid)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def free_port() -> int:
    """Give a TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """One server process: dies with the thread that started it, logs into its own directory."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        directory: Path,
        *,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.log = directory / f"{Path(argv[0]).name}.log"
        account = pwd.getpwnam(user) if user else None

        def die_with_parent() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, int(death_signal))

        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [str(word) for word in argv],
                cwd=directory,
                env=dict(environment or os.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - between fork and exec it only calls prctl
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def alive(self) -> bool:
        return self.popen.poll() is None

    def require_alive(self) -> None:
        """Fail with the server's own words if it has ended."""
        if not self.alive():
            message = f"{self.log.name} ended with {self.popen.returncode}:\n{self.log.read_text()[-4000:]}"
            raise AssertionError(message)

    def send(self, number: signal.Signals) -> None:
        if self.alive():
            self.popen.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, patience: float = 15.0) -> None:
        """End the server and its whole session; with SIGKILL when it is not gone after `patience` s."""
        self.send(number)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not self.alive(), patience, f"{self.log.name} to end")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)
