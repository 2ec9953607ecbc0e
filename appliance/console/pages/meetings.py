"""Meetings: search, detail, end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from lxml import etree
from quart import Response

from appliance.admin_calls.actors import Role
from appliance.admin_calls.refusal import ErrorJson
from appliance.console.core import (
    ChangeFailed,
    Console,
    Done,
    LivePage,
    Notice,
    PageFailed,
    Route,
    View,
    Visit,
)
from appliance.console.live import ListPart, Parts
from appliance.console.pages.shared import cut_page
from appliance.console.snapshot import PoolSnapshot
from appliance.faults import BbbError
from appliance.http.quart_exchange import current_exchange
from appliance.meetings.administration import find_meetings
from appliance.pool.meeting_info import fetch_info
from appliance.system.threads import in_chunks, map_in_slices

PARAMS = ("q", "server", "tenant", "sort", "p")
_FIELDS = ("name", "users", "moderators", "videos", "seen_created", "created")
_CHUNK = 500
_MAX_NAMES = 500


@dataclass(frozen=True, slots=True)
class MeetingPage:
    """A line of the list: the record, and what the last poll of its server saw."""

    id: str
    name: str
    server_id: str
    server: str
    """Label of its server."""
    tenant: str
    reachable: bool
    voice_bridge: str
    users: int
    moderators: int
    videos: int
    created_ms: int | None


async def show(console: Console, visit: Visit) -> Response:
    """Show the list."""
    address = f"{current_exchange().origin.base_url}/bigbluebutton/api"
    return await console.live_page(visit, LIVE, address=address)


async def parts(console: Console, view: View, seen: PoolSnapshot) -> Parts:
    """Render a page of the list."""
    actor = view.actor
    answer = await console.calls.make("listMeetings", actor, {})
    meetings = await describe_meetings(console, answer.meetings, seen)
    found = _choose(meetings, view)
    shown, links = cut_page(console, view, found)
    rows = await map_in_slices(lambda one: _row(console, view, one), shown)
    entries = {f"meeting:{one.id}": html for one, html in zip(shown, rows, strict=True)}
    texts = view.texts
    counted = texts.meetings(len(found))
    if len(found) < len(meetings):
        counted = texts.t("{n} of {total} meetings", n=len(found), total=len(meetings))
    users = texts.users(sum(one.users for one in found))
    return Parts(
        {
            "summary": console.part("summary", view, text=f"{counted}, {users}"),
            "pages": links,
        },
        {"meetings": ListPart('<tbody data-part="meetings">', "</tbody>", entries)},
    )


def _row(console: Console, view: View, one: MeetingPage) -> str:
    place = ("meeting", view.texts.language, view.role, view.tenant_id, one.id)
    return console.cached(place, one, lambda: console.part("meeting_row", view, one=one))


async def describe_meetings(
    console: Console, records: Sequence[Any], seen: PoolSnapshot
) -> list[MeetingPage]:
    """Add to records what the polls have seen of the meetings."""
    redis = console.features.redis.background
    tenants = await read_tenant_names(console)
    found: list[MeetingPage] = []
    for chunk in in_chunks(records, _CHUNK):
        replies = await redis.pipeline(
            [("HMGET", redis.own_key(f"meeting:{one.id}"), *_FIELDS) for one in chunk]
        )
        for one, values in zip(chunk, replies, strict=True):
            name, users, moderators, videos, seen_ms, created_ms = (value or "" for value in values)
            row = seen.by_id.get(one.server_id)
            found.append(
                MeetingPage(
                    id=one.id,
                    name=name,
                    server_id=one.server_id,
                    server=row.label if row else one.server_id,
                    tenant=tenants.get(one.tenant_id, one.tenant_id),
                    reachable=one.reachable,
                    voice_bridge=one.voice_bridge or "",
                    users=_int(users),
                    moderators=_int(moderators),
                    videos=_int(videos),
                    created_ms=_int(seen_ms or created_ms) or None,
                )
            )
    return found


async def read_tenant_names(console: Console) -> dict[str, str]:
    """Return the names of the tenants by id."""
    if not console.settings.api.multitenancy:
        return {}
    tenants = await console.features.tenants.store.list_tenants()
    return {tenant.id: tenant.name for tenant in tenants}


def _int(text: str) -> int:
    try:
        return int(float(text))
    except ValueError:
        return 0


def _choose(meetings: Sequence[MeetingPage], view: View) -> list[MeetingPage]:
    words = view.param("q").lower().split()
    server, tenant = view.param("server"), view.param("tenant")
    found = [
        one
        for one in meetings
        if (not server or one.server_id == server)
        and (not tenant or one.tenant == tenant)
        and all(word in f"{one.name} {one.id} {one.server} {one.tenant}".lower() for word in words)
    ]
    if view.param("sort") == "name":
        return sorted(found, key=lambda one: (one.name or one.id).lower())
    if view.param("sort") == "age":
        return sorted(found, key=lambda one: one.created_ms or 0)
    return sorted(found, key=lambda one: -one.users)


# --- one meeting ---------------------------------------------------------------------------------


async def show_one(console: Console, visit: Visit) -> Response:
    """Show a meeting as its server describes it now."""
    meeting_id = visit.view.param("id")
    info, problem = await console.try_call(visit, "getMeetingInfo", id=meeting_id)
    listed = await console.call(visit, "listMeetings", ids=[meeting_id])
    if not listed.meetings:
        raise PageFailed(404, "There is no such meeting; perhaps it has just ended")
    snapshot = await console.live.snapshot()
    (one,) = await describe_meetings(console, listed.meetings, snapshot)
    allowed = console.settings.console.show_names and visit.viewer.may(Role.ADMIN)
    names = await _read_names(console, meeting_id) if allowed and info is not None else None
    return await console.page(
        visit, "meeting.html", one=one, info=info, problem=problem, names=names
    )


async def _read_names(console: Console, meeting_id: str) -> list[str] | None:
    """Return the names of the users; None: its server does not say them."""
    found = await find_meetings(console.features.meetings, [meeting_id])
    server = found.meetings[0].server if found.meetings else None
    if server is None:
        return None
    try:
        answer = await fetch_info(console.features.pool, server, found.meetings[0].id)
    except BbbError:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    root = etree.fromstring(answer.body, parser)
    names = [(one.text or "").strip() for one in root.iterfind("attendees/attendee/fullName")]
    return sorted(names, key=str.lower)[:_MAX_NAMES]


async def end(console: Console, visit: Visit) -> Response | Done:
    """End a meeting; asks first."""
    texts, meeting_id = visit.texts, visit.view.param("id")
    if not visit.field("confirmed"):
        info, _ = await console.try_call(visit, "getMeetingInfo", id=meeting_id)
        line = texts.t("Its server does not say how many users it has.")
        if info is not None:
            line = texts.n(info.participants, "One user is in it.", "{n} users are in it.")
        query = urlencode({"id": meeting_id})
        name = info.name if info is not None and info.name else meeting_id
        return await console.page(
            visit,
            "confirm.html",
            title=texts.t("End {meeting}?", meeting=name),
            lines=[line],
            action=f"/scalelite/meetings/one/end?{query}",
            fields=(),
            typed="",
            button=texts.t("End {meeting}", meeting=name),
            back=f"/scalelite/meetings/one?{query}",
        )
    answer = await console.call(visit, "endMeetings", ids=[meeting_id])
    if answer.unknown:
        raise PageFailed(404, "There is no such meeting; perhaps it has just ended")
    (result,) = answer.meetings
    if result.outcome.value == "failed":
        raise ChangeFailed(502, ErrorJson(f"{meeting_id}: {result.reason}"))
    text = texts.t("{meeting} was ended", meeting=meeting_id)
    return Done(Notice(text), "/scalelite/meetings")


LIVE = LivePage("meetings", parts, 1.5, PARAMS, for_tenants=True)
# The id, which front-ends choose, is in the query: in a path slashes are merged, `..` is resolved.
_ONE = "/meetings/one"
ROUTES = (
    Route("/meetings", show, page="meetings", params=PARAMS, for_tenants=True),
    Route(_ONE, show_one, page="meetings", params=("id",), for_tenants=True),
    Route(f"{_ONE}/end", end, "POST", "meetings", Role.OPERATOR, ("id",), for_tenants=True),
)
