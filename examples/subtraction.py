"""Make a subtraction: unpack a host's genome, compute its statistics and index it, to tell host from virus.

Parked in the middle, the job goes on where its last checkpoint is: the unpacked genome, the statistics and
every finished block of the index survive; the rest of the work directory does not.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from examples.genome.fasta import records, unpack
from examples.genome.kmer_index import KmerIndex, assemble, build_block
from examples.genome.kmers import LONGEST, Genome
from examples.genome.statistics import statistics_of
from examples.genome.verification import verify
from longshore import Input, Job, job_type

_GENOME = "subtraction/genome.fa"


@dataclass(frozen=True)
class SubtractionArgs:
    """What the submitter may choose."""

    indexer: Literal["auto", "bowtie2", "kmer"] = field(
        default="auto",
        metadata={"description": "auto takes bowtie2 where it is installed, else the k-mer index"},
    )
    k: int = field(
        default=15,
        metadata={"minimum": 4, "maximum": LONGEST, "description": "Bases in a word of the k-mer index"},
    )
    blocks: int = field(
        default=80,
        metadata={"minimum": 1, "maximum": 4096, "description": "Blocks that the k-mer index is built in"},
    )


@job_type(
    "create_subtraction",
    title="Create subtraction",
    args=SubtractionArgs,
    inputs={
        "genome": Input(
            media_types=["text/x-fasta", "application/gzip", "text/plain", "application/octet-stream"],
            description="Genome in FASTA format, plain or gzipped",
        )
    },
    stages=["mk_subtraction_dir", "set_stats", "bowtie_build"],
    pause="both",
    timeout=6 * 3600,
)
def create_subtraction(job: Job[SubtractionArgs]) -> dict[str, Any]:
    """Unpack a genome, compute its statistics and build an index of it."""
    saved: dict[str, Any] = job.saved_state or {}
    if not saved:
        saved = _make_directory(job)
    if "stats" not in saved:
        saved = _set_stats(job, saved)
    with job.stage("bowtie_build"):
        index = _BUILDERS[saved["indexer"]](job, saved)
    stats = job.workdir / "stats.json"
    stats.write_text(json.dumps(saved["stats"], indent=2) + "\n")
    job.save_output("stats.json", stats)
    return {**saved["stats"], "index": index}


def _make_directory(job: Job[SubtractionArgs]) -> dict[str, Any]:
    with job.stage("mk_subtraction_dir"):
        genome = job.workdir / _GENOME
        genome.parent.mkdir()
        unpack(job.input("genome"), genome, job.progress)
        saved = {"indexer": _indexer(job.args.indexer)}
        job.log.info("unpacked %d bytes; the indexer is %s", genome.stat().st_size, saved["indexer"])
    job.checkpoint(saved, files=[genome])
    return saved


def _indexer(wanted: str) -> str:
    """Decide once: a job that was parked may go on where other programs are installed."""
    if wanted == "auto":
        return "bowtie2" if shutil.which("bowtie2-build") else "kmer"
    return wanted


def _set_stats(job: Job[SubtractionArgs], saved: dict[str, Any]) -> dict[str, Any]:
    with job.stage("set_stats"):
        genome = job.workdir / _GENOME
        size = genome.stat().st_size
        stats = statistics_of(records(genome), lambda bases: job.progress(bases, size))
        job.log.info("%d sequences, %d bases, GC %.4f", stats.sequences, stats.length, stats.gc)
    saved = {**saved, "stats": asdict(stats)}
    job.checkpoint(saved)
    return saved


# ------------------------------------------------------------------------------------ the k-mer index


def _build_kmer_index(job: Job[SubtractionArgs], saved: dict[str, Any]) -> dict[str, Any]:
    args = job.args
    genome = Genome.of(records(job.workdir / _GENOME))
    for block in range(saved.get("blocks", 0), args.blocks):
        job.progress(block, args.blocks, f"block {block + 1} of {args.blocks}")
        kmers = build_block(genome, args.k, block, args.blocks, _block(job, block))
        job.log.info("block %d of %d: %d k-mers", block + 1, args.blocks, kmers)
        job.checkpoint({**saved, "blocks": block + 1}, files=[_block(job, block)])
    job.progress(args.blocks, args.blocks, "putting the blocks together")
    return _finish_kmer_index(job, genome)


def _finish_kmer_index(job: Job[SubtractionArgs], genome: Genome) -> dict[str, Any]:
    target = job.workdir / "kmer_index.tar"
    kmers = assemble(genome, job.args.k, [_block(job, n) for n in range(job.args.blocks)], target)
    job.checkpoint()
    job.message("verifying the index")
    verified = verify(KmerIndex.open(target), genome)
    job.log.info("%d k-mers; %d looked up and found", kmers, verified)
    job.save_output(target.name, target)
    return {"indexer": "kmer", "file": target.name, "k": job.args.k, "kmers": kmers, "verified": verified}


def _block(job: Job[SubtractionArgs], block: int) -> Path:
    return job.workdir / "subtraction" / f"block-{block:04}.npz"


# ---------------------------------------------------------------------------------------------- bowtie2


def _build_bowtie2_index(job: Job[SubtractionArgs], saved: dict[str, Any]) -> dict[str, Any]:
    """Have bowtie2-build do it; asked to park, it is stopped, and its work begins anew after the pause."""
    del saved
    base = job.workdir / "subtraction" / "genome"

    def said(line: str) -> None:
        job.message(line.strip()[:200])
        job.checkpoint()

    job.run(["bowtie2-build", "--threads", "1", "--seed", "1", job.workdir / _GENOME, base], on_line=said)
    parts = sorted(base.parent.glob("genome*.bt2*"))
    job.run(["bowtie2-inspect", "--summary", base])
    target = job.workdir / "bowtie2_index.tar"
    with tarfile.open(target, "w") as tar:
        for part in parts:
            tar.add(part, part.name)
    job.save_output(target.name, target)
    return {"indexer": "bowtie2", "file": target.name, "parts": [part.name for part in parts]}


_BUILDERS: dict[str, Callable[[Job[SubtractionArgs], dict[str, Any]], dict[str, Any]]] = {
    "kmer": _build_kmer_index,
    "bowtie2": _build_bowtie2_index,
}
