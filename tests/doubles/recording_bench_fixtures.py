"""Fixture: the administration of recordings, with stores, directories and a control socket.

A pytest plugin, which tests must not import.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.recording_bench import RecordingBench, open_recording_bench


@pytest.fixture
async def opened(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> AsyncIterator[RecordingBench]:
    """Give an appliance with recordings whose directories are below the test's directory."""
    async with open_recording_bench(redis_url, redis_namespace, database_url, tmp_path) as bench:
        yield bench
