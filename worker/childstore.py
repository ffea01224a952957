"""The database as a pool child uses it: never torn by a cancel, never frozen or forked in the middle.

A child that is stopped by SIGSTOP while it holds a row lock, or SQLite's write turn, stops everybody. So it marks in
its slot that it is in the database; the agent, having stopped it, looks at the mark and lets it go on for a moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection

from shared.store import Store, Transaction


class Guard:
    """Lets one thread of the child into the database at a time, and marks that one is in it."""

    def __init__(self, mark: Callable[[bool], None], shield: Callable[[], AbstractContextManager[None]]) -> None:
        """`mark` writes to the slot whether the child must not be stopped; `shield` keeps a cancel waiting."""
        self._mark = mark
        self._shield = shield
        self._lock = threading.RLock()
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """In the database."""
        with self._shield(), self._lock:
            self._depth += 1
            self._mark(True)  # noqa: FBT003 - the mark is a plain yes or no
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._mark(False)  # noqa: FBT003 - the flag is all there is to say

    def before_fork(self) -> None:
        """Waits until nobody is in the database: a copy of a connection in use, or of a held lock, hangs."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """In the process that forked."""
        self._lock.release()

    def forget_after_fork(self) -> None:
        """In the forked process."""
        self._lock = threading.RLock()
        self._depth = 0


class ChildStore(Store):
    """A store whose transactions are guarded."""

    def __init__(self, url: str, guard: Guard, **options: Any) -> None:
        super().__init__(url, **options)
        self._guard = guard

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction."""
        with self._guard.held(), super().transaction() as tx:
            yield tx

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading one consistent moment."""
        with self._guard.held(), super().reading() as connection:
            yield connection
