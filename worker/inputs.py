"""Brings the files of a job into its work directory: its inputs, and what its last checkpoint saved."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from longshore.errors import JobError
from shared.models import StoredFile
from worker.desk import Desk
from worker.insist import insist

INPUTS = ".inputs"
"""Folder of the work directory that the inputs lie in, each in a folder of its input's name."""


def fetch(desk: Desk) -> dict[str, Path | list[Path]]:
    """Puts every input file into place, read-only, and gives the paths by the inputs' names."""
    given = desk.claimed.inputs
    stored = _stored(desk, [file_id for value in given.values() for file_id in _ids(value)])
    declared: Mapping[str, Any] = desk.claimed.declaration.get("inputs") or {}
    return {
        name: _placed(desk, name, value, stored, multiple=bool(declared.get(name, {}).get("multiple")))
        for name, value in given.items()
        if value is not None
    }


def restore(desk: Desk, files: Sequence[Mapping[str, Any]]) -> dict[str, Path]:
    """Puts the files of the last checkpoint back to where they were; they may be changed there."""
    found = {}
    for each in files:
        target = desk.workdir / each["name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(desk.files.resolve(each["path"]), target)
        found[each["name"]] = target
    return found


def _ids(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)] if value is not None else []


def _stored(desk: Desk, ids: Sequence[str]) -> dict[str, tuple[str, Path]]:
    """Name and path of each file by its id."""
    if not ids:
        return {}
    query = select(StoredFile.id, StoredFile.name, StoredFile.path).where(StoredFile.id.in_(list(map(UUID, ids))))

    def read() -> dict[str, tuple[str, Path]]:
        with desk.ledger.store.reading() as connection:
            rows = connection.execute(query).all()
        return {str(row.id): (row.name, desk.files.resolve(row.path)) for row in rows}

    return insist(read)


def _placed(
    desk: Desk, name: str, value: Any, stored: Mapping[str, tuple[str, Path]], *, multiple: bool
) -> Path | list[Path]:
    paths = []
    for number, file_id in enumerate(_ids(value)):
        if file_id not in stored:
            raise JobError("input-missing", f"the file {file_id} of input {name} is no longer there", "DATA")
        # Several files of an input may share a name: each then lies in a folder of its own.
        folder = desk.workdir / INPUTS / name / (str(number) if multiple else "")
        paths.append(_copied(stored[file_id][1], folder / stored[file_id][0]))
    return paths if multiple else paths[0]


def _copied(source: Path, target: Path) -> Path:
    """A copy of a stored file, read-only. A hard link would let a job, or root, write into the store's own bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o444)
    return target
