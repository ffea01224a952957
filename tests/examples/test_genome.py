from __future__ import annotations

import gzip
import random
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.genome.fasta import Record, records, unpack
from examples.genome.kmer_index import Hit, KmerIndex, assemble, build_block
from examples.genome.kmers import Genome, code_of, kmers_of
from examples.genome.statistics import Statistics, n50, statistics_of
from examples.genome.verification import verify
from longshore import JobError

DATA = Path(__file__).parents[2] / "examples" / "data"


def read(path: Path) -> list[Record]:
    return list(records(path))


def fasta(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(text)
    return path


def nothing(*_: object) -> None:
    """Report no progress."""


# ----------------------------------------------------------------------------------------------- FASTA


def test_sequences_are_joined_over_lines_and_put_in_upper_case(tmp_path: Path) -> None:
    path = fasta(tmp_path, ">one first of all\r\nACGT\r\nnnac\r\n\r\n>two\n>three\nGG TT\n")
    assert read(path) == [Record("one", b"ACGTNNAC"), Record("two", b""), Record("three", b"GGTT")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no line begins with '>'"),
        ("ACGT\n", "no line begins with '>'"),
        (">protein\nMKLV\n", "sequence 'protein' holds 'L'"),
        ("\x00\x01>a\nACGT\n", "no line begins with '>'"),
    ],
)
def test_another_kind_of_file_is_refused_for_good(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(JobError, match=reason) as raised:
        read(fasta(tmp_path, text))
    assert (raised.value.name, raised.value.category, raised.value.retry) == ("bad-fasta", "DATA", False)


def test_packed_and_plain_files_unpack_to_the_same(tmp_path: Path) -> None:
    plain = fasta(tmp_path, ">a\n" + "ACGT\n" * 100_000)
    packed = tmp_path / "genome.fa.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    seen: list[tuple[float, float]] = []
    for source in (plain, packed):
        unpack(source, tmp_path / "unpacked", lambda done, total: seen.append((done, total)))
        assert (tmp_path / "unpacked").read_bytes() == plain.read_bytes()
        assert seen[-1] == (source.stat().st_size,) * 2


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b">a\nACGT\n" * 1000)[:-20])
    with pytest.raises(JobError, match="the gzip file is damaged"):
        unpack(broken, tmp_path / "unpacked", nothing)


# ------------------------------------------------------------------------------------------ statistics


def test_statistics_agree_with_counting_by_hand(tmp_path: Path) -> None:
    unpack(DATA / "lambda_virus.fa.gz", tmp_path / "lambda.fa", nothing)
    text = gzip.decompress((DATA / "lambda_virus.fa.gz").read_bytes()).decode()
    bases = "".join(line for line in text.splitlines() if not line.startswith(">"))
    stats = statistics_of(read(tmp_path / "lambda.fa"), nothing)
    assert stats == Statistics(
        sequences=1,
        length=48_502,
        shortest=48_502,
        longest=48_502,
        n50=48_502,
        gc=round((bases.count("G") + bases.count("C")) / len(bases), 6),
        bases={letter: bases.count(letter) for letter in "ACGTN"} | {"other": 0},
    )
    assert sum(stats.bases.values()) == stats.length == len(bases)


def test_uncertain_bases_count_for_the_length_but_not_for_gc() -> None:
    stats = statistics_of([Record("a", b"GCATNNRY"), Record("b", b"GG")], nothing)
    assert (stats.length, stats.gc) == (10, round(4 / 6, 6))
    assert stats.bases == {"A": 1, "C": 1, "G": 3, "T": 1, "N": 2, "other": 2}


def test_a_genome_without_known_bases_has_statistics_too() -> None:
    assert statistics_of([Record("a", b"NN"), Record("b", b"")], nothing).gc == 0.0


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([10], 10), ([2, 2, 2, 3, 3, 4, 8, 8], 8), ([1, 1, 1, 1], 1), ([5, 4, 1], 5), ([0], 0)],
)
def test_n50(lengths: list[int], expected: int) -> None:
    assert n50(lengths) == expected


