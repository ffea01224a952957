"""What a command says about itself on stdout: `::stage NAME`, `::progress DONE TOTAL [message]`, `::message TEXT`.

A line that is none of these, or is one of them badly written, is ordinary output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_LINE = 4096
"""bytes; a longer line is never a directive, so no more than this is kept of one"""
_MARK = b"::"
_NUMBERS = 2


@dataclass(frozen=True)
class Stage:
    """The command has come to a stage."""

    name: str


@dataclass(frozen=True)
class Progress:
    """The command has done some of what there is to do."""

    done: float
    total: float
    message: str


@dataclass(frozen=True)
class Message:
    """The command says what it is at."""

    text: str


Directive = Stage | Progress | Message


class DirectiveReader:
    """Finds the directives in a stream that comes in pieces cut anywhere."""

    def __init__(self) -> None:
        self._line = b""
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Directive]:
        """The directives that this piece completes."""
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._extend(part)
            yield from self.end()
        self._extend(rest)

    def end(self) -> Iterator[Directive]:
        """The directive of the present line, which is over."""
        line, self._line = self._line, b""
        too_long, self._too_long = self._too_long, False
        found = None if too_long else parse(line)
        if found is not None:
            yield found

    def _extend(self, part: bytes) -> None:
        self._too_long |= len(self._line) + len(part) > LONGEST_LINE
        self._line = b"" if self._too_long else self._line + part


def parse(line: bytes) -> Directive | None:
    """The directive on one line without its end; None if it is none."""
    if not line.startswith(_MARK):
        return None
    word, _, rest = line[len(_MARK) :].decode("utf-8", "replace").rstrip().partition(" ")
    rest = rest.strip()
    if word == "stage" and rest:
        return Stage(rest)
    if word == "message":
        return Message(rest)
    return _progress(rest) if word == "progress" else None


def _progress(rest: str) -> Progress | None:
    words = rest.split(maxsplit=_NUMBERS)
    try:
        done, total = map(float, words[:_NUMBERS])
    except ValueError:
        return None
    if not (math.isfinite(done) and math.isfinite(total) and done >= 0 and total > 0):
        return None
    return Progress(done, total, words[_NUMBERS] if len(words) > _NUMBERS else "")
