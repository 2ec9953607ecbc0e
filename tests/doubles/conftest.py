"""Fixtures for the tests of the simulated BBB server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.bbb_process import BbbProcess


@pytest.fixture(scope="module")
def shared() -> Iterator[BbbProcess]:
    with BbbProcess(secret="s3cret", server_id="one") as server:
        yield server


@pytest.fixture
def bbb(shared: BbbProcess) -> BbbProcess:
    """Give the module's server, reset."""
    shared.reset()
    return shared
