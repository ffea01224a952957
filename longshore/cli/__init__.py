"""The command `longshore`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code."""
    # httpx brings a command of its own, and for it rich and pygments: 50 ms that no command of ours needs.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None bars the import
    from longshore.cli.program import run  # noqa: PLC0415 - only after the line above

    return run(sys.argv[1:] if arguments is None else list(arguments))
