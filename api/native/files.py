"""Files: inputs that clients upload, outputs that jobs leave; streamed both ways, with Range and SHA-256."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import marshmallow as ma
from flask import Response, request, send_file

from api.answers import created, nothing, page, rendered
from api.auth import Access, current_principal
from api.fields import Text, Word
from api.installation import installation
from api.paging import PageQuery, page_of
from api.parsing import Strict
from api.resource import Answer, Raw, Resource
from api.times import EPOCH, iso
from shared import files
from shared.models import Role
from shared.principal import Scope

resource = Resource("files", __name__, url_prefix="/api/v1", description="What jobs read and leave.")

READ = Access(Scope.READ)
SUBMIT = Access(Scope.SUBMIT)
_ONE = "/files/<uuid:file_id>"
_BYTES: Mapping[str, Any] = {}
_DIGESTS = {
    "Repr-Digest": "SHA-256 of the whole file (RFC 9530)",
    "X-Content-SHA256": "the same in hexadecimal digits",
    "ETag": "the same, for If-None-Match and If-Range",
    "Accept-Ranges": "bytes",
}


def _header(name: str, doc: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "description": doc, "schema": {"type": "string"}}


class FileSchema(ma.Schema):
    """A file."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)
    size = ma.fields.Integer(required=True, metadata={"description": "bytes"})
    sha256 = ma.fields.String(required=True, metadata={"description": "hexadecimal digits"})
    media_type = ma.fields.String(required=True)
    role = ma.fields.String(required=True, validate=ma.validate.OneOf([str(role) for role in Role]))
    owner = ma.fields.String(required=True, metadata={"description": "name of the user whose file it is"})
    job = ma.fields.UUID(required=True, allow_none=True, metadata={"description": "the job that left it"})
    attempt = ma.fields.Integer(required=True, allow_none=True, metadata={"description": "the execution that left it"})
    created_at = ma.fields.String(required=True, metadata={"format": "date-time"})


class UploadQuery(Strict):
    """What an uploaded file is called."""

    name = Text(255, "A relative path without . and .. in it.", shortest=1, required=True)


class FilesQuery(PageQuery):
    """Which files."""

    role = Word(Role, "Only inputs, or only outputs.", load_default=None)


def _shown(row: Any) -> dict[str, Any]:
    names = ("id", "name", "size", "media_type", "role", "owner", "attempt")
    return {
        **{name: getattr(row, name) for name in names},
        "sha256": row.sha256.hex(),
        "job": row.job_id,
        "created_at": iso(row.created_at),
    }


_FORM = "application/x-www-form-urlencoded"


def _media_type() -> str | None:
    """What the client says of the bytes; the type that curl adds by itself to all it sends says nothing."""
    told = request.headers.get("Content-Type")
    return None if told == _FORM else told


@resource.operation(
    "POST",
    "/files",
    SUBMIT,
    query=UploadQuery,
    body=Raw("max_upload"),
    answers={201: Answer("The file.", FileSchema)},
    doc={"parameters": [_header("X-Content-SHA256", "SHA-256 that the bytes must have, in hexadecimal digits.")]},
)
def upload_file(query: Mapping[str, Any]) -> Response:
    """Upload a file: the body is its bytes, Content-Type its media type."""
    made = installation()
    stored = made.files.receive(
        request.stream,
        query["name"],
        _media_type(),
        request.headers.get("X-Content-SHA256"),
        request.content_length,
    )
    row = files.record_upload(made.store, current_principal(), stored)
    return created(_shown(row), f"/files/{row.id}")


@resource.operation(
    "GET",
    "/files",
    READ,
    query=FilesQuery,
    answers={200: Answer("A page of files, newest first.", page_of("FilePage", FileSchema))},
)
def list_files(query: Mapping[str, Any]) -> Response:
    """List your files."""
    found = files.list_files(installation().store, current_principal(), **query)
    return page([_shown(row) for row in found.items], found.next)


@resource.operation(
    "GET",
    "/jobs/<uuid:job_id>/files",
    Access(Scope.READ, executions=True),
    query=FilesQuery,
    answers={200: Answer("A page of the job's inputs and outputs.", page_of("JobFilePage", FileSchema))},
)
def list_job_files(query: Mapping[str, Any], job_id: UUID) -> Response:
    """List what a job reads and what it left."""
    found = files.job_files(installation().store, current_principal(), job_id, **query)
    return page([_shown(row) for row in found.items], found.next)


@resource.operation("GET", _ONE, READ, answers={200: Answer("The file.", FileSchema)})
def show_file(file_id: UUID) -> Response:
    """Read what is known of a file."""
    return rendered(_shown(files.get_file(installation().store, current_principal(), file_id)))


@resource.operation(
    "GET",
    f"{_ONE}/content",
    READ,
    answers={
        200: Answer("The bytes.", _BYTES, "*/*", _DIGESTS),
        206: Answer("The bytes asked for.", _BYTES, "*/*", _DIGESTS),
        304: Answer("Not changed."),
    },
    refuses=(416,),
    doc={"parameters": [_header("Range", "The bytes wanted."), _header("If-Range", "Only if it is still this ETag.")]},
)
def download_file(file_id: UUID) -> Response:
    """Download a file, or a range of it."""
    made = installation()
    row = files.get_file(made.store, current_principal(), file_id)
    response = send_file(
        made.files.resolve(row.path),
        mimetype=row.media_type,
        as_attachment=True,
        download_name=PurePosixPath(row.name).name,
        conditional=True,
        etag=row.sha256.hex(),
        last_modified=EPOCH + timedelta(microseconds=row.created_at),
    )
    response.headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(row.sha256).decode()}:"
    response.headers["X-Content-SHA256"] = row.sha256.hex()
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@resource.operation("DELETE", _ONE, SUBMIT, answers={204: Answer("It is gone.")}, refuses=(409,))
def remove_file(file_id: UUID) -> Response:
    """Remove a file that no unfinished job needs."""
    made = installation()
    files.remove_file(made.store, current_principal(), made.files, file_id)
    return nothing()