# ---------------------------------------------------------------------------------------------- k-mers

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def reverse_complement(word: str) -> str:
    return word.translate(COMPLEMENT)[::-1]


def naive_hits(sequences: list[Record], k: int) -> dict[str, list[Hit]]:
    """Find every word at every place by plain string handling."""
    hits: dict[str, list[Hit]] = defaultdict(list)
    for name, bases in sequences:
        text = bases.decode()
        for position in range(len(text) - k + 1):
            word = text[position : position + k]
            if set(word) <= set("ACGT"):
                hits[word].append(Hit(name, position, "+"))
                if reverse_complement(word) != word:
                    hits[reverse_complement(word)].append(Hit(name, position, "-"))
    return hits


def index_of(sequences: list[Record], k: int, blocks: int, directory: Path) -> KmerIndex:
    genome = Genome.of(sequences)
    paths = [directory / f"{block}.npz" for block in range(blocks)]
    for block, path in enumerate(paths):
        build_block(genome, k, block, blocks, path)
    assemble(genome, k, paths, directory / "index.tar")
    return KmerIndex.open(directory / "index.tar")


def random_sequences(seed: int) -> list[Record]:
    source = random.Random(seed)
    alphabet, weights = "ACGTN", (10, 10, 10, 10, 1)
    return [
        Record(f"s{number}", "".join(source.choices(alphabet, weights, k=length)).encode())
        for number, length in enumerate((0, 3, 700, 1, 350))
    ]


@pytest.mark.parametrize("k", [1, 4, 5, 15, 16, 17, 31])
@pytest.mark.parametrize("blocks", [1, 7, 64])
def test_the_index_finds_exactly_what_a_naive_search_finds(k: int, blocks: int, tmp_path: Path) -> None:
    sequences = random_sequences(seed=k)
    index = index_of(sequences, k, blocks, tmp_path)
    expected = naive_hits(sequences, k)
    assert index.is_sorted()
    assert len(expected) > 0
    for word, hits in expected.items():
        assert sorted(index.query(word)) == sorted(hits), word
    source = random.Random(0)
    for _ in range(200):
        word = "".join(source.choices("ACGT", k=k))
        assert sorted(index.query(word)) == sorted(expected.get(word, [])), word


@given(st.text("ACGT", min_size=1, max_size=31))
def test_a_word_and_its_reverse_complement_have_one_code(word: str) -> None:
    code, turned = code_of(word)
    other, other_turned = code_of(reverse_complement(word))
    assert code == other
    assert turned != other_turned or word == reverse_complement(word)
    found = kmers_of(Genome.of([Record("a", word.encode())]).codes, len(word), 0, len(word) + 1)
    assert found.codes.tolist() == [code]
    assert found.reverse.tolist() == [turned]


def test_rna_and_small_letters_are_understood(tmp_path: Path) -> None:
    index = index_of([Record("rna", b"GGGACUGGG")], 4, 1, tmp_path)
    assert index.query("gact") == [Hit("rna", 2, "+")]


@pytest.mark.parametrize("word", ["ACG", "ACGTA", "ACGN"])
def test_a_wrong_word_is_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"words of 4|no word of the bases"):
        index_of([Record("a", b"ACGTACGT")], 4, 1, tmp_path).query(word)


def test_a_genome_shorter_than_a_word_gives_an_empty_index(tmp_path: Path) -> None:
    assert index_of([Record("a", b"ACG")], 15, 3, tmp_path).query("A" * 15) == []


def test_verification_notices_what_is_missing_or_out_of_order(tmp_path: Path) -> None:
    sequences = random_sequences(seed=5)
    genome, index = Genome.of(sequences), index_of(sequences, 9, 4, tmp_path)
    assert verify(index, genome) > 1000
    for broken in (
        KmerIndex(index.k, index.names, index.starts, index.codes[:-1], index.places[:-1]),
        KmerIndex(index.k, index.names, index.starts, index.codes[::-1], index.places),
        KmerIndex(index.k, index.names, index.starts, index.codes, index.places[::-1]),
    ):
        with pytest.raises(JobError, match="the index fails its verification"):
            verify(broken, genome)
