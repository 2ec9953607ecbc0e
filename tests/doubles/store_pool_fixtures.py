"""Fixture: an empty pool in the session's Redis, whose layout is checked after the test.

A pytest plugin, which tests must not import.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.doubles.store_pool import StorePool, open_store_pool


@pytest.fixture
async def pool(redis_url: str, redis_namespace: str) -> AsyncIterator[StorePool]:
    """Give a pool without servers, with the default rules."""
    async with open_store_pool(redis_url, redis_namespace) as opened:
        yield opened
        await opened.check_layout()
