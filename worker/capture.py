"""What job code writes to stdout and stderr, from whatever level, becomes part of the job's log.

File descriptors 1 and 2 are replaced while the body runs, so that C libraries and child processes are heard too.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TextIO

STREAMS = {1: "stdout", 2: "stderr"}
_CHUNK = 64 * 1024
_PATIENCE = 2.0
"""seconds to wait for the end of a stream that somebody still holds open"""

Write = Callable[[str, bytes], None]


class Capture(AbstractContextManager["Capture"]):
    """Redirects the process's stdout and stderr for the time of the block; `finish` waits for the last of it."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._kept: dict[int, int] = {}
        self._texts: tuple[TextIO, TextIO] = sys.stdout, sys.stderr
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Capture:
        """Redirects."""
        self._texts = sys.stdout, sys.stderr
        readers = {self._redirect(number): stream for number, stream in STREAMS.items()}
        sys.stdout, sys.stderr = _text(1), _text(2)
        self._thread = threading.Thread(target=self._read, args=(readers,), name="capture", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Puts everything back."""
        for text in (sys.stdout, sys.stderr):
            if not text.closed:
                text.flush()
        sys.stdout, sys.stderr = self._texts
        for number, kept in self._kept.items():
            os.dup2(kept, number)
            os.close(kept)
        self._kept.clear()

    def finish(self) -> None:
        """Waits until all that was written has been taken; call it when no process of the job is left."""
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _redirect(self, number: int) -> int:
        reader, writer = os.pipe()
        self._kept[number] = os.dup(number)
        os.set_inheritable(self._kept[number], False)  # noqa: FBT003 - the only parameter there is
        os.dup2(writer, number)
        os.close(writer)
        return reader

    def _read(self, readers: dict[int, str]) -> None:
        while readers:
            for reader in select.select(list(readers), [], [])[0]:
                data = os.read(reader, _CHUNK)
                if data:
                    self._write(readers[reader], data)
                else:
                    os.close(reader)
                    del readers[reader]


def _text(number: int) -> TextIO:
    raw = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)
