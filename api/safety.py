"""What every response carries so that a browser does nothing it was not asked to."""

from __future__ import annotations

from flask import Response

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-store",
}
"""Set where a view has not set its own; other origins are given no access (no CORS headers at all)."""


def add_headers(response: Response) -> Response:
    """Adds the headers that are missing."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
