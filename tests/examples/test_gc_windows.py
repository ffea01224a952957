from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.declaration import completed

COMMANDS = Path(__file__).parents[2] / "examples" / "commands"
DATA = Path(__file__).parents[2] / "examples" / "data"
DECLARATION = json.loads((COMMANDS / "gc_windows.json").read_text())


def run(genome: Path, window: int, directory: Path, awk: str = "awk") -> subprocess.CompletedProcess[str]:
    """Run the declared command as a worker does: arguments replaced, a scrubbed environment, its own directory."""
    values = {
        "${input.genome}": str(genome),
        "${args.window}": str(window),
        "${job_output_dir}": str(directory / "out"),
    }
    for name in ("out", "work", "bin"):
        (directory / name).mkdir(exist_ok=True)
    if awk != "awk":
        (directory / "bin" / "awk").symlink_to(str(shutil.which(awk)))
    return subprocess.run(
        [values.get(word, word) for word in DECLARATION["command"]["argv"]],
        cwd=directory / "work",
        env={"PATH": f"{COMMANDS}:{directory / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(directory / "work")},
        capture_output=True,
        text=True,
        check=False,
    )


def table(directory: Path) -> list[list[str]]:
    lines = (directory / "out" / "gc_windows.tsv").read_text().splitlines()
    assert lines[0] == "sequence\tfirst\tlast\tgc"
    return [line.split("\t") for line in lines[1:]]


def expected(fasta: str, window: int) -> list[list[str]]:
    """Compute the table in plain Python."""
    rows = []
    for block in fasta.split(">")[1:]:
        header, _, body = block.partition("\n")
        bases = "".join(body.split()).upper()
        for begin in range(0, len(bases), window):
            part = bases[begin : begin + window]
            known = sum(part.count(base) for base in "ACGTU")
            gc = f"{(part.count('G') + part.count('C')) / known:.4f}" if known else "NA"
            rows.append([header.split()[0], str(begin + 1), str(begin + len(part)), gc])
    return rows


def test_the_declaration_is_one_that_the_broker_takes() -> None:
    declaration = completed(DECLARATION)
    assert declaration["stages"] == ["unpack", "measure", "windows"]
    assert completed(declaration) == declaration


def test_the_table_agrees_with_counting_by_hand(tmp_path: Path) -> None:
    source = DATA / "lambda_virus.fa.gz"
    done = run(source, 1000, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert table(tmp_path) == expected(gzip.decompress(source.read_bytes()).decode(), 1000)
    assert len(table(tmp_path)) == 49


@pytest.mark.parametrize("window", [1, 3, 7, 1000])
def test_several_sequences_odd_lines_and_unknown_bases(window: int, tmp_path: Path) -> None:
    text = ">a first\r\nACGTNN\r\nggcc\r\n>empty\n>b\n\nNNNNNNN\nA\n"
    (tmp_path / "genome.fa").write_text(text)
    assert run(tmp_path / "genome.fa", window, tmp_path).returncode == 0
    assert table(tmp_path) == expected(text, window)


def test_it_says_where_it_is(tmp_path: Path) -> None:
    lines = run(DATA / "lambda_virus.fa.gz", 100, tmp_path).stdout.splitlines()
    assert [line for line in lines if line.startswith("::stage")] == [
        "::stage unpack",
        "::stage measure",
        "::stage windows",
    ]
    progress = [line.split()[1:] for line in lines if line.startswith("::progress")]
    assert progress[-1] == ["48502", "48502"]
    assert 20 < len(progress) < 60
    assert lines[-1] == "::message 486 windows in 1 sequences"


@pytest.mark.parametrize("content", [b"ACGT\n", b"", gzip.compress(b">a\n" + os.urandom(1000))[:-40]])
def test_another_kind_of_file_ends_with_the_declared_exit_code(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_bytes(content)
    done = run(tmp_path / "genome.fa", 100, tmp_path)
    assert done.returncode == 2
    assert done.stderr
    assert "2" in DECLARATION["command"]["exit_codes"]


@pytest.mark.parametrize("awk", [name for name in ("mawk", "gawk", "original-awk") if shutil.which(name)])
def test_any_awk_will_do(awk: str, tmp_path: Path) -> None:
    text = ">a\nACGTNNGGCC\n>b\nGATTACA\n"
    (tmp_path / "genome.fa").write_text(text)
    assert run(tmp_path / "genome.fa", 4, tmp_path, awk).stderr == ""
    assert table(tmp_path) == expected(text, 4)
