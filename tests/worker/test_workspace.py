"""The work directory of an execution: fresh, and gone afterwards, but never in the way of the job's end."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from shared.execute import Lease
from worker import workspace


def test_it_is_fresh_private_and_removed_with_what_was_made_read_only(tmp_path: Path) -> None:
    path = workspace.create(tmp_path, Lease(uuid4(), 1))
    (path / "closed").mkdir()
    (path / "closed" / "file").write_text("x")
    (path / "closed").chmod(0o500)
    assert path.stat().st_mode & 0o777 == 0o700
    workspace.remove(path)
    workspace.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_what_resists_its_removal_is_left(tmp_path: Path) -> None:
    """A network file system may keep a file that is still open somewhere; here a plain file stands in its place."""
    place = workspace.place(tmp_path, Lease(uuid4(), 1))
    place.write_text("no directory")
    workspace.remove(place)
    assert place.exists()
