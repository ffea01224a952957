"""A whole installation for a test, with everything that runs below it known."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from launcher.processes import Identity
from tests.waiting import wait_for

LONGSHORE = [sys.executable, "-P", "-m", "longshore.cli"]
START_WITHIN, STOP_WITHIN = 60.0, 40.0


class Installation:
    """`longshore up` on a data directory of its own and a free port."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None
        own = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
        given = {f"LONGSHORE_{name.upper()}": value for name, value in variables.items()}
        defaults = {"LONGSHORE_PORT": "0", "LONGSHORE_SLOTS": "1", "LONGSHORE_DRAIN": "1"}
        self.environment = {**own, **defaults, **given, "LONGSHORE_DATA_DIR": str(data_dir)}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the CLI to its end."""
        return subprocess.run(
            [*LONGSHORE, *arguments], env=self.environment, capture_output=True, text=True, timeout=90, check=False
        )

    def start(self) -> None:
        """Start it in the foreground of a process of ours, and wait until it serves."""
        self._process = subprocess.Popen(
            [*LONGSHORE, "up"], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._serves, START_WITHIN, "the installation")

    def _serves(self) -> bool:
        assert self.process.poll() is None, self.logs()
        return self.url_file.exists()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor."""
        assert self._process is not None
        return self._process

    @property
    def url_file(self) -> Path:
        return self.data_dir / "url"

    @property
    def url(self) -> str:
        return self.url_file.read_text().strip()

    @property
    def token(self) -> str:
        return (self.data_dir / "admin.token").read_text().strip()

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Ask the API as the admin."""
        return httpx.get(self.url + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=20, **options)

    def tree(self) -> list[Identity]:
        """Every process below the supervisor, and itself."""
        pids = [self.process.pid, *(each.pid for each in psutil.Process(self.process.pid).children(recursive=True))]
        return [found for pid in pids if (found := Identity.of(pid))]

    def component(self, words: str) -> Identity:
        """The process of a component itself, below its guard, known by words of its command line."""
        for each in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):  # it may end while we look
                line = " ".join(each.cmdline())
                found = Identity.of(each.pid)
                if found and words in line and "guard.py" not in line:
                    return found
        raise AssertionError(f"no process {words!r} runs")

    def stop(self) -> int:
        """Ask it to stop; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_WITHIN)

    def end(self) -> None:
        """Leave nothing of it, however the test ended."""
        if self._process is None:
            return
        left = self.tree() if self._process.poll() is None else []
        self._process.kill()
        self._process.wait()
        for each in left:
            each.send(signal.SIGKILL)

    def logs(self) -> str:
        """What the components said, for a test that fails."""
        return "\n".join(f"--- {each.name}\n{each.read_text()[-3000:]}" for each in self.data_dir.glob("logs/*.log"))


def all_gone(processes: list[Identity]) -> bool:
    """Whether none of the processes runs any more."""
    return not any(each.lives() for each in processes)
