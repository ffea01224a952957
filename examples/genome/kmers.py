"""Words of k bases as numbers: two bits a base, so that numpy can sort and search them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.genome.fasta import Record

LETTERS = "ACGT"
LONGEST = 31
"""Two bits a base leave room for this many in 64 bits."""
_UNKNOWN = 4
_HALF_WORD = 16
"""Up to this many bases fit into 32 bits."""

Numbers = NDArray[Any]

_CODES = np.full(256, _UNKNOWN, dtype=np.uint8)
_CODES[np.frombuffer(b"ACGT", np.uint8)] = range(4)
_CODES[ord("U")] = 3


@dataclass(frozen=True)
class Genome:
    """All sequences of a genome in one row of base codes, with an unknown base after each.

    `starts` and `lengths` say where each named sequence lies; no k-mer reaches over a border or an unknown base.
    """

    names: list[str]
    starts: list[int]
    lengths: list[int]
    codes: NDArray[np.uint8]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Genome:
        """Encode sequences."""
        names, parts = list[str](), list[bytes]()
        for record in records:
            names.append(record.name)
            parts.append(record.bases)
        lengths = [len(part) for part in parts]
        starts = np.cumsum([0, *(length + 1 for length in lengths)])[:-1].tolist()
        row = np.frombuffer(b"-".join([*parts, b""]), np.uint8)
        return cls(names, starts, lengths, _CODES[row])


class Kmers(NamedTuple):
    """The k-mers that begin in a stretch of a genome.

    `codes` are canonical: of a k-mer and its reverse complement the smaller number. `positions` are places in
    the row of base codes, `reverse` tells which were turned round.
    """

    codes: Numbers
    positions: NDArray[np.int64]
    reverse: NDArray[np.bool_]


def kmers_of(codes: NDArray[np.uint8], k: int, begin: int, end: int) -> Kmers:
    """Give the k-mers that begin at `begin` or later and before `end`; those with an unknown base are left out."""
    row = codes[begin : end + k - 1]
    count = max(len(row) - k + 1, 0)
    forward, reverse = _both_strands(row.astype(code_type(k)), k)
    unknown = np.concatenate(([0], np.cumsum(row > LETTERS.index("T"))))
    known = np.flatnonzero(unknown[k : k + count] == unknown[:count])
    ahead, back = forward[known], reverse[known]
    return Kmers(np.minimum(ahead, back), known + begin, back < ahead)


def code_type(k: int) -> type[np.uint32 | np.uint64]:
    """Give the smallest number type that holds k bases."""
    return np.uint32 if k <= _HALF_WORD else np.uint64


def code_of(kmer: str) -> tuple[int, bool]:
    """Give the canonical code of a k-mer, and whether it was turned round. Raises ValueError."""
    letters = kmer.upper().replace("U", "T")
    if not letters or set(letters) - set(LETTERS):
        raise ValueError(f"{kmer!r} is no word of the bases A, C, G and T")
    digits = [LETTERS.index(letter) for letter in letters]
    ahead, back = _number(digits), _number([3 - digit for digit in reversed(digits)])
    return min(ahead, back), back < ahead


def _number(digits: list[int]) -> int:
    number = 0
    for digit in digits:
        number = number * 4 + digit
    return number


def _both_strands(row: Numbers, k: int) -> tuple[Numbers, Numbers]:
    """Number all words of k bases, forwards and as reverse complement, by doubling the length of words.

    A word of length a+b is the word of length a at its place and the word of length b that follows a places on.
    """
    ahead, back, length = row, 3 - row, 1
    for bit in bin(k)[3:]:
        ahead, back, length = *_joined((ahead, back, length), (ahead, back, length)), 2 * length
        if bit == "1":
            ahead, back, length = *_joined((ahead, back, length), (row, 3 - row, 1)), length + 1
    return ahead, back


def _joined(first: tuple[Numbers, Numbers, int], second: tuple[Numbers, Numbers, int]) -> tuple[Numbers, Numbers]:
    places = first[2]
    ahead, back = second[0][places:], second[1][places:]
    count = min(len(first[0]), len(ahead))
    kind = first[0].dtype.type
    joined_ahead = (first[0][:count] << kind(2 * second[2])) | ahead[:count]
    joined_back = (back[:count] << kind(2 * places)) | first[1][:count]
    return joined_ahead, joined_back
