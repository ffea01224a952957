"""Find words in an index that `create_subtraction` made: python -m examples.query_index INDEX WORD.."""

from __future__ import annotations

import argparse
from pathlib import Path

from examples.genome.kmer_index import KmerIndex


def main() -> None:
    """Print one line for each place: the word, the sequence, the position of its first base, the strand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path, help="kmer_index.tar, as downloaded from the job")
    parser.add_argument("words", nargs="+", help="words of the length that the index was built for")
    given = parser.parse_args()
    index = KmerIndex.open(given.index)
    for word in given.words:
        for hit in index.query(word):
            print(word, hit.sequence, hit.position, hit.strand, sep="\t")


if __name__ == "__main__":
    main()
