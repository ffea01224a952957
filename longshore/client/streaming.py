"""Being told of changes: server-sent events where they get through, questions at intervals where they do not.

A message is only a hint that there is something to look at: what is shown is read from the API, in order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from longshore.client.problems import Unavailable
from longshore.client.retrying import Deadline
from longshore.client.transport import Call, Transport

SILENCE = 15.0
"""seconds without even a beat (the broker sends one every 5) after which a stream is dead"""
LAST_STRETCH = 6.0
"""seconds before a deadline from which we ask at intervals, since a beat would come too late"""
FIRST_INTERVAL = 0.1
LONGEST_INTERVAL = 2.0
SHORTEST_SPELL = 0.5
LONGEST_SPELL = 15.0
"""seconds for which we ask at intervals before a stream is tried again: the longer the less the streams worked"""


class Hint(Enum):
    """What a feed says when it has no message."""

    OPENED = "the stream is open; what happened before it was must be looked up"
    BEAT = "the stream lives"
    TICK = "there is no stream; look yourself"


@dataclass(frozen=True)
class Message:
    """One server-sent event; `data` is its JSON object."""

    id: str
    event: str
    data: Mapping[str, Any]


def parse(lines: Iterable[str]) -> Iterator[Message | Hint]:
    """Read the lines of an event stream; a comment is the broker's beat."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield Hint.BEAT
        elif line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
        elif fields:
            if "data" in fields:
                yield Message(fields.get("id", ""), fields.get("event", "message"), _document(fields["data"]))
            fields = {}


def _document(text: str) -> Mapping[str, Any]:
    """Read a JSON object; what a strange server sends instead says nothing."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


class Feed:
    """The messages of one stream until the deadline, and hints in between.

    `last_id` is where the stream goes on after a broken connection; who reads by itself moves it.
    """

    def __init__(
        self, transport: Transport, path: str, deadline: Deadline, parameters: Mapping[str, Any] | None = None
    ) -> None:
        self.last_id: str | None = None
        self._transport = transport
        self._path = path
        self._deadline = deadline
        self._parameters = parameters or {}

    def __iter__(self) -> Iterator[Message | Hint]:
        """Go on after broken connections where the last one stopped; end at the deadline."""
        spell = SHORTEST_SPELL
        while not self._deadline.passed:
            worked = yield from self._streamed()
            spell = SHORTEST_SPELL if worked else min(spell * 4, LONGEST_SPELL)
            yield from self._ticks(Deadline(min(spell, self._deadline.remaining())))

    def _streamed(self) -> Generator[Message | Hint, None, bool]:
        """Give the messages of one connection; return whether anything came at all."""
        worked = False
        if self._near_end():
            return worked
        try:
            with self._transport.stream(self._call()) as response:
                yield Hint.OPENED
                for message in parse(response.iter_lines()):
                    worked = True
                    if isinstance(message, Message) and message.id:
                        self.last_id = message.id
                    yield message
                    if self._near_end():
                        break
        except Unavailable:
            pass  # broken or refused: that is what the ticks are for
        return worked

    def _call(self) -> Call:
        headers = {"Accept": "text/event-stream"}
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        read_timeout = min(SILENCE, self._deadline.remaining())
        return Call("GET", self._path, self._parameters, headers=headers, patience=0.0, read_timeout=read_timeout)

    def _ticks(self, spell: Deadline) -> Iterator[Hint]:
        interval = FIRST_INTERVAL
        while True:
            yield Hint.TICK
            if spell.passed:
                return
            time.sleep(min(interval, spell.remaining()))
            interval = min(interval * 1.5, LONGEST_INTERVAL)

    def _near_end(self) -> bool:
        return self._deadline.remaining() < LAST_STRETCH
