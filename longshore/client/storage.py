"""Files: uploads that are streamed, downloads that go on where they stopped and are checked."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from longshore.client.bars import bar
from longshore.client.problems import ClientError, Damaged, InvalidInput
from longshore.client.transport import Call, Transport
from longshore.models import StoredFile

PIECE = 1024 * 1024
"""bytes read at once"""
_PARTIAL = 206

Input = str | StoredFile | Path
"""A file that is in the store already (its id, or the file itself), or one to upload."""
Inputs = Mapping[str, Input | list[Input]]


class Files:
    """The file store of the broker."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, job: str | None = None, limit: int = 200) -> Iterator[StoredFile]:
        """Go through your uploads, or through the files of a job."""
        path = f"jobs/{job}/files" if job else "files"
        return map(StoredFile.read, self._transport.pages(path, {"limit": limit}))

    def get(self, file_id: str) -> StoredFile:
        """Say what is stored under an id. Raises NotFound."""
        return StoredFile.read(self._transport.get(f"files/{file_id}"))

    def remove(self, file_id: str) -> None:
        """Delete an upload."""
        self._transport.delete(f"files/{file_id}")

    def upload(
        self,
        path: Path | str,
        *,
        name: str | None = None,
        media_type: str | None = None,
        progress: bool | None = None,
    ) -> StoredFile:
        """Upload a file without reading it into memory. Raises Damaged when something else arrived."""
        path = Path(path)
        size = path.stat().st_size
        with bar(f"uploading {path.name}", wanted=progress, total=size, in_bytes=True) as shown:
            source = _Source(path, lambda done: shown.show(done, size))
            call = Call(
                "POST",
                "files",
                {"name": name or path.name},
                body=source.pieces,
                headers={"Content-Type": media_type or _media_type(path), "Content-Length": str(size)},
                read_timeout=300.0,
            )
            stored = StoredFile.read(self._transport.send(call).json())
        if stored.sha256 and stored.sha256 != source.sha256:
            raise Damaged(f"{path} changed while it was uploaded, or was damaged on the way")
        return stored

    def download(self, stored: StoredFile, target: Path | str, *, progress: bool | None = None) -> Path:
        """Download a file to `target`, going on where an earlier try stopped. Raises Damaged."""
        target = Path(target)
        if target.is_file() and _file_digest(target) == stored.sha256:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{stored.id[-12:]}.part")
        with bar(f"downloading {target.name}", wanted=progress, total=stored.size, in_bytes=True) as shown:
            self._fetch(stored, part, lambda done: shown.show(done, stored.size))
        _verify(part, stored)
        part.replace(target)
        return target

    def _fetch(self, stored: StoredFile, part: Path, report: Callable[[int], None]) -> None:
        """Get what is missing; each broken connection that brought something earns another try."""
        before = -1
        while (have := _size(part)) < stored.size or not part.exists():
            if have <= before:
                raise Damaged(f"{stored.name} ends after {have} of {stored.size} bytes")
            before = have
            try:
                self._append(stored, part, have, report)
            except ClientError:
                if _size(part) <= have:
                    raise

    def _append(self, stored: StoredFile, part: Path, have: int, report: Callable[[int], None]) -> None:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with self._transport.stream(Call("GET", f"files/{stored.id}/content", headers=headers)) as response:
            goes_on = response.status_code == _PARTIAL
            done = have if goes_on else 0
            with part.open("ab" if goes_on else "wb") as file:
                for piece in response.iter_bytes(PIECE):
                    file.write(piece)
                    done += len(piece)
                    report(done)


def upload_inputs(files: Files, inputs: Inputs, *, progress: bool | None) -> dict[str, Any]:
    """Upload what is a path, and give the ids as the API wants them."""

    def reference(given: Input) -> str:
        if isinstance(given, Path):
            return files.upload(given, progress=progress).id
        return given.id if isinstance(given, StoredFile) else given

    _check(inputs)
    return {
        name: [reference(each) for each in given] if isinstance(given, list) else reference(given)
        for name, given in inputs.items()
    }


def _check(inputs: Inputs) -> None:
    """Find what is wrong before gigabytes of what is right are sent."""
    for name, given in inputs.items():
        for each in given if isinstance(given, list) else [given]:
            if isinstance(each, Path) and not each.is_file():
                raise InvalidInput(f"input {name}: {each} is no file")
            if isinstance(each, str) and not _is_id(each):
                raise InvalidInput(f"input {name}: {each!r} is no id of a file; to upload one, give a pathlib.Path")


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def target_below(directory: Path, name: str) -> Path:
    """Where an output of that name goes; a name must not lead out of the directory."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise ClientError(f"the output name {name!r} would lead out of {directory}")
    return directory.joinpath(*parts)


class _Source:
    """A file on its way to the broker; each attempt reads it anew."""

    def __init__(self, path: Path, report: Callable[[int], None]) -> None:
        self._path = path
        self._report = report
        self.sha256 = ""

    def pieces(self) -> Iterator[bytes]:
        """Read the file and note the digest of what was sent."""
        digest, done = hashlib.sha256(), 0
        with self._path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                yield piece
                done += len(piece)
                self._report(done)
        self.sha256 = digest.hexdigest()


def _verify(part: Path, stored: StoredFile) -> None:
    if stored.sha256 and _file_digest(part) != stored.sha256:
        part.unlink()
        raise Damaged(f"{stored.name} was damaged on the way; the partial download is removed, try again")


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _media_type(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"
