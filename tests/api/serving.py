"""The application behind its real web server, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from broker_config import Settings, child_environment
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Serves with `settings` until the block ends; gives the base URL."""
    with running(settings) as (url, _):
        yield url


@contextmanager
def running(settings: Settings) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """As `served`, with the process."""
    command = [sys.executable, "-m", "launcher.web"]
    with subprocess.Popen(command, cwd=ROOT, env=child_environment(settings)) as process:
        try:
            url = f"http://127.0.0.1:{settings.port}"
            wait_for(lambda: _lives(url), 20, "the server to answer")
            yield url, process
        finally:
            process.terminate()
            process.wait(10)


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
