"""The admin calls about servers, meetings and polls.

Knows no rule and no store. Calls that Scalelite has bear its names, fields and status codes.
"""

from __future__ import annotations

from appliance.admin_calls import forms as form
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.forms import BadRequest
from appliance.meetings import administration as meeting_admin
from appliance.model import Server, ServerChange, ServerState
from appliance.resources import Resources
from appliance.servers import admin_pool_schema as pool_about
from appliance.servers import admin_schema as servers_about
from appliance.servers import administration as servers
from appliance.servers import clearing as server_clearing
from appliance.servers import polling, status

_STATES = {"enable": ServerState.ENABLED, "cordon": ServerState.CORDONED, "disable": None}
"""Scalelite's words in updateServer; None: not a mere change of the state."""


async def _get_servers(res: Resources, call: Call) -> Answer:
    found = await servers.list_servers(res)
    if not found:
        return {"error": "No servers are configured"}, 404
    return [form.server_json(server) for server in found], 200


async def _get_server_info(res: Resources, call: Call) -> Answer:
    return form.server_json(await servers.find_server(res, call.server_id)), 200


async def _add_server(res: Resources, call: Call) -> Answer:
    new = form.parse_new_server(form.server_fields(call.fields))
    return form.server_json(await servers.add_server(res, call.who, new)), 201


async def _update_server(res: Resources, call: Call) -> Answer:
    fields, server_id = form.server_fields(call.fields), call.server_id
    server = await servers.find_server(res, server_id)
    word = form.text(fields, "state")
    if word and word not in _STATES:
        raise BadRequest(f"Invalid state parameter: {word}")
    change = form.parse_change(fields)
    if change != ServerChange():
        server = await servers.update_server(res, call.who, server_id, change)
    if word == "disable":
        # A script that says "disable" has decided; only people are asked.
        cleared = await server_clearing.disable_server(res, call.who, server_id, confirmed=True)
        server = cleared.server
    elif word:
        state = _STATES[word] or server.state
        server = await servers.set_server_state(res, call.who, server_id, state)
    return form.server_json(server), 200


async def _delete_server(res: Resources, call: Call) -> Answer:
    server_id = call.server_id
    force = form.flag(call.fields, "force")
    await servers.remove_server(res, call.who, server_id, force=force)
    return {"success": f"Server id={server_id} was destroyed"}, 200


async def _panic_server(res: Resources, call: Call) -> Answer:
    fields = {**call.fields, **form.server_fields(call.fields)}
    keep_state = form.flag(fields, "keep_state")
    cleared = await server_clearing.panic_server(
        res,
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
        "meetings": form.ended_json(cleared.meetings),
    }, 200


async def _enable_server(res: Resources, call: Call) -> Answer:
    enabled = await servers.enable_server(res, call.who, call.server_id)
    poll = None if enabled.poll is None else form.poll_json(enabled.poll)
    return {**form.server_status_json(enabled.server), "poll": poll}, 200


async def _cordon_server(res: Resources, call: Call) -> Answer:
    server = await servers.cordon_server(res, call.who, call.server_id)
    return form.server_status_json(server), 200


async def _disable_server(res: Resources, call: Call) -> Answer:
    cleared = await server_clearing.disable_server(
        res, call.who, call.server_id, confirmed=form.flag(call.fields, "confirmed")
    )
    document = form.server_status_json(cleared.server)
    return {**document, "ended": form.ended_json(cleared.meetings)}, 200


async def _get_server_meetings(res: Resources, call: Call) -> Answer:
    found = await meeting_admin.list_server_meetings(res, form.texts(call.fields, "ids"))
    return [form.server_meetings_json(one) for one in found], 200


async def _get_status(res: Resources, call: Call) -> Answer:
    return form.status_json(await status.read_status(res)), 200


async def _list_meetings(res: Resources, call: Call) -> Answer:
    found = await meeting_admin.find_meetings(res, form.texts(call.fields, "ids"))
    return {
        "meetings": [form.meeting_json(meeting) for meeting in found.meetings],
        "unknown": list(found.unknown),
    }, 200


async def _get_meeting_info(res: Resources, call: Call) -> Answer:
    meeting_id = form.text(call.fields, "id")
    if not meeting_id:
        raise BadRequest("id is missing")
    return form.shown_meeting_json(await meeting_admin.show_meeting(res, meeting_id)), 200


async def _end_meetings(res: Resources, call: Call) -> Answer:
    ids = None if form.flag(call.fields, "all") else form.texts(call.fields, "ids")
    done = await meeting_admin.end_meetings(res, call.who, ids)
    return {"meetings": form.ended_json(done.meetings), "unknown": list(done.unknown)}, 200


async def _poll(res: Resources, call: Call) -> Answer:
    what = form.text(call.fields, "what") or "all"
    if what not in ("all", "servers", "meetings", "versions"):
        raise BadRequest("what must be all, servers, meetings or versions")
    ids = form.texts(call.fields, "ids")
    if ids:
        chosen = [await servers.find_server(res, one) for one in ids]
        results = [await _poll_one(res, one, form.text(call.fields, "what")) for one in chosen]
    else:
        results = await polling.poll_pool(res, versions_only=what == "versions")
    return form.polls_json(results), 200


async def _poll_one(res: Resources, server: Server, what: str | None) -> polling.PollResult:
    if what == "versions":
        return await polling.check_version(res, server)
    return await polling.poll_server(res, server, read_version=what is not None)


POOL_CALLS: tuple[AdminCall, ...] = (
    AdminCall("getServers", "GET", _get_servers, about=servers_about.GET_SERVERS),
    AdminCall("getServerInfo", "GET", _get_server_info, about=servers_about.GET_SERVER_INFO),
    AdminCall("addServer", "POST", _add_server, about=servers_about.ADD_SERVER),
    AdminCall("updateServer", "POST", _update_server, LONG_S, about=servers_about.UPDATE_SERVER),
    AdminCall("deleteServer", "POST", _delete_server, about=servers_about.DELETE_SERVER),
    AdminCall("panicServer", "POST", _panic_server, LONG_S, about=servers_about.PANIC_SERVER),
    AdminCall("enableServer", "POST", _enable_server, about=servers_about.ENABLE_SERVER),
    AdminCall("cordonServer", "POST", _cordon_server, about=servers_about.CORDON_SERVER),
    AdminCall("disableServer", "POST", _disable_server, LONG_S, about=servers_about.DISABLE_SERVER),
    AdminCall(
        "getServerMeetings",
        "POST",
        _get_server_meetings,
        LONG_S,
        about=servers_about.GET_SERVER_MEETINGS,
    ),
    AdminCall("getStatus", "GET", _get_status, about=pool_about.GET_STATUS),
    AdminCall("listMeetings", "POST", _list_meetings, LONG_S, about=pool_about.LIST_MEETINGS),
    AdminCall(
        "getMeetingInfo", "GET", _get_meeting_info, LONG_S, about=pool_about.GET_MEETING_INFO
    ),
    AdminCall("endMeetings", "POST", _end_meetings, LONG_S, about=pool_about.END_MEETINGS),
    AdminCall("poll", "POST", _poll, LONG_S, about=pool_about.POLL_SERVERS),
)
