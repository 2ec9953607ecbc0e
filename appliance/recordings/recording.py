"""A recording as a value, and the validation of ids and formats, which become parts of paths.

Source: Scalelite's tables (docs/stores.md) and the `metadata.xml` of BBB servers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.tenants.params import TENANT_KEY

RECORD_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""A recordID. Must match as a whole, since it becomes the name of a directory."""
FORMAT = re.compile(r"[a-z0-9_-]{1,64}")
"""The name of a format. Must match as a whole, since it becomes the name of a directory."""


class RecordingStates:
    """The values of `recordings.state`. It may also be NULL; such rows are listed with `any`
    only."""

    PROCESSING = "processing"
    PROCESSED = "processed"
    PUBLISHED = "published"
    UNPUBLISHED = "unpublished"
    DELETED = "deleted"

    LISTED = (PUBLISHED, UNPUBLISHED)
    """States that getRecordings lists by default."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One preview image of a format; `url` is a path."""

    width: int | None
    height: int | None
    alt: str | None
    url: str
    sequence: int


@dataclass(frozen=True, slots=True)
class PlaybackFormat:
    """One format in which a recording can be played; `url` is path and query."""

    format: str
    url: str
    length_min: int | None
    processing_time_ms: int | None
    thumbnails: tuple[Thumbnail, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording with its metadata and formats."""

    record_id: str
    meeting_id: str | None
    name: str | None
    published: bool
    state: str | None
    participants: int | None
    start_ms: int | None
    """Milliseconds since the epoch, like `end_ms`."""
    end_ms: int | None
    protected: bool = False
    publish_updated: bool = False
    """Whether a user published or unpublished it, so that an import must not."""
    metadata: tuple[tuple[str, str], ...] = ()
    formats: tuple[PlaybackFormat, ...] = ()
    id: int = 0
    """Id of the row in `recordings`; 0: not in the database yet."""

    @property
    def tenant_id(self) -> str | None:
        """Return the tenant of the recording, None if it has none."""
        return dict(self.metadata).get(TENANT_KEY) or None


def is_deleted(recording: Recording | None) -> bool:
    """Return whether the recording exists and was deleted."""
    return recording is not None and recording.state == RecordingStates.DELETED


def is_record_id(text: str) -> bool:
    """Whether a text is a valid recordID, and so a safe name of a directory."""
    return RECORD_ID.fullmatch(text) is not None


def is_format(text: str) -> bool:
    """Whether a text is a valid name of a format, and so a safe name of a directory."""
    return FORMAT.fullmatch(text) is not None
