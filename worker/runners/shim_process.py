"""The worker's side of the shim: start a command under it, hear of its end, and end it by force."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM
from typing import Any

from worker import trees

_HERE = Path(__file__).resolve().parent
_BOOT = "import sys; sys.path += sys.argv[1:3]; import shim; shim.main(*map(int, sys.argv[3:]))"
"""Run isolated and without `site`, which takes longer than all the rest; imported, so that it is compiled once."""
_REPORT_SIZE = 1 << 16


@dataclass(frozen=True)
class Identity:
    """The user that a command runs as."""

    uid: int
    gid: int
    groups: Sequence[int]

    @classmethod
    def of(cls, user: str) -> Identity:
        """That of a user of this system; KeyError if there is none of that name."""
        entry = pwd.getpwnam(user)
        return cls(entry.pw_uid, entry.pw_gid, os.getgrouplist(user, entry.pw_gid))


@dataclass(frozen=True)
class Exit:
    """How a command ended: one of the first three is set."""

    exit_code: int | None = None
    signal: int | None = None
    error: str = ""
    """why it could not be started"""
    survivors: int = 0
    """processes that could not be killed"""
    max_rss_kib: int = 0
    cpu_seconds: float = 0.0


class ShimProcess:
    """A command under its shim. Start it in the thread that lives as long as the command may run."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        limits: Mapping[str, int],
        identity: Identity | None = None,
    ) -> None:
        spec = {
            "argv": list(argv),
            "environment": dict(environment),
            "directory": str(directory),
            "limits": dict(limits),
            "identity": vars(identity) if identity else None,
            "parent": os.getpid(),
        }
        self._others = {process.pid for process in trees.children(os.getpid())}
        self._report = b""
        self.results, told = os.pipe()
        try:
            self._process = _launch(spec, told)
        except BaseException:
            os.close(self.results)
            raise
        finally:
            os.close(told)
        assert self._process.stdout is not None  # noqa: S101 - both are pipes, as asked for
        assert self._process.stderr is not None  # noqa: S101 - opened as a pipe above
        self.stdout, self.stderr = self._process.stdout.fileno(), self._process.stderr.fileno()

    @property
    def pid(self) -> int:
        """The shim's own process: the root of the command's tree."""
        return self._process.pid

    def read_report(self) -> None:
        """Take what `results` holds; once that is readable, the command has ended or the shim was killed."""
        self._report += os.read(self.results, _REPORT_SIZE)

    def exit(self) -> Exit:
        """How the command ended; called once the shim has told, or is gone. Nothing of the tree is left then."""
        self._process.kill()  # all that it had to do is done; this ends it even if it is stopped
        code = self._process.wait()
        if self._report:
            return Exit(**json.loads(self._report))
        self._kill_orphans()
        return Exit(signal=-code if code < 0 else SIGKILL)

    def terminate(self) -> None:
        """Ask the command to end; the shim passes it on to all that belongs to it, each is asked once."""
        self._process.send_signal(SIGTERM)
        self._process.send_signal(SIGCONT)

    def kill(self) -> None:
        """End the command and all that belongs to it, at once and by force."""
        trees.kill_tree(self.pid)
        self._kill_orphans()

    def close(self) -> None:
        """Leave nothing behind, whatever has happened."""
        if self._process.poll() is None:
            self.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        os.close(self.results)

    def _kill_orphans(self) -> None:
        """When the shim dies before its tree, the rest becomes this process's children: it is a subreaper."""
        trees.kill_tree(os.getpid(), include_root=False, spare={*self._others, self.pid})
        trees.reap_children({*self._others, self.pid})


def _launch(spec: Mapping[str, Any], results: int) -> subprocess.Popen[bytes]:
    # in memory only, since it holds the execution's token, and of any length without a reader
    specification = os.memfd_create("command")
    try:
        os.write(specification, json.dumps(spec).encode())
        os.lseek(specification, 0, os.SEEK_SET)
        boot = [sys.executable, "-I", "-S", "-c", _BOOT, str(_HERE.parent), str(_HERE)]
        return subprocess.Popen(
            [*boot, str(specification), str(results)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(specification, results),
            env={},
            start_new_session=True,
        )
    finally:
        os.close(specification)
