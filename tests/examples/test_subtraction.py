from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.genome.kmer_index import Hit, KmerIndex
from examples.subtraction import SubtractionArgs, create_subtraction
from longshore.testing import Outcome, run_job

ROOT = Path(__file__).parents[2]
LAMBDA = ROOT / "examples" / "data" / "lambda_virus.fa.gz"
ECOLI = ROOT / "examples" / "data" / "NC_008253.fna.gz"
KMER = {"indexer": "kmer", "blocks": 8}


def run(genome: Path = LAMBDA, args: Any = KMER, **more: Any) -> Outcome:
    return run_job(create_subtraction, args, {"genome": genome}, **more)


def built(outcome: Outcome) -> list[int]:
    """Give the blocks that were built in an attempt: each writes one line to the log."""
    lines = (re.fullmatch(r"block (\d+) of \d+: \d+ k-mers", line) for line in outcome.log)
    return [int(line[1]) for line in lines if line]


def test_a_genome_becomes_statistics_and_an_index() -> None:
    outcome = run()
    assert outcome.state == "completed", outcome.log
    assert outcome.stages == ["mk_subtraction_dir", "set_stats", "bowtie_build"]
    assert outcome.result["length"] == 48_502
    assert outcome.result["index"]["kmers"] == 48_502 - 14
    assert outcome.result["index"]["verified"] > 1900
    assert json.loads(outcome.outputs["stats.json"].path.read_text())["gc"] == outcome.result["gc"]
    index = KmerIndex.open(outcome.outputs["kmer_index.tar"].path)
    assert Hit("gi|9626243|ref|NC_001416.1|", 0, "+") in index.query("GGGCGGCGACCTCGC")
    assert outcome.progress[-1].progress == 1.0


def test_progress_never_goes_back() -> None:
    fractions = [report.progress for report in run().progress]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) >= 8


def test_parked_in_the_middle_it_goes_on_without_redoing_a_block() -> None:
    whole = run()
    assert built(whole) == [1, 2, 3, 4, 5, 6, 7, 8]
    first = run(pause_at_checkpoint=5)
    assert (first.state, built(first)) == ("paused", [1, 2, 3])
    second = run(resume_from=first)
    assert (second.state, second.stages) == ("completed", ["bowtie_build"])
    assert built(second) == [4, 5, 6, 7, 8]
    assert second.result == whole.result
    assert second.outputs["kmer_index.tar"].path.read_bytes() == whole.outputs["kmer_index.tar"].path.read_bytes()


def test_it_can_be_parked_at_every_checkpoint_that_saves() -> None:
    attempts = [run(pause_at_checkpoint=1)]
    while attempts[-1].saved_state.get("blocks") != 8:
        attempts.append(run(pause_at_checkpoint=1, resume_from=attempts[-1]))
    assert {attempt.state for attempt in attempts} == {"paused"}
    last = run(resume_from=attempts[-1])
    assert (last.state, last.attempt) == ("completed", 11)
    assert [built(attempt) for attempt in attempts] == [[], [], *([block] for block in range(1, 9))]
    assert built(last) == []


def test_what_was_chosen_at_the_start_holds_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    first = run(args={"blocks": 2}, pause_at_checkpoint=1)
    assert first.saved_state == {"indexer": "kmer"}
    (tmp_path / "bowtie2-build").touch(mode=0o755)
    assert run(args={"blocks": 2}, resume_from=first).result["index"]["indexer"] == "kmer"


def test_cancelled_at_any_checkpoint_it_leaves_no_output() -> None:
    assert run(cancel_at="bowtie_build").state == "cancelled"
    assert run(cancel_at=4).outputs == {}


def test_a_file_that_is_no_genome_fails_for_good(tmp_path: Path) -> None:
    (tmp_path / "protein.fa").write_text(">p\nMKLV\n")
    error = run(tmp_path / "protein.fa").error
    assert error is not None
    assert (error.name, error.category, error.retry) == ("bad-fasta", "DATA", False)


def test_a_whole_bacterium() -> None:
    """The genome of the demo, in few blocks: the numbers known from its record at NCBI."""
    outcome = run(ECOLI, SubtractionArgs(indexer="kmer", blocks=4))
    assert outcome.state == "completed", outcome.log
    assert outcome.result["length"] == 4_938_920
    text = gzip.decompress(ECOLI.read_bytes())
    bases = b"".join(line for line in text.splitlines() if not line.startswith(b">"))
    assert outcome.result["bases"] == {
        **{letter: bases.count(letter.encode()) for letter in "ACGTN"},
        "other": 0,
    }
    assert outcome.result["gc"] == round((bases.count(b"G") + bases.count(b"C")) / len(bases), 6)
    assert outcome.result["index"]["kmers"] == 4_938_920 - 14
    index = KmerIndex.open(outcome.outputs["kmer_index.tar"].path)
    word = bases[1_000_000:1_000_015].decode()
    assert Hit("gi|110640213|ref|NC_008253.1|", 1_000_000, "+") in index.query(word)


def test_an_index_can_be_asked_from_the_shell(tmp_path: Path) -> None:
    index = tmp_path / "kmer_index.tar"
    index.write_bytes(run().outputs["kmer_index.tar"].path.read_bytes())
    said = subprocess.run(
        [sys.executable, "-m", "examples.query_index", index, "GGGCGGCGACCTCGC"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GGGCGGCGACCTCGC\tgi|9626243|ref|NC_001416.1|\t0\t+" in said.stdout.splitlines()
