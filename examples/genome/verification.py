"""Prove that an index finds what it was built from."""

from __future__ import annotations

import numpy as np

from examples.genome.kmer_index import Hit, KmerIndex
from examples.genome.kmers import LETTERS, Genome, kmers_of
from longshore import JobError


def verify(index: KmerIndex, genome: Genome, samples: int = 2000) -> int:
    """Look up k-mers from all over the genome; gives how many. Raises JobError `broken-index`."""
    if not index.is_sorted():
        raise _broken("its k-mers are out of order")
    if len(index.codes) != _count(genome, index.k):
        raise _broken("it does not hold every k-mer of the genome")
    chosen = _places(genome, index.k, samples)
    for position in chosen:
        letters = genome.codes[position : position + index.k]
        kmer = "".join(LETTERS[code] for code in letters)
        if _hit(genome, position) not in index.query(kmer):
            raise _broken(f"it misses {kmer} at {_hit(genome, position)}")
    return len(chosen)


def _broken(reason: str) -> JobError:
    return JobError("broken-index", f"the index fails its verification: {reason}", "ALGORITHM")


def _count(genome: Genome, k: int) -> int:
    step = 1 << 20
    begins = range(0, len(genome.codes), step)
    return sum(len(kmers_of(genome.codes, k, begin, begin + step).codes) for begin in begins)


def _places(genome: Genome, k: int, samples: int) -> list[int]:
    """Choose places at random, the same at every run, and keep those where a k-mer lies."""
    chosen = np.random.default_rng(1).integers(0, len(genome.codes), samples)
    return [int(place) for place in chosen if len(kmers_of(genome.codes, k, place, place + 1).codes)]


def _hit(genome: Genome, position: int) -> Hit:
    number = int(np.searchsorted(genome.starts, position, side="right")) - 1
    return Hit(genome.names[number], position - genome.starts[number], "+")
