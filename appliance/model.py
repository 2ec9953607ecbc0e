"""Values that several features share: servers, meetings, tenants, rules of placement.

Data only: the rules and the I/O are in the feature folders. Source of the fields: Scalelite's Redis
records and the appliance's additions to them (docs/stores.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

ServerId = NewType("ServerId", str)
MeetingId = NewType("MeetingId", str)
TenantId = NewType("TenantId", str)


class ServerState(StrEnum):
    """Administrative state of a server, set by the operator."""

    ENABLED = "enabled"
    CORDONED = "cordoned"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Target:
    """Address and credentials of one BBB server: everything that a request to it needs."""

    id: ServerId
    url: str
    """API endpoint as stored, with or without a trailing slash."""
    secret: str = field(repr=False)
    online: bool = True
    """False: known to be offline, so calls get a tenth of the timeouts."""


@dataclass(frozen=True, slots=True)
class Server:
    """One BBB server of the pool, as stored."""

    id: ServerId
    url: str
    secret: str = field(repr=False)
    state: ServerState = ServerState.DISABLED
    online: bool = False
    load_multiplier: float = 1.0
    tag: str | None = None
    max_meetings: int | None = None
    max_users: int | None = None
    dial_in: str | None = None
    """Template of the dial string of calls to its meetings; None: FSAPI_BRIDGE."""
    dial_in_port: int | None = None
    """The port for it; None: that of SIP."""
    load: float | None = None
    """None: in no load set, because it was never measured, is offline or is disabled."""
    meetings: int = 0
    users: int = 0
    largest_meeting: int = 0
    videos: int = 0
    bbb_version: str | None = None
    unhealthy_count: int = 0
    suspected: bool = False
    """A call to it failed since its last poll."""
    unstable: bool = False
    """Online, but its last poll or a call since failed: placement prefers other servers. Decided by
    `is_unstable` in lib.lua, for placements and for this field."""
    recordings_owed: int = 0
    """Recordings of ended meetings that have not arrived; only where operators are shown it."""
    recordings_awaited: int = 0
    """Those of them that keep it from being removed (RECORDING_OWED_HOURS)."""

    @property
    def target(self) -> Target:
        """Return the address and credentials of this server."""
        return Target(self.id, self.url, self.secret, self.online)

    @property
    def takes_meetings(self) -> bool:
        """Return whether new meetings may be placed on this server."""
        return self.online and self.state is ServerState.ENABLED


@dataclass(frozen=True, slots=True)
class Meeting:
    """One meeting record of the pool, with the server that has the meeting."""

    id: MeetingId
    server_id: ServerId
    moderator_pw: str = field(repr=False)
    voice_bridge: str
    tenant_id: TenantId | None = None
    placement: int = 0
    """Number of the placement that wrote this record, 0 if Scalelite wrote it. Moving, removing and
    confirming compare it and `server_id` before they change the record."""
    confirmed: bool = True
    """False until a create was answered with SUCCESS."""
    creating: bool = False
    """Not confirmed, and the request that placed it may still be running."""
    server: Target | None = None
    """None: the server was removed from the pool."""
    server_state: ServerState = ServerState.DISABLED
    server_tag: str | None = None
    own_passwords: bool = False
    """The create that placed it gave no password, so that its server got the appliance's own."""
    run_ms: int | None = None
    """Arrival time of the create that began the current run; None: not recorded. A server's answer
    that the meeting has ended refers to the run that was recorded before the server was asked."""

    @property
    def reachable(self) -> bool:
        """Whether users may be sent to the meeting's server now."""
        return (
            self.server is not None
            and self.server.online
            and self.server_state is not ServerState.DISABLED
        )


@dataclass(frozen=True, slots=True)
class Keycloak:
    """Source of access tokens for a tenant's LRS: the password grant of OAuth."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lrs:
    """The learning record store of a tenant, to which BBB servers send xAPI statements."""

    endpoint: str
    username: str = ""
    password: str = field(default="", repr=False)
    keycloak: Keycloak | None = None
    """If set, an access token is used instead of user name and password."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant; its requests are recognised by its host label."""

    id: TenantId
    name: str
    secrets: tuple[str, ...] = field(repr=False)
    default_create: tuple[tuple[str, str], ...] = ()
    override_create: tuple[tuple[str, str], ...] = ()
    default_join: tuple[tuple[str, str], ...] = ()
    override_join: tuple[tuple[str, str], ...] = ()
    lrs: Lrs | None = None
    create_rules: tuple[ParamRule, ...] = ()
    join_rules: tuple[ParamRule, ...] = ()


@dataclass(frozen=True, slots=True)
class ParamRule:
    """How a parameter of create or join is changed; tenants/param_rules.py applies it."""

    param: str
    mode: str
    value: str = field(default="", repr=False)
    version: str = ""
    """Pattern of the versions of BBB servers that it is for; empty: all."""


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """The record of a listed meeting, if the appliance placed it."""

    moved_from: str = ""
    """The server that it was moved from, empty if it was not."""
    run_ms: int = 0
    """Arrival time of the create of the run that is recorded; 0: none is."""
    created: int = 0
    """createTime of that run."""


@dataclass(frozen=True, slots=True)
class KnownMeeting:
    """A meeting whose server does not answer, as of the last poll."""

    id: MeetingId
    tenant_id: TenantId | None
    name: str
    """Empty: unknown."""
    created_ms: int | None
    """createTime; None: unknown."""
    participants: int
    moderators: int
    videos: int
    voice_bridge: str
    original_id: str | None = None
    """The front-end's id, where `id` holds only its hash (tenants/scoped_id.py)."""


class PlacementOutcome(StrEnum):
    """Result of a placement."""

    PLACED = "placed"
    KNOWN = "known"
    FOREIGN = "foreign"
    """The id belongs to another tenant's meeting."""
    ENDING = "ending"
    """The only eligible servers are those that an `end` of this meeting may still reach."""
    END_FIRST = "end_first"
    """A front-end asked for the end of this meeting, which may still run on the selected server."""
    NO_SERVER = "no_server"
    NO_TAGGED_SERVER = "no_tagged_server"
    NO_VOICE_BRIDGE = "no_voice_bridge"
    LIMITED = "limited"
    """A limit of the tenant is reached."""


@dataclass(frozen=True, slots=True)
class LoadWeights:
    """The weights in the load of a meeting; see `load_of` in redis/lib.lua."""

    user: float = 1.0
    video: float = 0.0
    voice: float = 0.0
    meeting: float = 0.0

    def to_script(self) -> dict[str, float]:
        """Return the weights as scripts take them."""
        return {
            "user": self.user,
            "video": self.video,
            "voice": self.voice,
            "meeting": self.meeting,
        }


@dataclass(frozen=True, slots=True)
class PlacementRules:
    """Settings that placements and meeting records depend on."""

    weights: LoadWeights | None = None
    """None: Scalelite's formula."""
    count_moderators_twice: bool = True
    """In Scalelite's formula."""
    min_user_count: int = 15
    join_buffer_ms: int = 15 * 60_000
    forecast: bool = True
    ttl_s: int = 86_400
    creating_ms: int = 20_000
    """How long a record counts as being created: longer than any create can take."""
    size_cap: int = 500
    """A forecast reserves at most this many users for one meeting."""
    avoid_ms: int = 30_000
    """How long a server is avoided for a meeting after an ambiguous failure to create it."""
