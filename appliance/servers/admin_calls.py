"""The admin calls about servers.

Calls that Scalelite has keep its names, fields and status codes (Scalelite's docs/api-README.md).
The answers are in admin_types.py, calls about the whole pool in admin_pool_calls.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import asdict, replace

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import ID_MISSING, LONG_S, AdminCall, Call
from appliance.admin_calls.fields import (
    FLAG_VALUES,
    BadRequest,
    Fields,
    Flag,
    NoFields,
    OptionalNumber,
    OptionalText,
    OptionalWhole,
    Text,
    flag,
    nested,
    one_of,
    reads,
    text,
    whole,
)
from appliance.admin_calls.refusal import ErrorAnswer, ErrorJson, no_server
from appliance.model import ServerState
from appliance.servers import administration as servers
from appliance.servers import clearing as server_clearing
from appliance.servers.admin_types import (
    ENDED_EXAMPLE,
    NEW_SERVER_EXAMPLE,
    POLL_EXAMPLE,
    SERVER_EXAMPLE,
    SERVER_ID,
    STATUS_EXAMPLE,
    URL_EXAMPLE,
    ClearedServerJson,
    DeletedServerJson,
    DisabledServerJson,
    EnabledServerJson,
    ServerJson,
    ServerStatusJson,
    ended_json,
    poll_json,
    server_json,
    server_status_json,
)
from appliance.servers.audited import ONE_SERVER
from appliance.servers.deps import ServerDeps
from appliance.servers.maintenance.calls import maintenance_of
from appliance.servers.values import MAX_LIMIT, MAX_PORT, NewServer, ServerChange
from appliance.system.threads import run_counted

NO_SERVER = {404: "There is no server with this id."}
_STATES = {
    "enable": ServerState.ENABLED,
    "cordon": ServerState.CORDONED,
    "disable": ServerState.DISABLED,
}
"""Scalelite's words in updateServer."""


# --- requests ------------------------------------------------------------------------------------


def _read_id(fields: Mapping[str, Any], name: str) -> str:
    found = text(fields, name) or text(nested(fields, "server"), name)
    if not found:
        raise no_server(ID_MISSING)
    return found


def _read_flag(fields: Mapping[str, Any], name: str) -> bool:
    return flag({**fields, **nested(fields, "server")}, name)


IdField = Annotated[
    str, Meta(min_length=1, description="The id, as the lists show it."), reads(_read_id)
]
"""May stand beside or inside `server`."""
FlagField = Annotated[bool, reads(_read_flag, FLAG_VALUES)]
"""May stand beside or inside `server`."""
MultiplierField = Annotated[
    OptionalNumber, Meta(description="Greater than 0; a server with 2 counts each user twice.")
]
TagField = Annotated[
    OptionalText, Meta(description="The tag that meta_server-tag requests; empty: none.")
]
MaximumField = Annotated[
    OptionalWhole,
    Meta(description="0: no limit."),
    reads(whole, {"minimum": 0, "maximum": MAX_LIMIT}),
]

DialInField = Annotated[
    OptionalText,
    Meta(description="Template of dial strings (docs/dial-in.md); empty: FSAPI_BRIDGE."),
]
PortField = Annotated[
    OptionalWhole,
    Meta(description="The port for dial-in; 0: 5060."),
    reads(whole, {"minimum": 0, "maximum": MAX_PORT}),
]


class ServerIdRequest(Fields, frozen=True):
    """A call about one server."""

    id: IdField


class ValueFields(Fields, frozen=True, kw_only=True):
    """Values that a server has unless it is given others."""

    load_multiplier: MultiplierField = None
    tag: TagField = None
    max_meetings: MaximumField = None
    max_users: MaximumField = None
    dial_in: DialInField = None
    dial_in_port: PortField = None


class NewServerFields(ValueFields, frozen=True):
    """A server to be added."""

    url: Annotated[Text, Meta(min_length=1, description="Its API endpoint, http or https.")]
    secret: Annotated[
        Text, Meta(min_length=1, description="Its secret, as `bbb-conf --secret` shows it.")
    ]
    id: Annotated[OptionalText, Meta(description="Default: a new one.")] = None

    def parse(self) -> NewServer:
        """Return the server. Raises BadRequest."""
        if not self.url or not self.secret:
            raise BadRequest("Server needs a URL and a secret")
        # Scalelite takes a load multiplier of 0 for "not given" here, and only here.
        return NewServer(**{name: value for name, value in asdict(self).items() if value})


