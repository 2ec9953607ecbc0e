"""Fixture: three simulated BBB servers per session, for tests that open a live pool of them.

A pytest plugin, which tests must not import.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.bbb_process import BbbProcess, bbb_servers


@pytest.fixture(scope="session")
def bbbs() -> Iterator[list[BbbProcess]]:
    """Give bbb-1, bbb-2 and bbb-3, which `open_live` resets."""
    with bbb_servers(3) as servers:
        yield servers
