"""The admin calls about servers, meetings and polls.

Knows no rule and no store. Calls that Scalelite has bear its names, fields and status codes.
"""

from __future__ import annotations

from appliance.admin_calls import forms as form
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.forms import BadRequest
from appliance.model import Server, ServerChange, ServerState
from appliance.servers import admin_json as shape
from appliance.servers import admin_pool_schema as pool_about
from appliance.servers import admin_schema as servers_about
from appliance.servers import administration as servers
from appliance.servers import clearing as server_clearing
from appliance.servers import polling
from appliance.servers.deps import ServerDeps

_STATES = {"enable": ServerState.ENABLED, "cordon": ServerState.CORDONED, "disable": None}
"""Scalelite's words in updateServer; None: not a mere change of the state."""


async def _get_servers(deps: ServerDeps, call: Call) -> Answer:
    found = await servers.list_servers(deps)
    if not found:
        return {"error": "No servers are configured"}, 404
    return [shape.server_json(server) for server in found], 200


async def _get_server_info(deps: ServerDeps, call: Call) -> Answer:
    return shape.server_json(await servers.find_server(deps, call.server_id)), 200


async def _add_server(deps: ServerDeps, call: Call) -> Answer:
    new = shape.parse_new_server(form.server_fields(call.fields))
    return shape.server_json(await servers.add_server(deps, call.who, new)), 201


async def _update_server(deps: ServerDeps, call: Call) -> Answer:
    fields, server_id = form.server_fields(call.fields), call.server_id
    server = await servers.find_server(deps, server_id)
    word = form.text(fields, "state")
    if word and word not in _STATES:
        raise BadRequest(f"Invalid state parameter: {word}")
    change = shape.parse_change(fields)
    if change != ServerChange():
        server = await servers.update_server(deps, call.who, server_id, change)
    if word == "disable":
        # A script that says "disable" has decided; only people are asked.
        cleared = await server_clearing.disable_server(deps, call.who, server_id, confirmed=True)
        server = cleared.server
    elif word:
        state = _STATES[word] or server.state
        server = await servers.set_server_state(deps, call.who, server_id, state)
    return shape.server_json(server), 200


async def _delete_server(deps: ServerDeps, call: Call) -> Answer:
    server_id = call.server_id
    force = form.flag(call.fields, "force")
    await servers.remove_server(deps, call.who, server_id, force=force)
    return {"success": f"Server id={server_id} was destroyed"}, 200


async def _panic_server(deps: ServerDeps, call: Call) -> Answer:
    fields = {**call.fields, **form.server_fields(call.fields)}
    keep_state = form.flag(fields, "keep_state")
    cleared = await server_clearing.panic_server(
        deps,
        call.who,
        call.server_id,
        keep_state=keep_state,
        skip_end_calls=form.flag(fields, "skip_end_calls"),
    )
    was = "cleared" if keep_state else "disabled"
    return {
        "success": f"Server id={cleared.server.id} has been {was} and the meetings have been "
        "destroyed",
        "state": cleared.server.state.value,
        "meetings": shape.ended_json(cleared.meetings),
    }, 200


async def _enable_server(deps: ServerDeps, call: Call) -> Answer:
    enabled = await servers.enable_server(deps, call.who, call.server_id)
    poll = None if enabled.poll is None else shape.poll_json(enabled.poll)
    return {**shape.server_status_json(enabled.server), "poll": poll}, 200


async def _cordon_server(deps: ServerDeps, call: Call) -> Answer:
    server = await servers.cordon_server(deps, call.who, call.server_id)
    return shape.server_status_json(server), 200


async def _disable_server(deps: ServerDeps, call: Call) -> Answer:
    cleared = await server_clearing.disable_server(
        deps, call.who, call.server_id, confirmed=form.flag(call.fields, "confirmed")
    )
    document = shape.server_status_json(cleared.server)
    return {**document, "ended": shape.ended_json(cleared.meetings)}, 200


async def _get_status(deps: ServerDeps, call: Call) -> Answer:
    return shape.status_json(await servers.read_status(deps)), 200


async def _poll(deps: ServerDeps, call: Call) -> Answer:
    what = form.text(call.fields, "what") or "all"
    if what not in ("all", "servers", "meetings", "versions"):
        raise BadRequest("what must be all, servers, meetings or versions")
    ids = form.texts(call.fields, "ids")
    if ids:
        chosen = [await servers.find_server(deps, one) for one in ids]
        results = [await _poll_one(deps, one, form.text(call.fields, "what")) for one in chosen]
    else:
        results = await polling.poll_pool(deps, versions_only=what == "versions")
    return shape.polls_json(results), 200


async def _poll_one(deps: ServerDeps, server: Server, what: str | None) -> polling.PollResult:
    if what == "versions":
        return await polling.check_version(deps, server)
    return await polling.poll_server(deps, server, read_version=what is not None)


SERVER_CALLS: tuple[AdminCall[ServerDeps], ...] = (
    AdminCall("getServers", "GET", _get_servers, about=servers_about.GET_SERVERS),
    AdminCall("getServerInfo", "GET", _get_server_info, about=servers_about.GET_SERVER_INFO),
    AdminCall("addServer", "POST", _add_server, about=servers_about.ADD_SERVER),
    AdminCall("updateServer", "POST", _update_server, LONG_S, about=servers_about.UPDATE_SERVER),
    AdminCall("deleteServer", "POST", _delete_server, about=servers_about.DELETE_SERVER),
    AdminCall("panicServer", "POST", _panic_server, LONG_S, about=servers_about.PANIC_SERVER),
    AdminCall("enableServer", "POST", _enable_server, about=servers_about.ENABLE_SERVER),
    AdminCall("cordonServer", "POST", _cordon_server, about=servers_about.CORDON_SERVER),
    AdminCall("disableServer", "POST", _disable_server, LONG_S, about=servers_about.DISABLE_SERVER),
    AdminCall("getStatus", "GET", _get_status, about=pool_about.GET_STATUS),
    AdminCall("poll", "POST", _poll, LONG_S, about=pool_about.POLL_SERVERS),
)
