from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.runners.directives import LONGEST_LINE, Directive, DirectiveReader, Message, Progress, Stage, parse


def read(*pieces: bytes) -> list[Directive]:
    reader = DirectiveReader()
    return [found for piece in pieces for found in reader.feed(piece)] + list(reader.end())


@pytest.mark.parametrize(
    ("line", "directive"),
    [
        (b"::stage align", Stage("align")),
        (b"::stage  two words ", Stage("two words")),
        (b"::stage align\r", Stage("align")),
        (b"::progress 3 10", Progress(3, 10, "")),
        (b"::progress 3 10 three  of ten", Progress(3, 10, "three  of ten")),
        (b"::progress 0.5 1e3", Progress(0.5, 1000, "")),
        (b"::message half way", Message("half way")),
        (b"::message", Message("")),
        (b"::message \xff", Message("\ufffd")),
    ],
)
def test_directives(line: bytes, directive: Directive) -> None:
    assert parse(line) == directive


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"::",
        b"::stage",
        b"::stage ",
        b"::staged x",
        b":: stage x",
        b" ::stage x",
        b"::progress",
        b"::progress 3",
        b"::progress x 10",
        b"::progress nan 10",
        b"::progress inf inf",
        b"::progress -1 10",
        b"::progress 1 0",
        b"::set-output name=x",
    ],
)
def test_anything_else_is_ordinary_output(line: bytes) -> None:
    assert parse(line) is None


@given(
    lines=st.lists(st.sampled_from([b"::stage a", b"::progress 1 2 m", b"::message x", b"out", b"", b"\xff::"])),
    cuts=st.lists(st.integers(0, 200)),
)
def test_it_does_not_matter_where_the_stream_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    text = b"\n".join(lines)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[begin:end] for begin, end in pairwise(edges)]
    assert read(*pieces) == [found for line in lines if (found := parse(line))]


def test_a_line_that_is_too_long_does_not_spoil_the_next() -> None:
    assert read(b"::message " + b"x" * LONGEST_LINE, b"x\n::stage next\n") == [Stage("next")]
    assert read(b"x" * LONGEST_LINE + b"::stage no\n", b"::stage yes") == [Stage("yes")]
