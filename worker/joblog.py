"""What job code logs goes to the job's log while it runs, and nowhere else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"


class JobLogHandler(logging.Handler):
    """Hands each line to `write`, as UTF-8."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write = write
        formatter = logging.Formatter(FORMAT, "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        try:
            self._write((self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except Exception:  # noqa: BLE001 - as every logging handler: a bad record spoils no job
            self.handleError(record)


@contextmanager
def logging_to(write: Callable[[bytes], None], level: int = logging.INFO) -> Iterator[None]:
    """Sends what is logged inside, by whatever library, to `write` alone."""
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    root.handlers[:] = [JobLogHandler(write)]
    root.setLevel(level)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
