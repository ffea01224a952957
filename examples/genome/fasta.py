"""Read FASTA files: text, one `>name description` line before each sequence, plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from longshore import JobError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 256 * 1024
_LETTERS = b"ACGTUNRYSWKMBDHV-*"
"""The letters of nucleotide sequences: bases, codes for uncertain ones, gap and stop."""


class Record(NamedTuple):
    """One sequence, in upper case."""

    name: str
    bases: bytes


def unpack(source: Path, target: Path, progress: Callable[[float, float], None]) -> None:
    """Copy a FASTA file, gunzipped where it is packed; `progress` gets the bytes read and their total."""
    size = source.stat().st_size
    with source.open("rb") as raw, target.open("wb") as unpacked:
        stream = gzip.GzipFile(fileobj=raw) if _is_packed(raw) else raw
        try:
            while chunk := stream.read(_CHUNK):
                unpacked.write(chunk)
                progress(raw.tell(), size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise bad_fasta(f"the gzip file is damaged: {error}") from error


def records(path: Path) -> Iterator[Record]:
    """Give the sequences of a plain FASTA file one by one. Raises JobError `bad-fasta` (DATA)."""
    name, parts = None, list[bytes]()
    with path.open("rb") as lines:
        for line in lines:
            if line.startswith(b">"):
                if name is not None:
                    yield _record(name, parts)
                name, parts = _name(line), []
            elif line.strip():
                parts.append(line)
    if name is None:
        raise bad_fasta("no line begins with '>'")
    yield _record(name, parts)


def bad_fasta(reason: str) -> JobError:
    """Give the error for a file that is not what it should be: no retry will help."""
    return JobError("bad-fasta", f"this is no FASTA file of nucleotide sequences: {reason}", "DATA")


def _is_packed(raw: BinaryIO) -> bool:
    magic = raw.read(len(_GZIP_MAGIC))
    raw.seek(0)
    return magic == _GZIP_MAGIC


def _name(line: bytes) -> str:
    words = line[1:].decode("utf-8", "replace").split(maxsplit=1)
    return words[0] if words else ""


def _record(name: str, parts: list[bytes]) -> Record:
    bases = b"".join(parts).translate(None, b"\r\n\t ").upper()
    strange = bases.translate(None, _LETTERS)
    if strange:
        raise bad_fasta(f"sequence {name!r} holds {chr(strange[0])!r}")
    return Record(name, bases)
