"""The admin calls about servers.

Calls that Scalelite has keep its names, fields and status codes (Scalelite's docs/api-README.md).
The requests are in admin_requests.py, the answers in admin_types.py, calls about the whole pool in
admin_pool_calls.py.
"""

from __future__ import annotations

from msgspec.structs import asdict, replace

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Call
from appliance.admin_calls.fields import (
    NoFields,
    nested,
)
from appliance.admin_calls.refusal import ErrorAnswer, ErrorJson
from appliance.model import ServerState
from appliance.servers import administration as servers
from appliance.servers import clearing as server_clearing
from appliance.servers.admin_requests import (
    STATES,
    AddServerRequest,
    DeleteServerRequest,
    DisableServerRequest,
    PanicServerRequest,
    ServerIdRequest,
    UpdateServerRequest,
)
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
from appliance.servers.values import ServerChange
from appliance.system.threads import run_counted

NO_SERVER = {404: "There is no server with this id."}
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
        state = STATES[request.state]
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
        name="getServers",
        method="GET",
        handler=_get_servers,
        group="servers",
        summary="All servers; their secrets for admins only.",
        example=[SERVER_EXAMPLE],
        refusals={404: "There are no servers."},
        role=Role.VIEWER,
    ),
    AdminCall(
        name="getServerInfo",
        method="GET",
        handler=_get_server_info,
        group="servers",
        summary="One server.",
        example=SERVER_EXAMPLE,
        request=_ID_EXAMPLE,
        refusals=NO_SERVER,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="addServer",
        method="POST",
        handler=_add_server,
        group="servers",
        summary="Adds a server, disabled; updateServer or enableServer puts it to work.",
        example=NEW_SERVER_EXAMPLE,
        status=201,
        request={"server": {"url": URL_EXAMPLE, "secret": "SERVER-SECRET", "load_multiplier": 1.0}},
        logs="server_added",
        audited=ONE_SERVER,
        role=Role.ADMIN,
    ),
    AdminCall(
        name="updateServer",
        method="POST",
        handler=_update_server,
        group="servers",
        summary=(
            "Changes what is given of a server. Disabling it leaves its meetings "
            "running; disableServer and panicServer end them. Url and secret are for "
            "admins."
        ),
        example=SERVER_EXAMPLE,
        request={"id": SERVER_ID, "server": {"state": "enable", "tag": "lectures"}},
        refusals=NO_SERVER,
        logs="server_changed",
        deadline_s=LONG_S,
        audited=ONE_SERVER,
        role=Role.OPERATOR,
    ),
    AdminCall(
        name="deleteServer",
        method="POST",
        handler=_delete_server,
        group="servers",
        summary="Removes a server; refused while it has meetings.",
        example=DeletedServerJson(f"Server id={SERVER_ID} was destroyed"),
        request=_ID_EXAMPLE,
        refusals=NO_SERVER,
        logs="server_removed",
        audited=ONE_SERVER,
        role=Role.ADMIN,
    ),
    AdminCall(
        name="panicServer",
        method="POST",
        handler=_panic_server,
        group="servers",
        summary="Forgets and ends all meetings of a server and disables it.",
        example=ClearedServerJson(
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
        name="enableServer",
        method="POST",
        handler=_enable_server,
        group="servers",
        summary="Lets a server take meetings, and polls it at once.",
        example=EnabledServerJson(**asdict(STATUS_EXAMPLE), poll=POLL_EXAMPLE),
        request=_ID_EXAMPLE,
        refusals=NO_SERVER,
        logs="server_state_set",
        audited=ONE_SERVER,
        role=Role.OPERATOR,
    ),
    AdminCall(
        name="cordonServer",
        method="POST",
        handler=_cordon_server,
        group="servers",
        summary="Gives a server no new meetings; it is disabled once it is empty.",
        example=replace(STATUS_EXAMPLE, state=ServerState.CORDONED),
        request=_ID_EXAMPLE,
        refusals=NO_SERVER,
        logs="server_state_set",
        audited=ONE_SERVER,
        role=Role.OPERATOR,
    ),
    AdminCall(
        name="disableServer",
        method="POST",
        handler=_disable_server,
        group="servers",
        summary=(
            "Disables a server and ends its meetings; refused while it is in use, unless confirmed."
        ),
        example=DisabledServerJson(
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
