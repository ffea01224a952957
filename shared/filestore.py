"""The bytes of files: written whole or not at all, below one directory, under names of our own.

`incoming/` holds what is still being written; `uploads/` what clients sent; `jobs/<job>/<attempt>/` what an execution
left. Nothing that others named ever becomes part of a path.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import mimetypes
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol
from uuid import UUID

from uuid_utils.compat import uuid7

from shared.errors import FieldProblem, InvalidInput, NotFound, TooLarge, Unavailable
from shared.json_values import is_fit_text

CHUNK = 1024 * 1024
LONGEST_NAME = 255
_LONGEST_PART = 255
_LONGEST_MEDIA_TYPE = 200
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(\s*;[\x20-\x7e]*)?")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
UNKNOWN = "application/octet-stream"


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@dataclass(frozen=True)
class Stored:
    """A file in the store, with all that its row needs."""

    id: UUID
    name: str
    path: str
    """below the root of the store"""
    size: int
    sha256: bytes
    media_type: str


class FileStore:
    """One directory that all nodes see. Knows bytes only; which files exist for whom is told by their rows."""

    def __init__(self, root: Path, max_upload: int = 10 * 1024**3) -> None:
        """`max_upload`: bytes that one upload may have."""
        self.root = Path(root)
        self.max_upload = max_upload

    def receive(
        self,
        stream: Readable,
        name: str,
        media_type: str | None = None,
        expected_sha256: str | None = None,
        expected_size: int | None = None,
    ) -> Stored:
        """Store what a client sends; raises InvalidInput or TooLarge, and keeps nothing then."""
        name, media_type = safe_name(name), checked_media_type(media_type, name)
        wanted = _digest(expected_sha256)
        if expected_size is not None and expected_size > self.max_upload:
            raise TooLarge(f"The file has {expected_size} bytes; {self.max_upload} are allowed.")
        with self._writing() as (file_id, temporary, target):
            size, digest = _copy(stream, target, self.max_upload)
            if expected_size is not None and size != expected_size:
                raise InvalidInput(f"{size} bytes came of {expected_size}; the upload was cut off.")
            if wanted is not None and not hmac.compare_digest(wanted, digest):
                problem = FieldProblem("X-Content-SHA256", "is not that of the bytes that came", digest.hex())
                raise InvalidInput(problems=[problem])
            path = f"uploads/{file_id.hex[-2:]}/{file_id}"
            self._settle(temporary, target, path)
        return Stored(file_id, name, path, size, digest, media_type)

    def adopt(self, source: Path, job_id: UUID, attempt: int, name: str, media_type: str | None = None) -> Stored:
        """Store a copy of a file that an execution wrote.

        The bytes are copied, never linked: job code may go on writing to its file. Links are not followed.
        """
        name = safe_name(name)
        media_type = checked_media_type(media_type, name)
        with _regular(source) as reader, self._writing() as (file_id, temporary, target):
            size, digest = _copy(reader, target, None)
            path = f"{_of_job(job_id)}/{attempt}/{file_id}"
            self._settle(temporary, target, path)
        return Stored(file_id, name, path, size, digest, media_type)

    def resolve(self, path: str) -> Path:
        """Where a stored file lies; raises NotFound if it is not there or the path leads out of the store."""
        relative = PurePosixPath(path)
        full = self.root / relative
        inside = not relative.is_absolute() and ".." not in relative.parts and relative.parts
        if not inside or not full.resolve().is_relative_to(self.root.resolve()) or not full.is_file():
            raise NotFound(f"The bytes of the file {path} are not in the file store.")
        return full

    def open(self, path: str) -> BinaryIO:
        """A stored file, for reading."""
        return self.resolve(path).open("rb")

    def remove(self, path: str) -> None:
        """Remove the bytes of a file; doing it again is harmless."""
        try:
            full = self.resolve(path)
        except NotFound:
            return
        full.unlink(missing_ok=True)
        with self._directories_stand():
            for parent in full.parents:
                if parent == self.root or not _removed_if_empty(parent):
                    return

    def remove_job(self, job_id: UUID) -> None:
        """Remove all that executions of a job left."""
        shutil.rmtree(self.root / _of_job(job_id), ignore_errors=True)

    def stale(self, seconds: float) -> Iterator[str]:
        """Paths of all files that are older than `seconds`, uploads that were cut off among them."""
        before = time.time() - seconds
        for directory, _, names in os.walk(self.root):
            for name in names:
                full = Path(directory, name)
                try:
                    old = full.lstat().st_mtime < before
                except FileNotFoundError:
                    continue
                if old:
                    yield full.relative_to(self.root).as_posix()

    @contextmanager
    def _writing(self) -> Iterator[tuple[UUID, Path, BinaryIO]]:
        """A fresh file in `incoming`, gone at the end unless it was settled."""
        file_id: UUID = uuid7()
        with _clear_errors():
            incoming = self._directory(self.root / "incoming")
            temporary = incoming / f"{file_id}.part"
            try:
                with temporary.open("xb", buffering=0) as target:
                    yield file_id, temporary, target
            finally:
                temporary.unlink(missing_ok=True)

    def _settle(self, temporary: Path, target: BinaryIO, path: str) -> None:
        """Make the bytes durable and give them their place; from then on nobody writes to them."""
        os.fchmod(target.fileno(), 0o444)
        os.fsync(target.fileno())
        final = self.root / path
        with self._directories_stand():
            self._directory(final.parent)
            temporary.rename(final)
        _sync(final.parent)

    @contextmanager
    def _directories_stand(self) -> Iterator[None]:
        """Nobody else, in whichever process, makes or removes directories meanwhile: one would vanish under a file."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _directory(self, directory: Path) -> Path:
        """The directory, made if it is missing; others on this machine may not look into the store."""
        if not self.root.exists():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def safe_name(name: str) -> str:
    """`name` if it may name a file to others: a relative path without dots that climb. Raises InvalidInput."""
    parts = name.split("/")
    fine = (
        0 < len(name) <= LONGEST_NAME
        and name.isprintable()
        and is_fit_text(name)
        and "\\" not in name
        and all(part not in {"", ".", ".."} and len(part.encode()) <= _LONGEST_PART for part in parts)
    )
    if not fine:
        expected = f"a relative path of at most {LONGEST_NAME} printable characters, without . and .."
        raise InvalidInput(problems=[FieldProblem("name", "is not a safe file name", expected)])
    return name


