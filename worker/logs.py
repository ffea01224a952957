"""Log lines of the worker's processes; what job code logs goes elsewhere."""

from __future__ import annotations

import logging
import sys

from broker_config import Settings
from shared.log_lines import QUIET, TEXT, JsonLines


def set_up(settings: Settings) -> None:
    """Sends the log of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else logging.Formatter(TEXT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
