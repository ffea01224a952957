from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.engine import Row

from shared import catalog, control, execute, files, report
from shared.errors import InvalidInput, NotFound, NotPermitted, NotPossible, TooLarge
from shared.files import FileStore
from shared.filestore import safe_name
from shared.lifecycle import Event
from shared.principal import Principal, Scope
from shared.store import Store

JobMaker = Callable[..., Row[Any]]


@pytest.fixture
def disk(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "files", max_upload=1000)


def _left(disk: FileStore) -> list[str]:
    return sorted(disk.stale(-10))


def _upload(store: Store, disk: FileStore, who: Principal, name: str = "genome.fa", data: bytes = b">x\nACGT\n") -> Any:
    return files.record_upload(store, who, disk.receive(io.BytesIO(data), name))


# -------------------------------------------------------------------------------------------------- bytes


def test_an_upload_is_stored_whole_under_a_name_of_ours(disk: FileStore) -> None:
    data = os.urandom(900)
    digest = hashlib.sha256(data).hexdigest()
    stored = disk.receive(io.BytesIO(data), "reads/a b.fastq", None, digest.upper(), len(data))
    assert (stored.size, stored.sha256.hex(), stored.name) == (900, digest, "reads/a b.fastq")
    assert "reads" not in stored.path
    assert disk.open(stored.path).read() == data
    assert disk.resolve(stored.path).stat().st_mode & 0o777 == 0o444
    assert disk.root.stat().st_mode & 0o777 == 0o700
    assert _left(disk) == [stored.path]


def test_the_media_type_is_taken_or_guessed(disk: FileStore) -> None:
    assert disk.receive(io.BytesIO(b"{}"), "a.json").media_type == "application/json"
    assert disk.receive(io.BytesIO(b"{}"), "a.unheard-of").media_type == "application/octet-stream"
    assert disk.receive(io.BytesIO(b""), "a", "text/x-fasta; charset=ascii").media_type == "text/x-fasta; charset=ascii"
    for wrong in ("text", "text/plain\r\nX: y", "a/" + "b" * 300):
        with pytest.raises(InvalidInput):
            disk.receive(io.BytesIO(b""), "a", wrong)


class _Cut:
    def read(self, size: int, /) -> bytes:
        assert size > 0
        raise ConnectionError("the client is gone")


def test_what_fails_leaves_nothing(disk: FileStore) -> None:
    with pytest.raises(TooLarge):
        disk.receive(io.BytesIO(b"x" * 1001), "big")
    with pytest.raises(TooLarge):
        disk.receive(io.BytesIO(b""), "big", expected_size=1001)
    with pytest.raises(InvalidInput):
        disk.receive(io.BytesIO(b"abc"), "cut", expected_size=4)
    with pytest.raises(InvalidInput):
        disk.receive(io.BytesIO(b"abc"), "wrong", expected_sha256="0" * 64)
    with pytest.raises(InvalidInput):
        disk.receive(io.BytesIO(b"abc"), "wrong", expected_sha256="zz")
    with pytest.raises(ConnectionError):
        disk.receive(_Cut(), "cut")
    assert _left(disk) == []


@pytest.mark.parametrize("name", ["a", "a.txt", "dir/a.txt", "ünïcode.fa", "a b", "..a", "x" * 255])
def test_safe_names(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\\b", "a\0", "a\nb", "\ud800", "x" * 256,
     "é" * 200, "a\u202eb"],
)  # fmt: skip
def test_unsafe_names(name: str) -> None:
    with pytest.raises(InvalidInput):
        safe_name(name)


@pytest.mark.parametrize("path", ["", ".", "..", "../outside", "/etc/passwd", "uploads/../../outside", "link/outside"])
def test_no_path_leads_out_of_the_store(disk: FileStore, path: str) -> None:
    disk.receive(io.BytesIO(b"x"), "x")
    outside = disk.root.parent / "outside"
    outside.write_text("secret")
    (disk.root / "link").symlink_to(disk.root.parent)
    with pytest.raises(NotFound):
        disk.resolve(path)
    disk.remove(path)
    assert outside.exists()


def test_adopted_files_are_copies(disk: FileStore, tmp_path: Path) -> None:
    source, job_id = tmp_path / "out.txt", uuid4()
    source.write_bytes(b"first" * 1000)
    stored = disk.adopt(source, job_id, 3, "results/out.txt")
    assert stored.path.startswith(f"jobs/{job_id.hex[-2:]}/{job_id}/3/")
    assert stored.media_type == "text/plain"
    source.write_bytes(b"changed")
    assert disk.open(stored.path).read() == b"first" * 1000
    disk.remove_job(job_id)
    assert _left(disk) == []


def test_only_regular_files_are_adopted(disk: FileStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "missing", "."):
        with pytest.raises(InvalidInput):
            disk.adopt(tmp_path / name, uuid4(), 1, "x")
    assert _left(disk) == []


def test_removing_and_storing_at_once(disk: FileStore, tmp_path: Path) -> None:
    source, job_id, failures = tmp_path / "x", uuid4(), []
    source.write_bytes(b"x")

    def work() -> None:
        try:
            for _ in range(30):
                disk.remove(disk.adopt(source, job_id, 1, "x").path)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert _left(disk) == []


# --------------------------------------------------------------------------------------------------- rows


