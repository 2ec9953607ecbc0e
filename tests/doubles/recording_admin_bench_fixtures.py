"""Fixture: the administration of recordings, with the stores, the directories and a control socket.

A pytest plugin. Not to be imported by tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.recording_admin_bench import RecordingAdminBench, open_admin_bench


@pytest.fixture
async def opened(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> AsyncIterator[RecordingAdminBench]:
    """Give the administration of recordings, whose directories are below the test's own."""
    async with open_admin_bench(redis_url, redis_namespace, database_url, tmp_path) as bench:
        yield bench
