"""A body becomes an upload, in pieces of about a megabyte; what fails leaves none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.model import ServerId
from appliance.recordings.imports.model import DiskFull
from appliance.recordings.uploads.receiving import receive_recording
from tests.doubles.features import EventBook, open_features


class Memory:
    """An upload into memory; the disk is full after `room` bytes."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.pieces: list[bytes] = []
        self.end = "open"
        self._room = room

    def open_upload(self, record_id: str) -> Memory:
        self.end = f"open {record_id}"
        return self

    def write(self, chunk: bytes) -> None:
        self.pieces.append(chunk)
        if sum(map(len, self.pieces)) > self._room:
            raise DiskFull("full")

    def finish(self) -> None:
        self.end = "finished"

    def abort(self) -> None:
        self.end = "aborted"


async def chunks(count: int, size: int = 1000) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size


async def test_receive_recording_writes_everything_in_order(
    redis_url: str, redis_namespace: str
) -> None:
    memory: Any = Memory()
    async with open_features(redis_url, redis_namespace) as res:
        size = await receive_recording(res.recordings, memory, "r1", ServerId("s"), chunks(5000))
        assert isinstance(res.log, EventBook)
        assert res.log.named("recording_received") == [
            {"record": "r1", "server": "s", "bytes": 5_000_000}
        ]
    assert (size, memory.end) == (5_000_000, "finished")
    assert b"".join(memory.pieces) == b"".join([c async for c in chunks(5000)])
    assert max(map(len, memory.pieces)) < (1 << 20) + 1000


async def test_receive_recording_leaves_nothing_when_the_disk_is_full(
    redis_url: str, redis_namespace: str
) -> None:
    memory: Any = Memory(room=2_000_000)
    async with open_features(redis_url, redis_namespace) as res:
        with pytest.raises(DiskFull):
            await receive_recording(res.recordings, memory, "r1", ServerId("s"), chunks(5000))
    assert memory.end == "aborted"