def test_files_are_there_for_their_owner_and_admins(
    store: Store, disk: FileStore, alice: Principal, bob: Principal, admin: Principal
) -> None:
    mine, theirs = _upload(store, disk, alice), _upload(store, disk, bob)
    assert (mine.owner, mine.role, mine.job_id, mine.size) == ("alice", "input", None, 8)
    assert files.get_file(store, alice, mine.id).sha256 == hashlib.sha256(b">x\nACGT\n").digest()
    assert files.get_file(store, admin, theirs.id).owner == "bob"
    for look in (files.get_file, lambda *who: files.remove_file(who[0], who[1], disk, who[2])):
        with pytest.raises(NotFound):
            look(store, alice, theirs.id)
        with pytest.raises(NotFound):
            look(store, admin, uuid4())
    assert [row.id for row in files.list_files(store, alice).items] == [mine.id]
    assert [row.id for row in files.list_files(store, admin).items] == [theirs.id, mine.id]
    assert files.list_files(store, admin, role="output").items == []


def test_lists_of_files_are_paged(store: Store, disk: FileStore, alice: Principal) -> None:
    made = [_upload(store, disk, alice).id for _ in range(5)]
    first = files.list_files(store, alice, limit=2)
    _upload(store, disk, alice)
    second = files.list_files(store, alice, limit=2, cursor=first.next)
    third = files.list_files(store, alice, limit=2, cursor=second.next)
    assert [row.id for page in (first, second, third) for row in page.items] == made[::-1]
    assert third.next is None


def _output(store: Store, disk: FileStore, lease: execute.Lease, source: Path, name: str) -> None:
    stored = disk.adopt(source, lease.job_id, lease.attempt, name)
    output = report.Output(stored.id, name, stored.path, stored.size, stored.sha256, stored.media_type)
    report.save_output(store, lease.job_id, lease.attempt, output)


@pytest.fixture
def genome_job(store: Store, disk: FileStore, alice: Principal, make_job: JobMaker) -> tuple[Any, Row[Any]]:
    """An uploaded file and a job that has it as its input."""
    catalog.declare(store, [{"kind": "python", "name": "index", "inputs": {"genome": {}}}], "w")
    genome = _upload(store, disk, alice)
    return genome, make_job(type="index", inputs={"genome": str(genome.id)})


def _claim(store: Store) -> execute.Lease:
    revision = catalog.find(store, "index", "1").revision
    claimed = execute.claim(store, execute.Offer(uuid4(), "w", "n", 1, "default", frozenset({revision})))
    assert claimed is not None
    return claimed.lease


def test_files_of_a_job(
    store: Store, disk: FileStore, alice: Principal, bob: Principal, genome_job: tuple[Any, Row[Any]], tmp_path: Path
) -> None:
    genome, job = genome_job
    lease = _claim(store)
    for name, text in (("stats.json", "{}"), ("index.bin", "old"), ("index.bin", "new")):
        (tmp_path / "out").write_text(text)
        _output(store, disk, lease, tmp_path / "out", name)
    found = files.job_files(store, alice, job.id).items
    assert [(row.name, row.job_id) for row in found] == [
        ("genome.fa", None), ("stats.json", job.id), ("index.bin", job.id)
    ]  # fmt: skip
    assert [row.role for row in found] == ["input", "output", "output"]
    assert disk.open(found[-1].path).read() == b"new"
    assert [row.name for row in files.job_files(store, alice, job.id, role="input").items] == ["genome.fa"]
    assert len(files.job_files(store, alice, job.id, role="output").items) == 2
    with pytest.raises(NotFound):
        files.job_files(store, bob, job.id)
    execution = Principal(alice.user_id, "attempt 1", frozenset({Scope.READ}), execution=(job.id, 1))
    other = _upload(store, disk, alice)
    assert len(files.list_files(store, execution).items) == 4
    assert files.get_file(store, execution, genome.id).name == "genome.fa"
    with pytest.raises(NotFound):
        files.get_file(store, execution, other.id)
    with pytest.raises(NotPermitted):
        files.remove_file(store, execution, disk, genome.id)


def test_an_input_is_not_removed_while_a_job_needs_it(
    store: Store, disk: FileStore, alice: Principal, genome_job: tuple[Any, Row[Any]]
) -> None:
    genome, job = genome_job
    with pytest.raises(NotPossible, match=str(job.id)):
        files.remove_file(store, alice, disk, genome.id)
    control.act(store, alice, Event.CANCEL, job.id)
    files.remove_file(store, alice, disk, genome.id)
    assert _left(disk) == []
    with pytest.raises(NotFound):
        files.get_file(store, alice, genome.id)


def test_sweeping_removes_only_old_bytes_that_nothing_names(
    store: Store, disk: FileStore, alice: Principal, genome_job: tuple[Any, Row[Any]], tmp_path: Path
) -> None:
    genome, job = genome_job
    lease = _claim(store)
    (tmp_path / "out").write_text("x")
    saved = disk.adopt(tmp_path / "out", job.id, 1, "state.bin")
    report.save_checkpoint(store, job.id, lease.attempt, {}, [{"name": "state.bin", "path": saved.path}])
    _output(store, disk, lease, tmp_path / "out", "result")
    disk.adopt(tmp_path / "out", job.id, 1, "nobody's")
    disk.adopt(tmp_path / "out", uuid4(), 1, "of a job that is gone")
    disk.receive(io.BytesIO(b"x"), "never recorded")
    assert files.sweep(store, disk) == 0
    assert files.sweep(store, disk, seconds=-10) == 3
    kept = {genome.path, saved.path, *(row.path for row in files.job_files(store, alice, job.id, role="output").items)}
    assert set(_left(disk)) == kept
