"""The entity tags that equal objects have: MD5 digests of files, or of the digests of their parts.

Blocks. Source: Amazon S3 API reference, "Checking object integrity".
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from appliance.recordings.objects.keys import part_size

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
    offsets = range(0, max(size, 1), part_bytes)
    with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="s3-md5") as pool:
        return _tag_of_parts(list(pool.map(lambda at: _digest_of(path, at, part_bytes), offsets)))


def md5_header(digest: bytes) -> str:
    """Return an MD5 digest as the header Content-MD5 has it."""
    return base64.b64encode(digest).decode()


class PartDigests:
    """The digests of the parts of objects that are being uploaded. Source: boto3, "Events"."""

    def __init__(self) -> None:
        self._digests: dict[str, dict[int, bytes]] = {}

    def add(self, params: dict[str, Any], **_: object) -> None:
        """Have the store verify a part that boto3 is going to send, and remember its digest."""
        body, digest = params["Body"], md5()
        while chunk := body.read(_CHUNK_BYTES):
            digest.update(chunk)
        body.seek(0)
        params["ContentMD5"] = md5_header(digest.digest())
        self._digests.setdefault(params["Key"], {})[params["PartNumber"]] = digest.digest()

    def tag(self, key: str) -> str:
        """Return the tag of the object that consists of the parts of this key."""
        parts = self._digests[key]
        return _tag_of_parts([parts[number] for number in sorted(parts)])

    def forget(self, key: str) -> None:
        """Forget the parts of a key."""
        self._digests.pop(key, None)


def _tag_of_parts(digests: Sequence[bytes]) -> str:
    return f"{md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def _digest_of(path: Path, offset: int, size: int) -> bytes:
    digest, buffer = md5(), bytearray(_CHUNK_BYTES)
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while size > 0 and (count := file.readinto(memoryview(buffer)[:size])):
            digest.update(memoryview(buffer)[:count])
            size -= count
    return digest.digest()
