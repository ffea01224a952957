"""The command line on a terminal: pictures, bars, questions and Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longshore.cli.exits import Exit
from longshore.client import Client
from tests.launcher.installation import Installation
from tests.waiting import wait_for

PATIENCE = 30.0


class Terminal:
    """A command that believes it is on a terminal."""

    def __init__(self, environ: dict[str, str], *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "longshore.cli", *arguments],
            env={**environ, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.seen = ""

    def read(self) -> str:
        try:
            self.seen += os.read(self._ours, 65_536).decode(errors="replace")
        except (BlockingIOError, OSError):
            time.sleep(0.01)  # a terminal that says nothing cannot be waited for in another way
        return self.seen

    def shows(self, text: str) -> None:
        wait_for(lambda: text in self.read(), PATIENCE, f"{text!r} on the terminal")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def ends(self) -> int:
        wait_for(lambda: (self.read(), self.process.poll() is not None)[1], PATIENCE, "the command to end")
        self.read()
        return self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(broker_up: Installation) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(*arguments: str) -> Terminal:
        opened.append(Terminal(broker_up.environment, *arguments))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def test_watch_draws_the_stages(terminal: Callable[..., Terminal], running: str, gate: Path) -> None:
    screen = terminal("watch", running, "--exit-status")
    for words in ("gated", "before", "after", "running"):
        screen.shows(words)
    gate.touch()
    screen.shows("completed")
    assert screen.ends() == Exit.OK
    assert "✓" in screen.seen


def test_ctrl_c_leaves_the_job_running(terminal: Callable[..., Terminal], running: str, client: Client) -> None:
    screen = terminal("watch", running)
    screen.shows("running")
    screen.process.send_signal(signal.SIGINT)
    assert screen.ends() == Exit.CANCELLED
    assert f"Job {running} goes on" in screen.seen
    assert next(client.jobs(query={"number": int(running)})).job.state == "running"


def test_waiting_shows_a_bar(terminal: Callable[..., Terminal]) -> None:
    screen = terminal("submit", "sleep", "--arg", "seconds=1", "--wait")
    screen.shows("sleep")
    screen.shows("━")
    assert screen.ends() == Exit.OK


def test_watch_without_a_job_lets_people_choose(terminal: Callable[..., Terminal], running: str, gate: Path) -> None:
    screen = terminal("watch")
    screen.shows("Which job")
    screen.type(f"{running}\n")
    screen.shows("running")
    gate.touch()
    assert screen.ends() == Exit.OK
