"""How long a command of the client keeps its user waiting before it does anything."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

LIMIT = 0.2


@pytest.mark.bench
def test_a_command_starts_within_a_fifth_of_a_second() -> None:
    """Up to the refused connection: all is loaded by then. The best of ten counts, as other work only slows down."""

    def once() -> float:
        begin = time.perf_counter()
        command = [sys.executable, "-m", "longshore.cli", "--url", "http://127.0.0.1:9", "--patience", "0", "ls"]
        subprocess.run(command, capture_output=True, check=False)
        return time.perf_counter() - begin

    best = min(once() for _ in range(10))
    print(f"longshore ls: {best * 1000:.0f} ms to start")
    assert best < LIMIT
