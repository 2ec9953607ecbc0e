"""Fixture: three simulated BBB servers, reset for every test that asks for them.

A pytest plugin, which tests must not import.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.bbb_process import BbbProcess, bbb_servers


@pytest.fixture(scope="session")
def running_bbbs() -> Iterator[list[BbbProcess]]:
    """Give three servers that have what tests before left on them."""
    with bbb_servers(3) as servers:
        yield servers


@pytest.fixture
def bbbs(running_bbbs: list[BbbProcess]) -> list[BbbProcess]:
    """Give bbb-1, bbb-2 and bbb-3 as new."""
    for bbb in running_bbbs:
        bbb.reset()
    return running_bbbs
