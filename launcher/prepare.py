"""What has to be there before the API and the worker start: the tables, and on the first start an admin's token.

Run as `python -m launcher.prepare` by the supervisor, so that its own process stays small.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sqlalchemy import make_url

from broker_config import Settings
from launcher.datadir import DataDirectory
from shared import migrations
from shared.access import ensure_admin, new_admin_token
from shared.errors import LongshoreError
from shared.store import Store


def prepare(settings: Settings, *, replace_lost_token: bool = False) -> None:
    """Bring the database to the newest revision and write the admin's token if there was no admin yet.

    With `replace_lost_token` another token of the admin is made where the data directory has none.
    """
    migrations.upgrade(settings.database_url)
    directory = DataDirectory(settings)
    store = Store(settings.database_url, pool_size=1)
    try:
        token = ensure_admin(store)
        if token is None and replace_lost_token and not directory.token_file.exists():
            token = new_admin_token(store)
    finally:
        store.close()
    if token:
        directory.write_token(token)


def is_yet_to_be_made(settings: Settings) -> bool:
    """Whether the database is a file that does not exist; who only looks must not make it by looking."""
    url = make_url(settings.database_url)
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


if __name__ == "__main__":
    try:
        prepare(Settings.from_env(), replace_lost_token=True)
    except LongshoreError as error:
        sys.exit(f"Error: {error.detail}")
