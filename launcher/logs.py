"""The components' log files: shown on the terminal as they grow, each line under its component's name.

Components write into their files themselves. So a terminal that stands still, or a supervisor that is killed, never
holds a component up.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click

LOOK = 0.2  # seconds between two looks at the files
LARGEST = 10 * 1024 * 1024  # bytes, after which a log is put aside; one older one is kept
COLOURS = ("cyan", "green", "magenta", "yellow", "blue")


class LogView:
    """Follows the log files of all components from where they end now."""

    def __init__(self, logs: Path, names: Sequence[str], out: TextIO | None) -> None:
        self._files = {name: logs / f"{name}.log" for name in names}
        self._places = {name: _size(path) for name, path in self._files.items()}
        self._rest = dict.fromkeys(names, b"")
        self._out = out
        self._width = max(map(len, names))
        self._stop = threading.Event()
        # Showing may block on a stopped terminal: never in the thread that supervises.
        self._thread = threading.Thread(target=self._follow, name="logs", daemon=True)

    def start(self) -> None:
        """Begin to show new lines."""
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """Show what is left, unless the terminal stands still."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _follow(self) -> None:
        while not self._stop.wait(LOOK):
            self._look()
        self._look()

    def _look(self) -> None:
        for number, (name, path) in enumerate(self._files.items()):
            for line in self._new_lines(name, path):
                self._show(name, COLOURS[number % len(COLOURS)], line)
            self._put_aside(name, path)

    def _new_lines(self, name: str, path: Path) -> list[str]:
        if _size(path) <= self._places[name]:
            return []
        with path.open("rb") as file:
            file.seek(self._places[name])
            text = self._rest[name] + file.read(LARGEST)
            self._places[name] = file.tell()
        *lines, self._rest[name] = text.split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def _show(self, name: str, colour: str, line: str) -> None:
        if self._out is None:
            return
        prefix = click.style(f"{name:<{self._width}} |", fg=colour)
        try:
            click.echo(f"{prefix} {line}", file=self._out)
        except OSError:  # nobody reads any more
            self._out = None

    def _put_aside(self, name: str, path: Path) -> None:
        """Copy and truncate: the writers append, so they go on in the emptied file."""
        if self._places[name] > LARGEST:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            with path.open("r+b") as file:
                file.truncate()
            self._places[name] = 0


def last_lines(path: Path, count: int = 15) -> str:
    """The end of a log file, to explain a start that failed."""
    try:
        text = path.read_bytes()[-20_000:].decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-count:])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
