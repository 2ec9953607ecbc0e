"""Requests for placements of meetings, and the results of placing and joining. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.model import Meeting, MeetingId, PlacementOutcome, ServerId, TenantId
from appliance.tenants.limits import LimitUse


@dataclass(frozen=True, slots=True)
class PlaceNotes:
    """Additional results of placing or joining a meeting."""

    refused: LimitUse | None = None
    """The limit that is reached."""
    near: tuple[LimitUse, ...] = ()
    """Limits of which 80 % are in use now, each once an hour."""
    max_duration_min: int | None = None
    bbb_version: str | None = None
    """Of the meeting's server, if it was asked for."""


NO_NOTES = PlaceNotes()


@dataclass(frozen=True, slots=True)
class TagRequest:
    """The server tags that a create asks for; `none` in `tags` matches untagged servers."""

    tags: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Replaced:
    """The unconfirmed record that a placement replaces; compared with the stored one."""

    server_id: ServerId
    placement: int


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """Everything that the placement of one meeting depends on, except the pool itself."""

    meeting_id: MeetingId
    tenant_id: TenantId | None
    moderator_pw: str | None = field(repr=False)
    """Given by the front-end; None: keep the stored one, else use `new_moderator_pw`."""
    new_moderator_pw: str = field(repr=False)
    """Empty if `moderator_pw` is given."""
    voice_bridges: tuple[str, ...]
    """Candidates in order; the first free one is taken."""
    now_ms: int
    tie_breaker: float
    """Random number, 0 <= tie_breaker < 1, that selects among equally loaded servers."""
    tag: TagRequest | None = None
    size_hint: int | None = None
    max_participants: int | None = None
    excluded: frozenset[ServerId] = frozenset()
    """Servers on which this create has already failed."""
    only_server: ServerId | None = None
    """The server of a breakout room's parent, if the meeting is a breakout room."""
    replaces: Replaced | None = None
    own_passwords: bool = False
    """The front-end gave no password at all."""
    logout_url: str | None = None
    """Where the front-end wants people to go whose join fails."""
    ended_url: str | None = None  # the front-end's, should the create not be confirmed
    recorded: bool = False
    """The meeting may be recorded."""
    wants_version: bool = False
    """A parameter rule depends on the version of the server."""
    shares: bool = False
    """Versions of servers may have shares of the new meetings."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Result of a placement, with the meeting's record if there is one."""

    outcome: PlacementOutcome
    meeting: Meeting | None = None
    moved_from: ServerId | None = None
    """The previous server of the meeting, which is offline, disabled or removed."""
    notes: PlaceNotes = NO_NOTES
