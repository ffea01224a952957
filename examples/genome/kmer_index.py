"""An index that finds every place of a k-mer in a genome: sorted k-mers beside their positions.

It is built in blocks. Each block is a range of k-mers: one pass over the genome picks out the k-mers in the
range and sorts them. So a block is a piece of work of its own - memory holds one block and not the whole index,
and who has kept the blocks that are done never does them again - and the blocks in a row are the sorted index.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from examples.genome.kmers import Genome, Numbers, code_of, code_type, kmers_of

_STRETCH = 1 << 20
"""Bases looked at in one go: enough for numpy's speed, little enough for any machine's memory."""
_FORMAT = {"format": "kmer-index", "version": 1}


class Hit(NamedTuple):
    """A place of a k-mer: the sequence, the first base (from 0), and `+` or `-` for the strand it reads on."""

    sequence: str
    position: int
    strand: str


def build_block(genome: Genome, k: int, block: int, blocks: int, path: Path) -> int:
    """Write one of the blocks to a file; gives the number of k-mers in it."""
    first, behind = block * 4**k // blocks, (block + 1) * 4**k // blocks
    codes, places = [np.empty(0, code_type(k))], [np.empty(0, _place_type(genome))]
    for begin in range(0, len(genome.codes), _STRETCH):
        found = kmers_of(genome.codes, k, begin, min(begin + _STRETCH, len(genome.codes)))
        inside = np.flatnonzero((found.codes >= first) & (found.codes <= behind - 1))
        codes.append(found.codes[inside])
        # The lowest bit of a place tells the strand.
        places.append((found.positions[inside] * 2 + found.reverse[inside]).astype(_place_type(genome)))
    all_codes, all_places = np.concatenate(codes), np.concatenate(places)
    order = np.argsort(all_codes, kind="stable")
    np.savez(path, codes=all_codes[order], places=all_places[order])
    return len(order)


def assemble(genome: Genome, k: int, blocks: Sequence[Path], target: Path) -> int:
    """Join the blocks to an index in one tar file; gives the number of k-mers in it."""
    parts = []
    for path in blocks:
        with np.load(path) as block:
            parts.append((block["codes"], block["places"]))
    codes = np.concatenate([part[0] for part in parts])
    places = np.concatenate([part[1] for part in parts])
    sequences = [
        {"name": name, "start": start, "length": length}
        for name, start, length in zip(genome.names, genome.starts, genome.lengths, strict=True)
    ]
    about = {**_FORMAT, "k": k, "kmers": len(codes), "sequences": sequences}
    with tarfile.open(target, "w") as tar:
        _add(tar, "index.json", json.dumps(about, indent=1).encode())
        _add(tar, "codes.npy", _npy(codes))
        _add(tar, "places.npy", _npy(places))
    return len(codes)


@dataclass(frozen=True)
class KmerIndex:
    """A finished index, in memory."""

    k: int
    names: list[str]
    starts: list[int]
    codes: Numbers
    places: Numbers

    @classmethod
    def open(cls, path: Path) -> KmerIndex:
        """Read an index file. Raises ValueError for another kind of file."""
        with tarfile.open(path) as tar:
            about = json.loads(_member(tar, "index.json").read())
            if {key: about.get(key) for key in _FORMAT} != _FORMAT:
                raise ValueError(f"{path} is no k-mer index of a known version")
            sequences = about["sequences"]
            return cls(
                about["k"],
                [sequence["name"] for sequence in sequences],
                [sequence["start"] for sequence in sequences],
                np.load(_member(tar, "codes.npy")),
                np.load(_member(tar, "places.npy")),
            )

    def query(self, kmer: str) -> list[Hit]:
        """Give every place of a k-mer on either strand, in order. Raises ValueError for a wrong word."""
        if len(kmer) != self.k:
            raise ValueError(f"this index finds words of {self.k} bases, not of {len(kmer)}")
        code, turned = code_of(kmer)
        first, behind = np.searchsorted(self.codes, np.array([code, code + 1], self.codes.dtype))
        return [self._hit(int(place), turned=turned) for place in self.places[first:behind]]

    def is_sorted(self) -> bool:
        """Say whether the order holds that `query` relies on."""
        return bool(np.all(self.codes[:-1] <= self.codes[1:]))

    def _hit(self, place: int, *, turned: bool) -> Hit:
        position, reverse = place >> 1, bool(place & 1)
        number = int(np.searchsorted(self.starts, position, side="right")) - 1
        strand = "+" if reverse == turned else "-"
        return Hit(self.names[number], position - self.starts[number], strand)


def _place_type(genome: Genome) -> type[np.uint32 | np.uint64]:
    return np.uint32 if len(genome.codes) < 1 << 31 else np.uint64


def _npy(array: Numbers) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _member(tar: tarfile.TarFile, name: str) -> io.BytesIO:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return io.BytesIO(file.read())
