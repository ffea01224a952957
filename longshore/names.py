"""Which names are allowed, and why one is not."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from longshore.errors import InvalidDeclaration

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,31}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LONGEST_FILE_NAME = 255


def word(value: object, what: str) -> str:
    """Check the name of a job type, stage or queue."""
    return _matching(_WORD, value, what, "a letter, then letters, digits, '_', '.', '-' (100 at most)")


def version(value: object) -> str:
    """Check the version of a job type."""
    return _matching(_VERSION, value, "version", "a string such as '1' or '2.0.1' (32 characters at most)")


def identifier(value: object, what: str) -> str:
    """Check the name of an input, which also stands in placeholders and file names."""
    return _matching(_IDENTIFIER, value, what, "letters, digits and '_', not beginning with a digit")


def file_name(name: str) -> str:
    """Check a file name that others will write to their disks: one part, nothing hidden in it."""
    clean = name not in {"", ".", ".."} and "/" not in name and "\\" not in name and name.isprintable()
    if not clean or len(name.encode()) > _LONGEST_FILE_NAME:
        raise ValueError(f"{name!r} is no safe file name: give one part of at most 255 bytes without slashes")
    return name


def relative_name(name: str) -> str:
    """Check the name of a checkpointed file: a path below the work directory."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise ValueError(f"{name!r} must be a path below the work directory")
    for part in path.parts:
        file_name(part)
    return str(path)


def _matching(pattern: re.Pattern[str], value: object, what: str, rule: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidDeclaration(f"{what} must be {rule}, not {value!r}")
    return value
