"""The body of a request that is passed on to a server."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestBody:
    """A body with its media type. `bytes` can be sent again, a stream only once."""

    content_type: str
    chunks: bytes | AsyncIterable[bytes]
    length: int | None
    """Length in bytes; None: unknown, so it is sent chunked."""

    @property
    def replayable(self) -> bool:
        """Whether the same body can be sent a second time."""
        return isinstance(self.chunks, bytes)
