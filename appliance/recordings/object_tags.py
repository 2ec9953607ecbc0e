"""The entity tags that equal objects have: MD5 digests of files, or of the digests of their parts.

Blocks. Source: Amazon S3 API reference, "Checking object integrity".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from appliance.recordings.objects.keys import part_size
from appliance.recordings.objects.tar_slices import Content, open_content

_CHUNK_BYTES = 1 << 18
_READ_AT_ONCE = 2
md5 = partial(hashlib.md5, usedforsecurity=False)


def expected_tag(path: Path, size: int, tag: str) -> str | None:
    """Return the tag of an equal object that was stored like that of `tag`; None: not known."""
    _, dash, parts = tag.partition("-")
    if not dash:
        with path.open("rb") as file:
            return hashlib.file_digest(file, md5).hexdigest()
    part_bytes = part_size(size)
    if parts != str(max(1, -(-size // part_bytes))):
        return None
    return tag_in_parts(path, size, part_bytes)


def tag_in_parts(
    content: Content, size: int, part_bytes: int, stop: Callable[[], bool] = lambda: False
) -> str:
    """Return the tag of a file that is uploaded in parts; several are read at once."""

    def digest(offset: int) -> bytes:
        return b"" if stop() else _digest_of(content, offset, part_bytes)

    offsets = range(0, max(size, 1), part_bytes)
    with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="s3-md5") as pool:
        digests = b"".join(pool.map(digest, offsets))
    return f"{md5(digests).hexdigest()}-{len(offsets)}"


def _digest_of(content: Content, offset: int, size: int) -> bytes:
    digest, buffer = md5(), bytearray(_CHUNK_BYTES)
    with open_content(content) as file:
        file.seek(offset)
        while size > 0 and (count := file.readinto(memoryview(buffer)[:size])):
            digest.update(memoryview(buffer)[:count])
            size -= count
    return digest.digest()
