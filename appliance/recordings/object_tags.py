"""The entity tags that equal objects have: MD5 digests of files, or of the digests of their parts.

Blocks. Source: Amazon S3 API reference, "Checking object integrity".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from appliance.recordings.objects.keys import part_size

_CHUNK_BYTES = 1 << 20
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
    path: Path, size: int, part_bytes: int, stop: Callable[[], bool] = lambda: False
) -> str:
    """Return the tag of a file that is uploaded in parts."""
    digests, parts = md5(), max(1, -(-size // part_bytes))
    with path.open("rb") as file:
        for _ in range(parts):
            if stop():
                break
            digests.update(_digest_of(file, part_bytes))
    return f"{digests.hexdigest()}-{parts}"


def _digest_of(file: Any, size: int) -> bytes:
    digest = md5()
    while size > 0 and (chunk := file.read(min(size, _CHUNK_BYTES))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.digest()
