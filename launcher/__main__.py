"""`python -m launcher`: the supervisor in the background, with its settings in the environment."""

from __future__ import annotations

import sys

from broker_config import Settings
from launcher.attached import run
from shared.errors import LongshoreError

if __name__ == "__main__":
    try:
        run(Settings.from_env(), show_logs=False)
    except LongshoreError as error:
        sys.exit(f"Error: {error.detail}")
