"""Run the fenced blocks of a page as its reader would: files are written, commands typed into one shell.

A block ```` ```python title="name.py" ```` is a file. A block ```` ```console ```` is a session: `$ ` begins a command
(`> ` continues it), what follows is what the command prints, in which `...` stands for anything, alone on a line for
any lines. Blocks of other kinds are for reading only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.servers.processes import free_port

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END_OF_COMMAND = "\x1e"


@dataclass(frozen=True)
class Typed:
    """One command of a session and what the page says that it prints."""

    command: str
    expected: str


@dataclass(frozen=True)
class Page:
    """What a page gives its reader to write and to type."""

    files: dict[str, str]
    typed: list[Typed]


def read_page(path: Path) -> Page:
    """Take the files and sessions out of a page."""
    blocks = BLOCK.findall(path.read_text())
    files = {title: body for _kind, title, body in blocks if title}
    typed = [each for kind, _title, body in blocks if kind == "console" for each in _session(body)]
    return Page(files, typed)


def _session(body: str) -> list[Typed]:
    commands: list[list[str]] = []
    expected: list[list[str]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            commands.append([line[2:]])
            expected.append([])
        elif line.startswith("> ") and commands and not expected[-1]:
            commands[-1].append(line[2:])
        elif expected:
            expected[-1].append(line)
    return [Typed("\n".join(words), "\n".join(lines)) for words, lines in zip(commands, expected, strict=True)]


class Reader:
    """Somebody who follows a page in a home directory of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()

    def follow(self, page: Page, patience: float) -> list[str]:
        """Write the files and type the commands; give what each printed. A command that fails ends it all."""
        (self.home / "examples").symlink_to(ROOT / "examples")
        for name, text in page.files.items():
            (self.home / name).write_text(text)
        script = "set -e\n" + "".join(f"{each.command}\nprintf '{END_OF_COMMAND}'\n" for each in page.typed)
        done = self._shell(script, patience)
        printed = done.split(END_OF_COMMAND)
        assert len(printed) == len(page.typed) + 1, f"a command failed: {printed[-1]}"
        return [self._as_on_the_page(text) for text in printed[:-1]]

    def leave(self) -> None:
        """Stop what the reader may have left running."""
        self._shell("longshore down --now", 60)

    def _shell(self, script: str, patience: float) -> str:
        """Run a script in one shell and give all it prints; a file takes it, as what it starts may outlive it."""
        output = self.home / "output.txt"
        with output.open("wb") as file:
            subprocess.run(
                ["bash", "-c", script],
                cwd=self.home,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=patience,
                check=False,
            )
        return output.read_text()

    def _environment(self) -> dict[str, str]:
        programs = Path(sys.executable).parent
        return {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "COLUMNS": "120",
            "LONGSHORE_PORT": str(self.port),
        }

    def _as_on_the_page(self, text: str) -> str:
        return text.replace(f":{self.port}", ":8080").strip("\n")


def matches(expected: str, printed: str) -> bool:
    """Tell whether the page's text, with its `...`, describes what was printed."""
    lines = [_line_pattern(line) for line in expected.rstrip().splitlines()]
    pattern = "".join(lines)
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed.rstrip().splitlines())) is not None


def _line_pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return ".*?".join(re.escape(part) for part in re.split(r"\.\.\.", line.rstrip())) + r"\n"