class AddServerRequest(Fields, frozen=True):
    """addServer."""

    server: NewServerFields


class ServerChangeFields(ValueFields, frozen=True):
    """Changes of a server; an empty field leaves a value as it is, except tag and dial_in."""

    state: Annotated[str | None, one_of(*_STATES, refusal="Invalid state parameter: {}")] = None
    url: Annotated[OptionalText, Meta(description="Its API endpoint, http or https.")] = None
    secret: OptionalText = None

    def parse(self) -> ServerChange:
        """Return the change of the values; the state is another step."""
        values = {name: value for name, value in asdict(self).items() if name != "state"}
        return ServerChange(**{**values, "url": self.url or None, "secret": self.secret or None})


class UpdateServerRequest(Fields, frozen=True):
    """updateServer."""

    id: IdField
    server: ServerChangeFields = msgspec.field(default_factory=ServerChangeFields)


class DeleteServerRequest(Fields, frozen=True):
    """deleteServer."""

    id: IdField
    force: Annotated[Flag, Meta(description="Forget its meetings, which run on.")] = False


class PanicServerRequest(Fields, frozen=True):
    """panicServer."""

    id: IdField
    keep_state: Annotated[FlagField, Meta(description="Do not disable it.")] = False
    skip_end_calls: Annotated[FlagField, Meta(description="Only forget the meetings.")] = False


class DisableServerRequest(Fields, frozen=True):
    """disableServer."""

    id: IdField
    confirmed: Flag = False


# --- handlers ------------------------------------------------------------------------------------


async def _get_servers(deps: ServerDeps, call: Call[NoFields]) -> list[ServerJson]:
    found = await servers.list_servers(deps)
    if not found:
        raise ErrorAnswer(404, ErrorJson("No servers are configured"))
    windows = await maintenance_of(deps)

    def render() -> list[ServerJson]:
        return [server_json(server, windows.get(server.id)) for server in found]

    return await run_counted(len(found), render)


async def _get_server_info(deps: ServerDeps, call: Call[ServerIdRequest]) -> ServerJson:
    server = await servers.find_server(deps, call.read().id)
    return server_json(server, (await maintenance_of(deps)).get(server.id))


async def _add_server(deps: ServerDeps, call: Call[AddServerRequest]) -> ServerJson:
    return server_json(await servers.add_server(deps, call.who, call.read().server.parse()))


async def _update_server(deps: ServerDeps, call: Call[UpdateServerRequest]) -> ServerJson:
    given = nested(call.fields, "server")
    if call.actor.role is not Role.ADMIN and (given.get("secret") or given.get("url")):
        # With another url the server's calls and users would go to a machine of the caller's.
        reason = "changing the url or the secret of a server needs the role admin"
        raise ErrorAnswer(403, ErrorJson(reason))
    server_id = call.read_id()
    server = await servers.find_server(deps, server_id)
    request = call.read().server
    change = request.parse()
    if change != ServerChange():
        server = await servers.update_server(deps, call.who, server_id, change)
    if request.state:
        # Scalelite changes nothing else: the meetings of a server that is disabled so run on.
        state = _STATES[request.state]
        server = await servers.set_server_state(deps, call.who, server_id, state)
    return server_json(server)


async def _delete_server(deps: ServerDeps, call: Call[DeleteServerRequest]) -> DeletedServerJson:
    request = call.read()
    await servers.remove_server(deps, call.who, request.id, force=request.force)
    return DeletedServerJson(f"Server id={request.id} was destroyed")


async def _panic_server(deps: ServerDeps, call: Call[PanicServerRequest]) -> ClearedServerJson:
    request = call.read()
    cleared = await server_clearing.panic_server(
        deps,
        call.who,
        request.id,
        keep_state=request.keep_state,
        skip_end_calls=request.skip_end_calls,
    )
    was = "cleared" if request.keep_state else "disabled"
    return ClearedServerJson(
        success=f"Server id={cleared.server.id} has been {was} and the meetings have been "
        "destroyed",
        state=cleared.server.state,
        meetings=ended_json(cleared.meetings),
    )


async def _enable_server(deps: ServerDeps, call: Call[ServerIdRequest]) -> EnabledServerJson:
    enabled = await servers.enable_server(deps, call.who, call.read().id)
    poll = None if enabled.poll is None else poll_json(enabled.poll)
    return EnabledServerJson(**asdict(server_status_json(enabled.server)), poll=poll)


async def _cordon_server(deps: ServerDeps, call: Call[ServerIdRequest]) -> ServerStatusJson:
    return server_status_json(await servers.cordon_server(deps, call.who, call.read().id))


