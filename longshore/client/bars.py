"""Progress bars on stderr for whatever takes long; nothing at all where nobody would see them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Bar(Protocol):
    """Something that shows how far a long piece of work is."""

    def show(self, done: float, total: float | None, text: str | None = None) -> None:
        """Show the new position; `text` replaces the label."""


class _Hidden:
    def show(self, done: float, total: float | None, text: str | None = None) -> None:
        """Show nothing."""


class _Shown:
    def __init__(self, progress: Any, line: Any) -> None:
        self._progress = progress
        self._line = line

    def show(self, done: float, total: float | None, text: str | None = None) -> None:
        """Move the bar."""
        more = {} if text is None else {"description": text}
        self._progress.update(self._line, completed=done, total=total, **more)


@contextmanager
def bar(text: str, *, wanted: bool | None = None, total: float | None = None, in_bytes: bool = False) -> Iterator[Bar]:
    """Show a bar while the block runs; by default (`wanted=None`) only where stderr is a terminal."""
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield _Hidden()
        return
    progress = _progress(in_bytes=in_bytes)
    with progress:
        yield _Shown(progress, progress.add_task(text, total=total))


def _progress(*, in_bytes: bool) -> Any:
    # rich is imported here because most programs that use the client never show a bar.
    from rich.console import Console  # noqa: PLC0415 - only where a bar is shown
    from rich.progress import (  # noqa: PLC0415 - only where a bar is shown
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TransferSpeedColumn,
    )

    amount = [DownloadColumn(), TransferSpeedColumn()] if in_bytes else [TextColumn("{task.percentage:>3.0f}%")]
    columns = [TextColumn("{task.description}", markup=False), BarColumn(), *amount, TimeElapsedColumn()]
    return Progress(*columns, console=Console(stderr=True), transient=not in_bytes)
