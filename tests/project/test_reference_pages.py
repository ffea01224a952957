"""The reference pages are written from the code; here, that they have been."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate import pages


@pytest.mark.parametrize("path", sorted(pages()), ids=lambda path: path.name)
def test_a_reference_page_is_up_to_date(path: Path) -> None:
    assert path.read_text() == pages()[path], "run `make docs`"
