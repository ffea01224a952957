"""The work directory of an execution: fresh, private, and gone afterwards."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.execute import Lease

log = logging.getLogger(__name__)


def place(work_dir: Path, lease: Lease) -> Path:
    """Where the work directory of an execution lies."""
    return work_dir / f"{lease.job_id}.{lease.attempt}"


def create(work_dir: Path, lease: Lease) -> Path:
    """Makes the work directory of an execution, empty and closed to others."""
    path = place(work_dir, lease)
    if path.exists():
        remove(path)
    path.mkdir(mode=0o700, parents=True)
    return path


def remove(path: Path) -> None:
    """Removes a work directory with all that is in it, also what its owner made read-only.

    What resists (a mount, a file that a network file system still holds) is left there: no job fails to end by it.
    """
    try:
        shutil.rmtree(path, onerror=_open_and_retry)  # `onexc` replaces it from Python 3.12 on
    except OSError as error:
        log.warning("the work directory %s could not be removed wholly: %s", path, error)


def _open_and_retry(function: Callable[..., Any], path: str, cause: tuple[Any, ...]) -> None:
    if issubclass(cause[0], FileNotFoundError):
        return
    for each in (os.path.dirname(path), path):  # noqa: PTH120 - rmtree hands out strings
        if not os.path.islink(each):  # noqa: PTH114 - the same
            os.chmod(each, stat.S_IRWXU)  # noqa: PTH101 - the same
    if function in {os.open, os.scandir, os.listdir}:
        shutil.rmtree(path, ignore_errors=True)
    else:
        function(path)
