"""What has to be there before the API and the worker start: the tables, and on the first start an admin's token.

Run as `python -m launcher.prepare` by the supervisor, so that its own process stays small.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from broker_config import Settings
from shared import migrations
from shared.access import ensure_admin
from shared.errors import LongshoreError
from shared.store import Store


def prepare(settings: Settings) -> None:
    """Bring the database to the newest revision and write the admin's token if there was no admin yet."""
    migrations.upgrade(settings.database_url)
    store = Store(settings.database_url, pool_size=1)
    try:
        token = ensure_admin(store)
    finally:
        store.close()
    if token:
        write_secret(settings.data_dir / "admin.token", token)


def write_secret(path: Path, secret: str) -> None:
    """Write a file that only this user can read, at no moment anybody else, and never half of it."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


if __name__ == "__main__":
    try:
        prepare(Settings.from_env())
    except LongshoreError as error:
        sys.exit(f"Error: {error.detail}")
