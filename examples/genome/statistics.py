"""Statistics of a genome: how long, how many of each base, how much of it is G and C, how fragmented."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from examples.genome.fasta import Record

_STEP = 1 << 20
"""Bases counted between two reports of progress."""


@dataclass(frozen=True)
class Statistics:
    """Lengths are in bases; `gc` is the fraction of G and C among the known bases.

    Sequences of at least `n50` bases hold half of the genome.
    """

    sequences: int
    length: int
    shortest: int
    longest: int
    n50: int
    gc: float
    bases: dict[str, int]


def statistics_of(records: Iterable[Record], progress: Callable[[int], None]) -> Statistics:
    """Go once through the sequences; `progress` gets the number of bases counted so far."""
    counts, lengths = np.zeros(256, dtype=np.int64), list[int]()
    for record in records:
        for begin in range(0, len(record.bases), _STEP):
            piece = np.frombuffer(record.bases, np.uint8, min(_STEP, len(record.bases) - begin), begin)
            counts += np.bincount(piece, minlength=256)
            progress(sum(lengths) + begin + len(piece))
        lengths.append(len(record.bases))
    bases = _by_letter(counts)
    known = sum(bases[letter] for letter in "ACGT")
    return Statistics(
        sequences=len(lengths),
        length=sum(lengths),
        shortest=min(lengths),
        longest=max(lengths),
        n50=n50(lengths),
        gc=round((bases["G"] + bases["C"]) / known, 6) if known else 0.0,
        bases=bases,
    )


def n50(lengths: Sequence[int]) -> int:
    """Give the length of the sequence at which, from the longest down, half of all bases is reached."""
    half, reached = sum(lengths) / 2, 0
    for length in sorted(lengths, reverse=True):
        reached += length
        if reached >= half:
            return length
    return 0


def _by_letter(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> dict[str, int]:
    bases = {letter: int(counts[ord(letter)]) for letter in "ACGTN"}
    return {**bases, "other": int(counts.sum()) - sum(bases.values())}
