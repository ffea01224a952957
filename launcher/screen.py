"""What `longshore up` tells people once all of it serves."""

from __future__ import annotations

from pathlib import Path

import click
from platformdirs import user_data_dir

from broker_config import Settings, redacted
from launcher.datadir import DataDirectory


def start_screen(settings: Settings, directory: DataDirectory, url: str, stop_with: str) -> str:
    """The address, where things are, and what to do next."""
    broker = "private Valkey" if settings.broker_is_embedded else redacted(settings.broker_url)
    database = "SQLite" if settings.database_url.startswith("sqlite") else redacted(settings.database_url)
    rows = {
        "API docs": f"{url}/docs",
        "Data": str(directory.path),
        "Logs": str(directory.logs),
        "Token": f"{directory.token_file} (the `longshore` command finds it by itself)",
        "Runs": f"{settings.slots} jobs at once from {', '.join(settings.queues)}; {database}, {broker}",
        "Stop": stop_with,
    }
    lines = [click.style(f"Longshore is ready at {url}", bold=True), ""]
    lines += [f"  {click.style(f'{name:<9}', dim=True)} {value}" for name, value in rows.items()]
    if not _found_by_the_cli(directory.path):
        lines += ["", "  In other terminals:", f"    export LONGSHORE_DATA_DIR={directory.path}"]
    return "\n".join([*lines, ""])


def _found_by_the_cli(data_dir: Path) -> bool:
    return data_dir in {Path(user_data_dir("longshore")), Path.cwd() / "longshore-data"}
