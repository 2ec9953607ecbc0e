"""The things the appliance deals in: servers, meetings, placements.

Holds data only; rules live beside it, I/O in `operations` and `adapters`.
Source of the fields: Scalelite's Redis records and our own additions to them (docs/stores.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

ServerId = NewType("ServerId", str)
MeetingId = NewType("MeetingId", str)
TenantId = NewType("TenantId", str)


class ServerState(StrEnum):
    """What the operator decided about a server."""

    ENABLED = "enabled"
    CORDONED = "cordoned"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Target:
    """Where one BBB server is called: all that a request to it needs."""

    id: ServerId
    url: str
    """API endpoint as stored, with or without a trailing slash."""
    secret: str = field(repr=False)
    online: bool = True
    """False: a server known to be offline gets a tenth of the timeouts."""


@dataclass(frozen=True, slots=True)
class Server:
    """One BBB server of the pool, as the stores know it."""

    id: ServerId
    url: str
    secret: str = field(repr=False)
    state: ServerState = ServerState.DISABLED
    online: bool = False
    load_multiplier: float = 1.0
    tag: str | None = None
    max_meetings: int | None = None
    max_users: int | None = None
    load: float | None = None
    """None: not in a load set, so never measured, offline or disabled."""
    meetings: int = 0
    users: int = 0
    largest_meeting: int = 0
    videos: int = 0
    bbb_version: str | None = None
    unhealthy_count: int = 0
    suspected: bool = False
    """A call to it failed since its last poll."""
    silent: bool = False
    """One of those got no answer."""

    @property
    def unstable(self) -> bool:
        """Online, but its last poll or call failed: new meetings go elsewhere if they can."""
        return self.online and (self.unhealthy_count > 0 or self.suspected)

    @property
    def hanging(self) -> bool:
        """Whether to wait for an answer of it is probably in vain."""
        return self.online and (self.unhealthy_count > 0 or self.silent)

    @property
    def target(self) -> Target:
        """Return where this server is called."""
        return Target(self.id, self.url, self.secret, self.online)


@dataclass(frozen=True, slots=True)
class Meeting:
    """One meeting record of the pool, with the server it lives on."""

    id: MeetingId
    server_id: ServerId
    moderator_pw: str = field(repr=False)
    voice_bridge: str
    tenant_id: TenantId | None = None
    placement: int = 0
    """Number of the placement that made this record, 0 for a record of Scalelite's. With
    `server_id` it is what moving, removing and confirming compare before they set."""
    confirmed: bool = True
    """False until a create of it was answered with SUCCESS."""
    creating: bool = False
    """Not confirmed, and the request that placed it may still be at work."""
    server: Target | None = None
    """None: the server was removed from the pool."""
    server_state: ServerState = ServerState.DISABLED
    server_tag: str | None = None
    run_ms: int | None = None
    """When the create came that began the run its server has; None: nobody has noted. What a server
    says of an end is about the run that was known before it was asked."""

    @property
    def reachable(self) -> bool:
        """Whether users may be sent to its server now."""
        return (
            self.server is not None
            and self.server.online
            and self.server_state is not ServerState.DISABLED
        )


@dataclass(frozen=True, slots=True)
class Keycloak:
    """Where access tokens for a tenant's LRS are had, by the password grant of OAuth."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lrs:
    """The learning record store of a tenant, to which its servers send xAPI statements."""

    endpoint: str
    username: str = ""
    password: str = field(default="", repr=False)
    keycloak: Keycloak | None = None
    """A token of it is used in place of user name and password."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant: whose requests come to its own host label."""

    id: TenantId
    name: str
    secrets: tuple[str, ...] = field(repr=False)
    default_create: tuple[tuple[str, str], ...] = ()
    override_create: tuple[tuple[str, str], ...] = ()
    default_join: tuple[tuple[str, str], ...] = ()
    override_join: tuple[tuple[str, str], ...] = ()
    lrs: Lrs | None = None


@dataclass(frozen=True, slots=True)
class ListedMeeting:
    """One `<meeting>` of a server's getMeetings answer: what load and counts need of it."""

    id: str
    create_time_ms: int
    participants: int
    moderators: int
    videos: int
    is_breakout: bool


