"""Where the files of recordings are in a bucket, and with which headers they are stored.

Pure. Source: Scalelite's recording_importer.rb, whose objects are found and which finds these:
`{published|unpublished}/{format}/{recordID}/{path}`, here below S3_PREFIX.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from appliance.http.content_types import content_type_of
from appliance.recordings.recording import is_format, is_record_id

PART_BYTES = 16 << 20
"""Size from which files are uploaded in parts, and of each part."""
MAX_PARTS = 10_000
_MAX_KEY_BYTES = 1024 - len("un")
"""S3's limit, less what the key of a published file grows by when it is unpublished."""
_DOWNLOADED = (".pdf", ".ogg")
"""Files that Scalelite stores as attachments."""


@dataclass(frozen=True, slots=True)
class ObjectKeys:
    """The keys below a prefix, which has no slash at its ends and may be empty."""

    prefix: str

    def state(self, *, published: bool) -> str:
        """Return what the keys of all published or all unpublished files begin with."""
        name = "published/" if published else "unpublished/"
        return f"{self.prefix}/{name}" if self.prefix else name

    def directory(self, format: str, record_id: str, *, published: bool) -> str:
        """Return what the keys of a format begin with. Raises ValueError: these are no names."""
        if not (is_format(format) and is_record_id(record_id)):
            raise ValueError("not a format and a recordID")
        return f"{self.state(published=published)}{format}/{record_id}/"

    def probe(self, name: str) -> str:
        """Return the key of an object with which doctor tries its rights."""
        return f"{self.prefix}/{name}" if self.prefix else name


def is_key(text: str) -> bool:
    """Return whether an object can have a key: text without control characters and surrogates.

    Nor U+FFFE and U+FFFF, which XML, in which objects are deleted, cannot hold.
    """
    if any(char in "\ufffe\uffff" or unicodedata.category(char) in ("Cc", "Cs") for char in text):
        return False
    return len(text.encode()) <= _MAX_KEY_BYTES


def object_headers(name: str) -> dict[str, str]:
    """Return the arguments of an upload that depend on the file."""
    headers = {"ContentType": content_type_of(name)}
    if name.lower().endswith(_DOWNLOADED):
        headers["ContentDisposition"] = "attachment"
    return headers


def part_size(size: int) -> int:
    """Return the size of the parts of a file; larger than PART_BYTES for more than 156 GiB."""
    smallest = -(-size // MAX_PARTS)
    return max(PART_BYTES, -(-smallest // PART_BYTES) * PART_BYTES)