def checked_media_type(given: str | None, name: str) -> str:
    """The media type given, or the one that the name tells. Raises InvalidInput."""
    if not given:
        return mimetypes.guess_type(name, strict=False)[0] or UNKNOWN
    if len(given) > _LONGEST_MEDIA_TYPE or not _MEDIA_TYPE.fullmatch(given):
        raise InvalidInput(problems=[FieldProblem("Content-Type", "is not a media type", "such as text/plain")])
    return given


def _digest(text: str | None) -> bytes | None:
    if text is None:
        return None
    if not _DIGEST.fullmatch(text):
        raise InvalidInput(problems=[FieldProblem("X-Content-SHA256", "is not a SHA-256", "64 hexadecimal digits")])
    return bytes.fromhex(text)


def _of_job(job_id: UUID) -> str:
    # The last digits of a UUIDv7 are random, so that the directories fill evenly.
    return f"jobs/{job_id.hex[-2:]}/{job_id}"


def job_of(path: str) -> UUID | None:
    """The job whose execution left the file at `path`; None for all other files."""
    parts = path.split("/")
    try:
        return UUID(parts[2]) if parts[0] == "jobs" and len(parts) > 2 else None  # noqa: PLR2004 - see `_of_job`
    except ValueError:
        return None


def _copy(source: Readable, target: BinaryIO, most: int | None) -> tuple[int, bytes]:
    size, digest = 0, hashlib.sha256()
    while chunk := source.read(CHUNK):
        size += len(chunk)
        if most is not None and size > most:
            raise TooLarge(f"The file has more than {most} bytes.")
        digest.update(chunk)
        _write_all(target, chunk)
    return size, digest.digest()


def _write_all(target: BinaryIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[target.write(left) :]


@contextmanager
def _regular(source: Path) -> Iterator[BinaryIO]:
    """A regular file, opened for reading; a link, a pipe or a device would give what the job does not own."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(f"The file {source.name} cannot be read: {error.strerror}.") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidInput(f"{source.name} is not a regular file.")
        with open(descriptor, "rb", closefd=False) as reader:
            yield reader
    finally:
        os.close(descriptor)


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable("The file store is full; nothing was stored.") from error
        raise


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _removed_if_empty(directory: Path) -> bool:
    try:
        directory.rmdir()
    except OSError:
        return False
    return True
