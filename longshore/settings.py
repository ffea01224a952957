"""Where the broker is and how to log in there: from arguments, the environment, or a local installation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from longshore.errors import LongshoreError

LOCAL_DIRECTORY = "longshore-data"
"""Data directory looked for in the current directory, before the user's own."""


class NotConfigured(LongshoreError):
    """No broker is known here."""


@dataclass(frozen=True)
class ClientSettings:
    """What a client must know: the base URL, and the token if there is one."""

    url: str
    token: str | None = field(default=None, repr=False)
    patience: float = 30.0
    """seconds for which a request is tried again when the broker cannot be reached or is overloaded"""

    @classmethod
    def find(
        cls,
        url: str | None = None,
        token: str | None = None,
        *,
        patience: float | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> ClientSettings:
        """Settings from the arguments, else LONGSHORE_URL and LONGSHORE_TOKEN, else a data directory.

        The token of a data directory is used only for the URL of that same directory, so that the key of one
        installation is never sent to another. Raises NotConfigured when no URL is found.
        """
        environ = os.environ if environ is None else environ
        local = _local_installation(environ)
        url = url or environ.get("LONGSHORE_URL") or (local.url if local else None)
        if not url:
            raise NotConfigured(
                "No broker is known here: start one with `longshore up`, or set LONGSHORE_URL and LONGSHORE_TOKEN"
            )
        url = _checked(url)
        token = token or environ.get("LONGSHORE_TOKEN")
        if not token and local and local.url == url:
            token = local.token
        return cls(url=url, token=token or None, patience=_patience(patience, environ))


@dataclass(frozen=True)
class _Installation:
    """The traces of `longshore up` in a data directory."""

    url: str
    token: str | None


def _local_installation(environ: Mapping[str, str]) -> _Installation | None:
    for directory in data_directories(environ):
        if url := _trusted_text(directory / "url"):
            return _Installation(url.rstrip("/"), _trusted_text(directory / "admin.token"))
    return None


def data_directories(environ: Mapping[str, str]) -> list[Path]:
    """Where a local installation may have left its URL, in the order of search."""
    if named := environ.get("LONGSHORE_DATA_DIR"):
        return [Path(named).expanduser()]
    # Imported here because whoever sets LONGSHORE_URL starts faster without it.
    from platformdirs import user_data_dir  # noqa: PLC0415 - see above

    return [Path.cwd() / LOCAL_DIRECTORY, Path(user_data_dir("longshore"))]


def _checked(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise NotConfigured(f"The broker's URL is {url!r}; expected: one that starts with http:// or https://")
    return url.rstrip("/")


def _trusted_text(path: Path) -> str | None:
    """Text of a file that we or root wrote; a directory of somebody else must not tell us where to send data."""
    try:
        owner = path.stat().st_uid
        return path.read_text().strip() if owner in {os.getuid(), 0} else None
    except OSError:
        return None


def _patience(given: float | None, environ: Mapping[str, str]) -> float:
    text = environ.get("LONGSHORE_PATIENCE")
    if given is not None or not text:
        return ClientSettings.patience if given is None else given
    try:
        return max(0.0, float(text))
    except ValueError:
        raise NotConfigured(f"LONGSHORE_PATIENCE is {text!r}; expected: a number of seconds") from None
