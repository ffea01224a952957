"""Live streams: one thread of the process reads the feed of status records and hands each to all who wait for it.

A stream first reads from the database what its client has missed, then lives on what the thread hands out. One that
falls behind forgets what it was handed and reads again from where it stopped, so none is ever skipped or doubled. No
database session is held while a client is being written to.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from shared import observe
from shared.errors import LongshoreError, TooMany, Unavailable
from shared.principal import Principal
from shared.store import Store

log = logging.getLogger(__name__)

INTERVAL = 0.2
"""seconds between two looks at the feed while anybody listens"""

BEAT = 5.0
"""seconds after which an idle stream says that it lives"""

LONGEST = 3600.0
"""seconds after which a stream ends; its client comes back with `Last-Event-ID`, and its credential is checked anew"""

MOST_WAITING = 1000
"""records kept for a stream whose client is slow"""

PAGE = 500
AnyPlace = TypeVar("AnyPlace", bound="Place")


class Entry:
    """A record of the feed, and where it stands in it."""

    def __init__(self, record: Any) -> None:
        self.record = record
        self.position = observe.position(record)
        self._written: bytes | None = None

    @property
    def cursor(self) -> str:
        """For `Last-Event-ID` and `/updates`: goes on after it."""
        return observe.cursor_at(self.position)

    def written(self, write: Callable[[Entry], bytes]) -> bytes:
        """The record as clients get it, made once for all of them."""
        if self._written is None:
            self._written = write(self)
        return self._written


class Place:
    """One of the places for streams of this process, taken until it is given back or closed."""

    def __init__(self) -> None:
        self._closed = False
        self._until = time.monotonic() + LONGEST
        self._changed = threading.Condition()

    @property
    def closed(self) -> bool:
        """Whether to end now."""
        return self._closed or time.monotonic() > self._until

    def close(self) -> None:
        """Tells whoever holds it to end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def rest(self, seconds: float) -> None:
        """Waits, but not when the place is closed."""
        with self._changed:
            if not self.closed:
                self._changed.wait(seconds)


class Stream(Place):
    """What one client receives: the records that its principal may see, of one job or of all."""

    def __init__(self, store: Store, principal: Principal, job_id: UUID | None, cursor: str | None) -> None:
        super().__init__()
        self.principal = principal
        self.job_id = job_id
        self._store = store
        self._cursor = cursor
        self._position = observe.position_in(cursor) if cursor else (-1, -1)
        self._waiting: deque[Entry] = deque()
        self._behind = True

    def wants(self, record: Any) -> bool:
        """Whether the record is for this stream."""
        if self.job_id is not None:
            return bool(record.job_id == self.job_id)
        return self.principal.is_admin or bool(record.owner_id == self.principal.user_id)

    def offer(self, entries: Sequence[Entry]) -> None:
        """Hands records over; called by the thread that reads the feed, so it never waits."""
        mine = [entry for entry in entries if self.wants(entry.record)]
        if not mine:
            return
        with self._changed:
            self._waiting.extend(mine)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.clear()
                self._behind = True
            self._changed.notify_all()

    def take(self, timeout: float) -> list[Entry]:
        """The next records; empty when there were none for `timeout` seconds, or when the stream was closed."""
        if self._behind and (missed := self._catch_up()):
            return self._taken(missed)
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (self._waiting or self.closed or self._behind) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            entries = [*self._waiting]
            self._waiting.clear()
        return self._taken([entry for entry in entries if entry.position > self._position])

    @property
    def is_current(self) -> bool:
        """Whether everything known so far has been taken."""
        with self._changed:
            return not (self._behind or self._waiting)

    def _catch_up(self) -> list[Entry]:
        """One page of what was missed. When it is the last, the stream lives on what it is handed from then on."""
        with self._changed:
            self._behind = False
        try:
            records, following = observe.feed(self._store, self.principal, self._cursor, PAGE, job_id=self.job_id)
        except Unavailable:
            self._behind = True
            self.rest(1.0)
            return []
        self._behind = self._behind or len(records) == PAGE
        self._cursor = following
        return [Entry(record) for record in records]

    def _taken(self, entries: list[Entry]) -> list[Entry]:
        if entries:
            self._position = entries[-1].position
            self._cursor = entries[-1].cursor
        return entries


class Feed:
    """The thread that reads the feed, and the places for streams of this process."""

    def __init__(self, store: Store, *, most: int) -> None:
        """`most`: how many streams may be open at once."""
        self._store = store
        self._most = most
        self._places: set[Place] = set()
        self._lock = threading.Lock()
        self._poked = threading.Event()
        self._reader: threading.Thread | None = None
        self._pid = 0
        self._closed = False

    @property
    def open_streams(self) -> int:
        """How many places are taken."""
        return len(self._places)

    def open(self, principal: Principal, *, job_id: UUID | None = None, cursor: str | None = None) -> Stream:
        """A stream of what follows `cursor`; raises `TooMany` when there is no room. Give it back with `release`."""
        stream = self.take_place(Stream(self._store, principal, job_id, cursor))
        try:
            self._ensure_reader()
        except LongshoreError:
            self.release(stream)
            raise
        return stream

    def take_place(self, place: AnyPlace) -> AnyPlace:
        """Takes a place for a stream of any kind; raises `TooMany` when there is none."""
        with self._lock:
            if self._closed or len(self._places) >= self._most:
                raise TooMany("There are too many open streams here; try again later, or poll instead.")
            self._places.add(place)
        return place

    def release(self, place: Place) -> None:
        """Gives a place back; doing it again is harmless."""
        with self._lock:
            self._places.discard(place)

    def poke(self) -> None:
        """There is something new: look now instead of at the next interval."""
        self._poked.set()

    def close(self) -> None:
        """Ends all streams, and refuses new ones."""
        with self._lock:
            self._closed = True
            places = [*self._places]
        self._poked.set()
        for place in places:
            place.close()

    def _ensure_reader(self) -> None:
        with self._lock:
            if self._pid == os.getpid() and self._reader is not None:
                return
            start = observe.feed_end(self._store)
            self._reader = threading.Thread(target=self._read, args=(start,), name="feed", daemon=True)
            self._pid = os.getpid()
            self._reader.start()

    def _listeners(self) -> list[Stream]:
        """The streams to hand records to; when there are none the thread is no longer needed, and is let go."""
        with self._lock:
            streams = [place for place in self._places if isinstance(place, Stream)]
            if not streams or self._closed:
                self._reader = None
            return streams

    def _read(self, cursor: str) -> None:
        while (streams := self._listeners()) and not self._closed:
            cursor = self._hand_out(streams, cursor)
            self._poked.wait(INTERVAL)
            self._poked.clear()

    def _hand_out(self, streams: Sequence[Stream], cursor: str) -> str:
        try:
            records, cursor = observe.feed(self._store, None, cursor, PAGE)
        except Exception as error:  # noqa: BLE001 - without this thread all streams would fall silent for good
            log.warning("the feed cannot be read now: %s", error)
            self._poked.wait(1.0)
            return cursor
        entries = [Entry(record) for record in records]
        for stream in streams if entries else ():
            stream.offer(entries)
        if len(records) == PAGE:
            self._poked.set()
        return cursor
