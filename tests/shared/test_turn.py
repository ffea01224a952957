"""SQLite's write turn ends with the process that has it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from shared.engine import WriteTurn

_WRITER = """
import os, sys, time
from pathlib import Path
from shared.engine import WriteTurn

turn = WriteTurn(Path(sys.argv[1]))
with turn.taken():
    pass
if not os.fork():
    turn.forget_after_fork()
    os.write(1, b"forked\\n")
    time.sleep(60)
    os._exit(0)
with turn.taken():
    os.write(1, b"taken\\n")
    time.sleep(60)
"""


def test_a_turn_ends_with_its_process_though_one_that_it_forked_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "longshore.db"
    argv = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as writer:
        try:
            assert writer.stdout is not None
            assert {writer.stdout.readline(), writer.stdout.readline()} == {"forked\n", "taken\n"}
            writer.kill()
            writer.wait()
            with WriteTurn(path).taken():
                pass
        finally:
            os.killpg(writer.pid, signal.SIGKILL)
