"""The admin calls about meetings. Calls of Scalelite have its names, fields and status codes."""

from __future__ import annotations

from appliance.admin_calls import forms as form
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.forms import BadRequest
from appliance.meetings import admin_json as shape
from appliance.meetings import administration as meeting_admin
from appliance.meetings.deps import MeetingDeps
from appliance.servers import admin_pool_schema as pool_about
from appliance.servers import admin_schema as servers_about
from appliance.servers.admin_json import ended_json


async def _get_server_meetings(deps: MeetingDeps, call: Call) -> Answer:
    found = await meeting_admin.list_server_meetings(deps, form.texts(call.fields, "ids"))
    return [shape.server_meetings_json(one) for one in found], 200


async def _list_meetings(deps: MeetingDeps, call: Call) -> Answer:
    found = await meeting_admin.find_meetings(deps, form.texts(call.fields, "ids"))
    return {
        "meetings": [shape.meeting_json(meeting) for meeting in found.meetings],
        "unknown": list(found.unknown),
    }, 200


async def _get_meeting_info(deps: MeetingDeps, call: Call) -> Answer:
    meeting_id = form.text(call.fields, "id")
    if not meeting_id:
        raise BadRequest("id is missing")
    return shape.shown_meeting_json(await meeting_admin.show_meeting(deps, meeting_id)), 200


async def _end_meetings(deps: MeetingDeps, call: Call) -> Answer:
    ids = None if form.flag(call.fields, "all") else form.texts(call.fields, "ids")
    done = await meeting_admin.end_meetings(deps, call.who, ids)
    return {"meetings": ended_json(done.meetings), "unknown": list(done.unknown)}, 200


MEETING_CALLS: tuple[AdminCall[MeetingDeps], ...] = (
    AdminCall(
        "getServerMeetings",
        "POST",
        _get_server_meetings,
        LONG_S,
        about=servers_about.GET_SERVER_MEETINGS,
    ),
    AdminCall("listMeetings", "POST", _list_meetings, LONG_S, about=pool_about.LIST_MEETINGS),
    AdminCall(
        "getMeetingInfo", "GET", _get_meeting_info, LONG_S, about=pool_about.GET_MEETING_INFO
    ),
    AdminCall("endMeetings", "POST", _end_meetings, LONG_S, about=pool_about.END_MEETINGS),
)
