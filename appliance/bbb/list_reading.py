"""Reads a getMeetings answer while it arrives: the same as before, in one piece, or in blocks."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import trio

from appliance.bbb.meeting_list import (
    HashedList,
    MeetingList,
    MeetingListReader,
    MeetingListStream,
    RawList,
)
from appliance.system.threads import run_sized

LIST_BLOCK_BYTES = 256 * 1024
"""Longer lists of meetings are parsed in blocks of this size, so that a list which is too long is
given up when it becomes so."""


class ListReading:
    """Reads a list while it arrives; a large one in blocks, each in a thread.

    As long as it is the same as a known one, it is only compared.
    """

    def __init__(
        self,
        reader: MeetingListReader,
        known: RawList | None = None,
        *,
        keeps_body: bool = False,
        keeps_elements: bool = True,
        turns: trio.Semaphore | None = None,
    ) -> None:
        """`turns`: of many lists that arrive together, only some are parsed at a time."""
        self._reader = reader
        self._turns = turns
        self._keeps_elements = keeps_elements
        self._stream: MeetingListStream | None = None
        self._parts: list[bytes | bytearray] = []
        self._size = 0
        self._known = known
        self._same = 0
        """Bytes that were compared, while `_known` is not None."""
        self._body: list[bytes | bytearray] | None = [] if keeps_body else None

    @property
    def body(self) -> bytes:
        """Return the whole answer, if it is kept and not the known one."""
        return b"".join(self._body or ())

    async def take(self, part: bytes | bytearray) -> None:
        """Take a part of the answer. Raises MalformedAnswer."""
        if self._known is not None:
            if self._known.body.startswith(part, self._same):
                self._same += len(part)
                return
            await self._leave_known()
        await self._read(part)

    async def finish(self) -> MeetingList:
        """Return the list. Raises MalformedAnswer."""
        if self._known is not None:
            if self._same == len(self._known.body):
                return self._known.meetings
            await self._leave_known()
        block = self._take_block()
        if self._stream is None:
            read = partial(self._reader.read, block, keeps_elements=self._keeps_elements)
            async with self._turns or nullcontext():
                return await run_sized(len(block), read)
        await trio.to_thread.run_sync(self._stream.feed, block)
        return await trio.to_thread.run_sync(self._stream.finish)

    async def finish_hashed(self, before: HashedList | None) -> HashedList:
        """Return the list: `before` itself if it is the same. Raises MalformedAnswer."""
        if self._stream is not None:
            return HashedList(None, await self.finish())
        body = b"".join(self._parts)
        self._parts = [body]
        key = hash(body)
        if before is not None and before.hash == key:
            return before
        return HashedList(key, await self.finish())

    async def _leave_known(self) -> None:
        """Read what was the same as in the known list."""
        known, self._known = self._known, None
        if known is not None and self._same:
            await self._read(known.body[: self._same])

    async def _read(self, part: bytes | bytearray) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._body is not None:
            self._body.append(part)
        if self._size >= LIST_BLOCK_BYTES:
            if self._stream is None:
                self._stream = self._reader.begin(keeps_elements=self._keeps_elements)
            await trio.to_thread.run_sync(self._stream.feed, self._take_block())

    def _take_block(self) -> bytes:
        block = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return block
