"""The answers of the admin calls about servers. Pure.

Fields that Scalelite has keep its names and types (Scalelite's docs/api-README.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Meta
from msgspec.structs import replace

from appliance.admin_calls.call import Answer
from appliance.admin_calls.secrets import Secret
from appliance.bbb.endpoint import host_labels, host_of
from appliance.model import Server, ServerId, ServerState
from appliance.pool.ending import EndOutcome, EndResult
from appliance.servers.administration import PoolStatus
from appliance.servers.maintenance.calls import MaintenanceJson
from appliance.servers.polling import PollResult
from appliance.servers.values import MAX_PORT

NO_MAINTENANCE: Mapping[ServerId, MaintenanceJson] = MappingProxyType({})
UNAVAILABLE: Literal["unavailable"] = "unavailable"

Number = Annotated[int, Meta(ge=0)]
Online = Literal["online", "offline"]
Load = Annotated[
    float | Literal["unavailable"],
    Meta(description="`unavailable` if the server takes no meetings."),
]
Multiplier = Annotated[str, Meta(pattern=r"^[0-9.e+-]+$", description="A number, as a text.")]
Owed = Annotated[
    int,
    Meta(ge=0, description="Recordings of meetings that have ended there which have not arrived."),
]
Awaited = Annotated[
    int,
    Meta(ge=0, description="Those of them that are younger than RECORDING_OWED_HOURS."),
]
Maximum = Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="null: there is no limit.")]
NextMaintenance = Annotated[
    MaintenanceJson | None,
    Meta(description="Under way, or the next; only in lists, getServerInfo and getStatus."),
]


class ServerJson(Answer, frozen=True):
    """A server, with its secret."""

    id: str
    url: str
    secret: Secret
    tag: Annotated[str, Meta(description="Empty: none.")]
    bbb_version: Annotated[str, Meta(description="Empty: not known.")]
    state: ServerState
    load: Load
    load_multiplier: Multiplier
    online: Online
    max_meetings: Maximum
    max_users: Maximum
    dial_in: Annotated[
        str, Meta(description="Template of dial strings of calls; empty: FSAPI_BRIDGE.")
    ]
    dial_in_port: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_PORT)] | None, Meta(description="null: 5060.")
    ]
    recordings_owed: Owed
    recordings_awaited: Awaited
    maintenance: NextMaintenance = None


class ServerStatusJson(Answer, frozen=True):
    """A row of the status table."""

    hostname: str
    id: str
    url: str
    state: ServerState
    status: Literal["online", "offline", "unstable"]
    meetings: Number
    users: Number
    largest_meeting: Number
    videos: Number
    load: Load
    bbb_version: str
    tag: str
    load_multiplier: Multiplier
    online: Online
    max_meetings: Maximum
    max_users: Maximum
    recordings_owed: Owed
    recordings_awaited: Awaited
    maintenance: NextMaintenance = None


class PollJson(Answer, frozen=True):
    """The result of a poll."""

    id: str
    hostname: str
    state: ServerState
    succeeded: bool
    reason: Annotated[str, Meta(description="Why it failed.")]
    online: Online
    meetings: Number
    users: Number
    load: Load
    bbb_version: str


class EndedMeetingJson(Answer, frozen=True):
    """The result of ending a meeting."""

    id: str
    server_id: str
    outcome: Annotated[
        EndOutcome,
        Meta(
            description="gone: its server does not know it any more; skipped: forgotten without a "
            "call."
        ),
    ]
    reason: Annotated[str, Meta(description="Why it failed.")]


class PoolStatusJson(Answer, frozen=True):
    """The state of the pool, without secrets."""

    servers: list[ServerStatusJson]
    meetings: Number
    users: Number
    available: Annotated[int, Meta(ge=0, description="Number of servers that take meetings.")]


class DeletedServerJson(Answer, frozen=True):
    """deleteServer."""

    success: str


class ClearedServerJson(Answer, frozen=True):
    """panicServer."""

    success: str
    state: ServerState
    meetings: list[EndedMeetingJson]


class EnabledServerJson(ServerStatusJson, frozen=True, kw_only=True):
    """enableServer."""

    poll: PollJson | None


class DisabledServerJson(ServerStatusJson, frozen=True, kw_only=True):
    """disableServer."""

    ended: list[EndedMeetingJson]


def server_json(server: Server, maintenance: MaintenanceJson | None = None) -> ServerJson:
    """Render a server as getServers does."""
    return ServerJson(
        id=server.id,
        url=server.url,
        secret=server.secret,
        tag=server.tag or "",
        bbb_version=server.bbb_version or "",
        state=server.state,
        load=UNAVAILABLE if server.load is None else server.load,
        load_multiplier=_multiplier(server),
        online=_online(server.online),
        max_meetings=server.max_meetings,
        max_users=server.max_users,
        dial_in=server.dial_in or "",
        dial_in_port=server.dial_in_port,
        recordings_owed=server.recordings_owed,
        recordings_awaited=server.recordings_awaited,
        maintenance=maintenance,
    )


def server_status_json(
    server: Server, hostname: str | None = None, maintenance: MaintenanceJson | None = None
) -> ServerStatusJson:
    """Render a row of the status table; `hostname`: a label that is unique in the table."""
    return ServerStatusJson(
        hostname=hostname or host_of(server.url),
        id=server.id,
        url=server.url,
        state=server.state,
        status="unstable" if server.unstable else _online(server.online),
        meetings=server.meetings,
        users=server.users,
        largest_meeting=server.largest_meeting,
        videos=server.videos,
        load=UNAVAILABLE if server.load is None else server.load,
        bbb_version=server.bbb_version or "",
        tag=server.tag or "",
        load_multiplier=_multiplier(server),
        online=_online(server.online),
        max_meetings=server.max_meetings,
        max_users=server.max_users,
        recordings_owed=server.recordings_owed,
        recordings_awaited=server.recordings_awaited,
        maintenance=maintenance,
    )


def _multiplier(server: Server) -> str:
    return str(float(server.load_multiplier))


def _online(online: bool) -> Online:
    return "online" if online else "offline"


def status_json(
    status: PoolStatus, maintenance: Mapping[ServerId, MaintenanceJson] = NO_MAINTENANCE
) -> PoolStatusJson:
    """Render the state of the pool."""
    labels = host_labels([server.url for server in status.servers])
    windows = [maintenance.get(server.id) for server in status.servers]
    return PoolStatusJson(
        servers=list(map(server_status_json, status.servers, labels, windows)),
        meetings=status.meetings,
        users=status.users,
        available=status.available,
    )


def polls_json(results: Sequence[PollResult]) -> list[PollJson]:
    """Render the results of several polls."""
    labels = host_labels([result.server.url for result in results])
    return list(map(poll_json, results, labels))


def poll_json(result: PollResult, hostname: str | None = None) -> PollJson:
    """Render the result of a poll; `hostname`: a label that is unique among several."""
    return PollJson(
        id=result.server.id,
        hostname=hostname or host_of(result.server.url),
        state=result.server.state,
        succeeded=result.succeeded,
        reason=result.reason,
        online=_online(result.online),
        meetings=result.meetings,
        users=result.users,
        load=UNAVAILABLE if result.load is None else result.load,
        bbb_version=result.bbb_version or "",
    )


def ended_json(meetings: Sequence[EndResult]) -> list[EndedMeetingJson]:
    """Render the results of ending meetings."""
    return [
        EndedMeetingJson(id=one.id, server_id=one.server_id, outcome=one.outcome, reason=one.reason)
        for one in meetings
    ]


# --- examples ------------------------------------------------------------------------------------

SERVER_ID = "3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10"
URL_EXAMPLE = "https://bbb1.example.com/bigbluebutton/api"
SERVER_EXAMPLE = ServerJson(
    id=SERVER_ID,
    url=URL_EXAMPLE,
    secret="SERVER-SECRET",
    tag="",
    bbb_version="3.0.4",
    state=ServerState.ENABLED,
    load=12.0,
    load_multiplier="1.0",
    online="online",
    max_meetings=None,
    max_users=None,
    dial_in="sofia/external/{pin}@{host}:{port}",
    dial_in_port=5062,
    recordings_owed=0,
    recordings_awaited=0,
)
NEW_SERVER_EXAMPLE = replace(
    SERVER_EXAMPLE, bbb_version="", state=ServerState.DISABLED, load=UNAVAILABLE, online="offline"
)
STATUS_EXAMPLE = ServerStatusJson(
    hostname="bbb1.example.com",
    id=SERVER_ID,
    url=URL_EXAMPLE,
    state=ServerState.ENABLED,
    status="online",
    meetings=3,
    users=41,
    largest_meeting=25,
    videos=9,
    load=12.0,
    bbb_version="3.0.4",
    tag="",
    load_multiplier="1.0",
    online="online",
    max_meetings=None,
    max_users=None,
    recordings_owed=0,
    recordings_awaited=0,
)
POLL_EXAMPLE = PollJson(
    id=SERVER_ID,
    hostname="bbb1.example.com",
    state=ServerState.ENABLED,
    succeeded=True,
    reason="",
    online="online",
    meetings=3,
    users=41,
    load=12.0,
    bbb_version="3.0.4",
)
ENDED_EXAMPLE = EndedMeetingJson(
    id="room-7", server_id=SERVER_ID, outcome=EndOutcome.ENDED, reason=""
)
