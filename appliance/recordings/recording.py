"""What a recording is: the rows of one recording as a value, and what may become part of a path.

Holds data only; rules live beside it. Truth: Scalelite's tables (spec: PostgreSQL) and the
`metadata.xml` of BBB servers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.tenants.params import TENANT_KEY

RECORD_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""A recordID; matched as a whole, since it becomes the name of a directory."""
FORMAT = re.compile(r"[a-z0-9_-]{1,64}")
"""The name of a playback format; matched as a whole, since it becomes the name of a directory."""


class RecordingStates:
    """The values of `recordings.state`; NULL is possible too and is listed with `any` only."""

    PROCESSING = "processing"
    PROCESSED = "processed"
    PUBLISHED = "published"
    UNPUBLISHED = "unpublished"
    DELETED = "deleted"

    LISTED = (PUBLISHED, UNPUBLISHED)
    """What getRecordings lists if the front-end names no state."""


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
    """One recording with all that belongs to it."""

    record_id: str
    meeting_id: str | None
    name: str | None
    published: bool
    state: str | None
    participants: int | None
    start_ms: int | None
    """Milliseconds since the epoch, as `end_ms`."""
    end_ms: int | None
    protected: bool = False
    publish_updated: bool = False
    """Whether a user published or unpublished it, so that an import must not."""
    metadata: tuple[tuple[str, str], ...] = ()
    formats: tuple[PlaybackFormat, ...] = ()
    id: int = 0
    """Of the row in `recordings`; 0 for one that is in no database yet."""

    @property
    def tenant_id(self) -> str | None:
        """Return whose recording it is, None for nobody's."""
        return dict(self.metadata).get(TENANT_KEY) or None


def is_record_id(text: str) -> bool:
    """Whether a text may be a recordID, and so a directory's name."""
    return RECORD_ID.fullmatch(text) is not None


def is_format(text: str) -> bool:
    """Whether a text may be a format's name, and so a directory's name."""
    return FORMAT.fullmatch(text) is not None
