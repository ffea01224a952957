"""Finds what a command has left in its output directory: regular files with safe names, and nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.filestore import LONGEST_NAME


@dataclass(frozen=True)
class Found:
    """One thing below the output directory; `refusal` says why it is no output and is empty if it is one."""

    name: str
    path: Path
    refusal: str = ""


def find(directory: Path, owner: int) -> Iterator[Found]:
    """Everything below `directory` that is no folder, in order of its name, which is relative with `/` between.

    Call it when no process of the command is left: nothing can be exchanged for a link behind its back then.
    `owner` is the uid that the command ran as: a file of somebody else that has a second name is a link to what
    the command might not be permitted to read.
    """
    for folder, folders, files in os.walk(directory):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted([*files, *links]):
            path = Path(folder, name)
            relative = path.relative_to(directory).as_posix()
            yield Found(relative, path, _name_refusal(relative) or _file_refusal(path, owner))


def _name_refusal(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is no valid text"
    if not name.isprintable():
        return "its name has characters that cannot be shown"
    if len(name) > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} characters"
    if "\\" in name or any(part != part.strip() for part in name.split("/")):
        return "its name has a backslash, or a space at an end"
    return ""


def _file_refusal(path: Path, owner: int) -> str:
    try:
        found = path.lstat()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return "it is no regular file"
    if found.st_nlink > 1 and found.st_uid != owner:
        return "it is a second name of somebody else's file"
    return ""
