"""Imports the job modules in a process of its own and writes their declarations to a file.

`python -m worker.declarations FILE`. So the agent, on which every job of the worker depends, runs no user's code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from broker_config import Settings
from longshore.declare import load
from longshore.errors import LongshoreError


def main(target: str) -> int:
    """Writes a JSON list; 1, with the reason on stderr, if a module cannot be loaded."""
    try:
        found = load(Settings.from_env().jobs)
    except LongshoreError as error:
        sys.stderr.write(f"the worker cannot start: {error}\n")
        return 1
    Path(target).write_text(json.dumps([declared.declaration for declared in found.values()]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