async def _disable_server(deps: ServerDeps, call: Call[DisableServerRequest]) -> DisabledServerJson:
    request = call.read()
    cleared = await server_clearing.disable_server(
        deps, call.who, request.id, confirmed=request.confirmed
    )
    ended = ended_json(cleared.meetings)
    return DisabledServerJson(**asdict(server_status_json(cleared.server)), ended=ended)


# --- the table -----------------------------------------------------------------------------------

_ID_EXAMPLE = {"id": SERVER_ID}

SERVER_CALLS: tuple[AdminCall[ServerDeps], ...] = (
    AdminCall(
        *("getServers", "GET", _get_servers, "servers"),
        "All servers; their secrets for admins only.",
        [SERVER_EXAMPLE],
        refusals={404: "There are no servers."},
        role=Role.VIEWER,
    ),
    AdminCall(
        *("getServerInfo", "GET", _get_server_info, "servers"),
        "One server.",
        SERVER_EXAMPLE,
        request=_ID_EXAMPLE,
        refusals=NO_SERVER,
        role=Role.VIEWER,
    ),
    AdminCall(
        *("addServer", "POST", _add_server, "servers"),
        "Adds a server, disabled; updateServer or enableServer puts it to work.",
        NEW_SERVER_EXAMPLE,
        status=201,
        request={"server": {"url": URL_EXAMPLE, "secret": "SERVER-SECRET", "load_multiplier": 1.0}},
        logs="server_added",
        audited=ONE_SERVER,
        role=Role.ADMIN,
    ),
    AdminCall(
        *("updateServer", "POST", _update_server, "servers"),
        "Changes what is given of a server. Disabling it leaves its meetings running; disableServer"
        " and panicServer end them. Url and secret are for admins.",
        SERVER_EXAMPLE,
        request={"id": SERVER_ID, "server": {"state": "enable", "tag": "lectures"}},
        refusals=NO_SERVER,
        logs="server_changed",
        deadline_s=LONG_S,
        audited=ONE_SERVER,
        role=Role.OPERATOR,
    ),
    AdminCall(
        *("deleteServer", "POST", _delete_server, "servers"),
        "Removes a server; refused while it has meetings.",
        DeletedServerJson(f"Server id={SERVER_ID} was destroyed"),
        request=_ID_EXAMPLE,
        refusals=NO_SERVER,
        logs="server_removed",
        audited=ONE_SERVER,
        role=Role.ADMIN,
    ),
    AdminCall(
        *("panicServer", "POST", _panic_server, "servers"),
        "Forgets and ends all meetings of a server and disables it.",
        ClearedServerJson(
            success=f"Server id={SERVER_ID} has been disabled and the meetings have been destroyed",
            state=ServerState.DISABLED,
            meetings=[ENDED_EXAMPLE],
        ),
        request=_ID_EXAMPLE,
        refusals=NO_SERVER,
        logs="server_cleared",
        deadline_s=LONG_S,
        audited=ONE_SERVER,
        role=Role.OPERATOR,
    ),
    AdminCall(
        *("enableServer", "POST", _enable_server, "servers"),
        "Lets a server take meetings, and polls it at once.",
        EnabledServerJson(**asdict(STATUS_EXAMPLE), poll=POLL_EXAMPLE),
        request=_ID_EXAMPLE,
        refusals=NO_SERVER,
        logs="server_state_set",
        audited=ONE_SERVER,
        role=Role.OPERATOR,
    ),
    AdminCall(
        *("cordonServer", "POST", _cordon_server, "servers"),
        "Gives a server no new meetings; it is disabled once it is empty.",
        replace(STATUS_EXAMPLE, state=ServerState.CORDONED),
        request=_ID_EXAMPLE,
        refusals=NO_SERVER,
        logs="server_state_set",
        audited=ONE_SERVER,
        role=Role.OPERATOR,
    ),
    AdminCall(
        *("disableServer", "POST", _disable_server, "servers"),
        "Disables a server and ends its meetings; refused while it is in use, unless confirmed.",
        DisabledServerJson(
            **{**asdict(STATUS_EXAMPLE), "state": ServerState.DISABLED}, ended=[ENDED_EXAMPLE]
        ),
        request={"id": SERVER_ID, "confirmed": True},
        refusals={**NO_SERVER, 409: "It is in use, and this was not confirmed."},
        logs="server_state_set",
        deadline_s=LONG_S,
        audited=ONE_SERVER,
        role=Role.OPERATOR,
    ),
)
