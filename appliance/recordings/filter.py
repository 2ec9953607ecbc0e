"""The filter of a getRecordings call, parsed from its parameters.

A filter that cannot match lists nothing, never everything: a list may be empty after its empty
elements were dropped. Pure. Source: BigBlueButton API reference, getRecordings; several meta_
filters are OR-ed, as in Scalelite.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.bbb.params import META, Params, get
from appliance.recordings.recording import RecordingStates
from appliance.tenants.scoped_id import scoped_id

_MAX_PAGE = 2**53
"""Maximum of offset and limit; PostgreSQL rejects numbers above 63 bits."""
_MAX_DIGITS = 16
"""Longer numbers exceed _MAX_PAGE, and parsing very long ones takes time."""


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """Conditions on recordings; None is no condition, an empty tuple matches nothing."""

    meeting_ids: tuple[str, ...] | None = None
    record_id_prefixes: tuple[str, ...] | None = None
    states: tuple[str, ...] | None = RecordingStates.LISTED
    metadata: tuple[tuple[str, str], ...] | None = None
    """(key, value) pairs, of which one must match."""
    tenant_id: str | None = None
    offset: int = 0
    limit: int | None = None
    paged: bool = False
    """Whether offset or limit was given."""

    @property
    def names_recordings(self) -> bool:
        """Whether it has meeting or recording ids (GET_RECORDINGS_API_FILTERED)."""
        return self.meeting_ids is not None or self.record_id_prefixes is not None

    @property
    def matches_nothing(self) -> bool:
        """Whether no recording can match, so that no query is needed."""
        lists = (self.meeting_ids, self.record_id_prefixes, self.states, self.metadata)
        return any(wanted is not None and not wanted for wanted in lists) or self.limit == 0


def read_filter(params: Params, tenant_id: str | None) -> RecordingFilter:
    """Parse the filter of a getRecordings call; invalid `offset` and `limit` are ignored.

    An empty parameter is no filter, as in BBB. Meetings of a tenant are searched under both their
    plain and their scoped id.
    """
    meeting_ids = _elements(get(params, "meetingID"))
    if meeting_ids is not None and tenant_id:
        meeting_ids += tuple([scoped_id(one, tenant_id) for one in meeting_ids])
    offset, limit = _number(get(params, "offset")), _number(get(params, "limit"))
    return RecordingFilter(
        meeting_ids=meeting_ids,
        record_id_prefixes=_elements(get(params, "recordID")),
        states=_states(get(params, "state")),
        metadata=_metadata(params),
        tenant_id=tenant_id,
        offset=offset or 0,
        limit=limit,
        paged=offset is not None or limit is not None,
    )


def split_ids(text: str | None) -> tuple[str, ...]:
    """Return the distinct non-empty elements of a comma-separated list, in order."""
    return _elements(text) or ()


def _elements(text: str | None) -> tuple[str, ...] | None:
    if not text:
        return None
    # Text in PostgreSQL cannot contain NUL, so an element with one matches nothing.
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part and "\0" not in part))


def _states(text: str | None) -> tuple[str, ...] | None:
    states = _elements(text)
    if states is None:
        return RecordingStates.LISTED
    return None if "any" in states else states


def _metadata(params: Params) -> tuple[tuple[str, str], ...] | None:
    pairs: dict[tuple[str, str], None] = {}
    filtered = False
    for name, text in params:
        if not name.startswith(META):
            continue
        filtered = True
        key = name.removeprefix(META)
        for value in text.split(","):
            if "\0" not in key + value:
                # BBB lower-cases keys of a create, but not those that it adds itself.
                pairs |= {(key, value): None, (key.lower(), value): None}
    return tuple(pairs) if filtered else None


def _number(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    return min(int(digits or "0"), _MAX_PAGE) if len(digits) <= _MAX_DIGITS else _MAX_PAGE