@dataclass(frozen=True, slots=True)
class TagRequest:
    """What a create asks of a server's tag; `none` in `tags` matches untagged servers."""

    tags: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Replaced:
    """The record that a placement takes the place of: compared before anything is set."""

    server_id: ServerId
    placement: int
    even_if_confirmed: bool = False
    """True where the server itself said that it does not know the meeting (any more)."""
    may_exist: bool = False
    """The server may have created it, so it is ended there should it show up."""


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """Everything the placement of one meeting depends on, but for the pool itself."""

    meeting_id: MeetingId
    tenant_id: TenantId | None
    moderator_pw: str | None = field(repr=False)
    """Given by the front-end; None: keep the stored one, else take `new_moderator_pw`."""
    new_moderator_pw: str = field(repr=False)
    voice_bridges: tuple[str, ...]
    """Candidates in order; the first that is free is taken."""
    now_ms: int
    tie_breaker: float
    """Random number, 0 <= tie_breaker < 1, that chooses among equally loaded servers."""
    tag: TagRequest | None = None
    size_hint: int | None = None
    max_participants: int | None = None
    excluded: frozenset[ServerId] = frozenset()
    """Servers that failed this create already."""
    replaces: Replaced | None = None


class PlacementOutcome(StrEnum):
    """What a placement came to."""

    PLACED = "placed"
    KNOWN = "known"
    FOREIGN = "foreign"
    """The id belongs to another tenant's meeting."""
    NO_SERVER = "no_server"
    NO_TAGGED_SERVER = "no_tagged_server"
    NO_VOICE_BRIDGE = "no_voice_bridge"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a meeting is, after it was placed or found to be placed."""

    outcome: PlacementOutcome
    meeting: Meeting | None = None
    moved_from: ServerId | None = None
    """The server that was offline, gone or disabled and held the meeting before."""


@dataclass(frozen=True, slots=True)
class SeenMeeting:
    """One listed meeting, as a poll hands it to the store."""

    id: str
    contribution: float
    """What it adds to its server's load."""
    participants: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What one successful poll of a server found."""

    server_id: ServerId
    began_ms: int
    now_ms: int
    joins_before: float
    """`PollStart.joins` when the poll began."""
    load: float
    meetings: int
    users: int
    largest_meeting: int
    videos: int
    listed: tuple[SeenMeeting, ...]
    bbb_version: str | None = None


@dataclass(frozen=True, slots=True)
class PollStart:
    """What the store says when a poll begins."""

    state: ServerState
    joins: float
    """Load that joins have added to the server since ever; its growth is kept by the poll."""


@dataclass(frozen=True, slots=True)
class ObservationResult:
    """What changed by a successful poll."""

    known: bool = True
    """False: the server is gone from the pool, or disabled."""
    online: bool = False
    came_online: bool = False
    auto_disabled: bool = False
    """It was cordoned and is empty now."""
    load: float = 0.0
    taken_back: tuple[MeetingId, ...] = ()
    to_end: tuple[tuple[MeetingId, str], ...] = field(default=(), repr=False)
    """Meetings (id, moderator password) that run there but have a newer home."""
    missing: tuple[tuple[MeetingId, int], ...] = ()
    """Meetings of ours (id, placement) that the server did not list."""


@dataclass(frozen=True, slots=True)
class FailureResult:
    """What changed by a failed poll."""

    known: bool = True
    unhealthy_count: int = 0
    went_offline: bool = False
    detached: int = 0
    """Number of meetings that were detached with it."""


@dataclass(frozen=True, slots=True)
class ServerChange:
    """What to set of a server; None leaves it, an empty tag and a limit of 0 remove it."""

    url: str | None = None
    secret: str | None = field(default=None, repr=False)
    load_multiplier: float | None = None
    tag: str | None = None
    max_meetings: int | None = None
    max_users: int | None = None
    state: ServerState | None = None


@dataclass(frozen=True, slots=True)
class PlacementRules:
    """The settings that placements and meeting records depend on."""

    min_user_count: int = 15
    join_buffer_ms: int = 15 * 60_000
    forecast: bool = True
    ttl_s: int = 86_400
    creating_ms: int = 20_000
    """How long a record counts as being created: longer than any create can take."""
    size_cap: int = 500
    """No forecast reserves more users than this for one meeting."""
    avoid_ms: int = 30_000
    """How long a server that failed a create ambiguously is avoided for the same meeting."""
    suspect_ms: int = 30_000
    """How long a failed call counts against a server if no poll decides before."""
