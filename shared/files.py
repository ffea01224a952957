"""Resource: files that jobs read and write. What exists, and for whom, is told by rows; the bytes by the file store.

An upload is first stored and then recorded, a removal first recorded and then done: a crash in between leaves bytes
that nobody sees, never a row without its bytes; `sweep` removes what was left so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, String, and_, case, cast, delete, exists, func, insert, or_, select
from sqlalchemy.engine import Row
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement

from shared.audit import audit
from shared.errors import NotFound, NotPermitted, NotPossible
from shared.filestore import FileStore, Readable, Stored, job_of, safe_name
from shared.lifecycle import FINAL, State
from shared.models import Checkpoint, Job, Role, StoredFile, User
from shared.principal import Principal
from shared.query import Page, keyset_page
from shared.store import Store
from shared.visibility import visible

__all__ = [
    "FileStore", "Readable", "Stored", "get_file", "input_ids", "job_files", "list_files", "record_upload",
    "remove_file", "safe_name", "sweep",
]  # fmt: skip

SWEEP_SECONDS = 86_400.0
"""How old bytes without a row must be to be removed; the slowest upload is done by then."""


def record_upload(store: Store, principal: Principal, stored: Stored) -> Row[Any]:
    """Make a stored file an input that its owner can name."""
    if principal.execution is not None:
        raise NotPermitted("An execution's outputs are stored by its worker.")
    row = {
        "id": stored.id, "owner_id": principal.user_id, "role": Role.INPUT.value, "name": stored.name,
        "path": stored.path, "size": stored.size, "sha256": stored.sha256, "media_type": stored.media_type,
    }  # fmt: skip
    with store.transaction() as tx:
        tx.execute(insert(StoredFile).values(row))
        return tx.execute(_files().where(StoredFile.id == stored.id)).one()


def get_file(store: Store, principal: Principal, file_id: UUID) -> Row[Any]:
    """The columns of a file and its `owner`; NotFound for one that is not there for the principal."""
    with store.reading() as connection:
        return _file(connection, principal, file_id)


def list_files(
    store: Store, principal: Principal, *, role: Role | str | None = None, limit: int = 50, cursor: str | None = None
) -> Page:
    """The principal's files, newest first; inputs or outputs only, if asked."""
    with store.reading() as connection:
        query = _files().where(_visible(connection, principal))
        if role is not None:
            query = query.where(StoredFile.role == Role(role).value)
        return keyset_page(connection, query, [StoredFile.number], limit, cursor, newest_first=True, name="files")


def job_files(
    store: Store,
    principal: Principal,
    job_id: UUID,
    *,
    role: Role | str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """The inputs of a job and its outputs, oldest first; of outputs of one name the last.

    `role` is what the file is to this job: an output of another job may be its input.
    """
    with store.reading() as connection:
        job = connection.execute(select(Job.inputs).where(Job.id == job_id, visible(principal))).one_or_none()
        if job is None:
            raise NotFound(f"There is no job {job_id}.")
        parts = {Role.OUTPUT: _latest_output(job_id), Role.INPUT: StoredFile.id.in_(input_ids(job.inputs))}
        wanted = or_(*parts.values()) if role is None else parts[Role(role)]
        query = _files(_role_to(job_id)).where(wanted)
        return keyset_page(connection, query, [StoredFile.number], limit, cursor, name="job-files")


def remove_file(store: Store, principal: Principal, files: FileStore, file_id: UUID) -> None:
    """Remove a file of one's own; raises NotPossible while an unfinished job needs it."""
    if principal.execution is not None:
        raise NotPermitted("An execution's token removes no files.")
    with store.transaction() as tx:
        row = _file(tx.connection, principal, file_id)
        if job := tx.execute(_users_of(row).limit(1)).scalar_one_or_none():
            raise NotPossible(f"The job {job} still needs this file.")
        tx.execute(delete(StoredFile).where(StoredFile.id == file_id))
        audit(tx, principal.name, "file.remove", f"file/{file_id}", None, {"name": row.name, "size": row.size})
    files.remove(row.path)


def sweep(store: Store, files: FileStore, seconds: float = SWEEP_SECONDS) -> int:
    """Remove stored bytes older than `seconds` that no row and no checkpoint names; returns how many files."""
    removed = 0
    for batch in _batches(files.stale(seconds), 500):
        for path in set(batch) - _known(store, batch):
            files.remove(path)
            removed += 1
    return removed


def _batches(paths: Iterable[str], size: int) -> Iterable[list[str]]:
    batch: list[str] = []
    for path in paths:
        batch.append(path)
        if len(batch) == size:
            yield batch
            batch = []
    yield batch


def _known(store: Store, paths: list[str]) -> set[str]:
    jobs = {job_id for job_id in map(job_of, paths) if job_id is not None}
    with store.reading() as connection:
        rows = set(connection.scalars(select(StoredFile.path).where(StoredFile.path.in_(paths))))
        saved = connection.scalars(select(Checkpoint.files).where(Checkpoint.job_id.in_(jobs)))
        return rows | {file["path"] for files in saved for file in files}


def _files(role: Any = StoredFile.role) -> Select[Any]:
    columns = [column for column in StoredFile.__table__.columns if column.name != "role"]
    query = select(*columns, role.label("role"), User.name.label("owner"))
    return query.join(User, User.id == StoredFile.owner_id)


def _role_to(job_id: UUID) -> Any:
    return case((StoredFile.job_id == job_id, Role.OUTPUT.value), else_=Role.INPUT.value)


def _file(connection: Connection, principal: Principal, file_id: UUID) -> Row[Any]:
    query = _files().where(StoredFile.id == file_id, _visible(connection, principal))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no file {file_id}.")
    return row


def _visible(connection: Connection, principal: Principal) -> ColumnElement[bool]:
    if principal.execution is not None:
        job_id = principal.execution[0]
        inputs = connection.execute(select(Job.inputs).where(Job.id == job_id)).scalar_one_or_none()
        return or_(StoredFile.job_id == job_id, StoredFile.id.in_(input_ids(inputs or {})))
    return StoredFile.id.is_not(None) if principal.is_admin else StoredFile.owner_id == principal.user_id


def input_ids(inputs: Mapping[str, Any]) -> list[UUID]:
    """The files that a job names among its inputs."""
    given = [each for value in inputs.values() for each in (value if isinstance(value, list) else [value])]
    return [UUID(str(each)) for each in given if each is not None]


def _latest_output(job_id: UUID) -> ColumnElement[bool]:
    later = aliased(StoredFile)
    replaced = exists().where(
        later.job_id == StoredFile.job_id, later.name == StoredFile.name, later.number > StoredFile.number
    )
    return and_(StoredFile.job_id == job_id, ~replaced)


def _users_of(file: Row[Any]) -> Select[Any]:
    """Jobs that are not final and name the file among their inputs."""
    unfinished = [state.value for state in State if state not in FINAL]
    inputs = func.replace(func.lower(cast(Job.inputs, String)), "-", "")
    return select(Job.id).where(Job.state.in_(unfinished), inputs.contains(file.id.hex, autoescape=True))
