"""The same job with the real bowtie2; run where it is installed: pytest -m bowtie2."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from examples.subtraction import create_subtraction
from longshore.testing import run_job

pytestmark = pytest.mark.bowtie2

LAMBDA = Path(__file__).parents[2] / "examples" / "data" / "lambda_virus.fa.gz"


def test_auto_takes_bowtie2_and_its_index_aligns_reads(tmp_path: Path) -> None:
    outcome = run_job(create_subtraction, {}, {"genome": LAMBDA})
    assert outcome.state == "completed", outcome.log
    assert outcome.result["index"]["indexer"] == "bowtie2"
    assert any("48502" in line for line in outcome.log), "bowtie2-inspect names the length"
    with tarfile.open(outcome.outputs["bowtie2_index.tar"].path) as tar:
        tar.extractall(tmp_path, filter="data")
    read = "GGGCGGCGACCTCGCGGGTTTTCGCTATTTATGAAAATTTTCCGGTTTAAGGCGTTTCCG"
    aligned = subprocess.run(
        ["bowtie2", "-x", tmp_path / "genome", "-c", read, "--no-head"],
        capture_output=True,
        text=True,
        check=True,
    )
    name, position = aligned.stdout.split("\t")[2:4]
    assert (name, position) == ("gi|9626243|ref|NC_001416.1|", "1")


def test_asked_to_park_it_stops_bowtie2_and_begins_it_anew() -> None:
    first = run_job(create_subtraction, {}, {"genome": LAMBDA}, pause_at_checkpoint=4)
    assert (first.state, first.saved_state["indexer"]) == ("paused", "bowtie2")
    second = run_job(create_subtraction, {}, {"genome": LAMBDA}, resume_from=first)
    assert (second.state, second.stages) == ("completed", ["bowtie_build"])
