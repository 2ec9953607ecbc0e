"""create: what a create asks for, and what is sent to the server that gets it.

failover.py goes from server to server; this merges parameters and makes the placement request.
Truth: docs of the public BBB API, docs/placement.md.
"""

from __future__ import annotations

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.params import Params, get, merge_params, replace_param
from appliance.bbb.request_body import RequestBody
from appliance.bbb.xml import show_answer
from appliance.callbacks.ended_rules import ENDED_PARAM, EndWatch, Run
from appliance.callbacks.rules import refusal_of_url
from appliance.callbacks.urls import (
    keep_callback_urls,
    note_refusal,
    take_callback_urls,
)
from appliance.meetings.failover import Creation
from appliance.meetings.meeting_id import check_meeting_id
from appliance.meetings.placement import (
    clamp_duration,
    effective_tag,
    max_participants,
    parse_tag,
    size_hint,
)
from appliance.meetings.voice_bridge import candidates
from appliance.model import MeetingId, PlacementRequest
from appliance.resources import Caller, Resources
from appliance.tenants.params import PARENT, add_tenant, drop_reserved
from appliance.tenants.scoped_id import scoped_id


async def create_meeting(
    res: Resources,
    caller: Caller,
    params: Params,
    body: RequestBody | None = None,
    *,
    secret: str = "",
) -> bytes:
    """Create a meeting, or repeat the create of one that exists, and return the server's answer.

    `secret` has signed the request; callbacks about the meeting are signed with it too.
    Raises ApiError, StoreDown; see failover.py for what happens when servers fail.
    """
    meeting_id = get(params, "meetingID")
    failure = check_meeting_id(meeting_id)
    if failure is not None or meeting_id is None:
        raise ApiError(failure or errors.MISSING_MEETING_ID)
    params = drop_reserved(params, caller.tenant)
    merged, urls = take_callback_urls(res, caller, _merge(res, caller, params))
    sent = await _name_parent(res, caller, merged)
    # Before anything is placed: it may take its time, but not that of a record being created.
    lrs = await res.lrs.document(caller.tenant) if res.lrs else None
    request, tag = _placement_request(res, caller, MeetingId(meeting_id), params, sent)
    watch = _watch(res, caller, sent, request.now_ms)
    answer = await Creation(res, request, tag, sent, body, watch, lrs).run()
    if urls and answer.succeeded:
        await keep_callback_urls(res, caller, meeting_id, urls, secret)
    return show_answer(answer.body, caller.tenant_id, meeting_id)


def _watch(res: Resources, caller: Caller, sent: Params, now_ms: int) -> EndWatch:
    """Return how the end of the meeting comes to us, and to whom it is told then."""
    ended_url = get(sent, ENDED_PARAM)
    refusal = refusal_of_url(ended_url) if ended_url else None
    if refusal is not None:
        meeting_id = get(sent, "meetingID")
        note_refusal(res, meeting_id, ENDED_PARAM, refusal)
        ended_url = None
    host = res.settings.api.url_host
    base_url = f"https://{host}" if host else caller.base_url
    return EndWatch(base_url, Run(now_ms, ended_url or None), res.secret_key_base)


def _merge(res: Resources, caller: Caller, params: Params) -> Params:
    """Return the parameters that do not depend on the server."""
    api, tenant = res.settings.api, caller.tenant
    merged = merge_params(
        params,
        defaults=(api.default_create, tenant.default_create if tenant else ()),
        overrides=(api.override_create, tenant.override_create if tenant else ()),
        excluded=api.create_exclude,
    )
    limit_min = api.max_meeting_duration_min
    if limit_min:
        merged = replace_param(
            merged, "duration", clamp_duration(get(merged, "duration"), limit_min)
        )
    # Settings, too, could name what says whose it is, in another case: BBB lower-cases the names.
    return add_tenant(drop_reserved(merged, tenant), tenant) if tenant else merged


async def _name_parent(res: Resources, caller: Caller, sent: Params) -> Params:
    """Let a breakout room name a meeting of its own tenant only, by the id that its server knows.

    One that the tenant does not have becomes an id that nobody's meeting can have.
    """
    parent_id = get(sent, PARENT)
    if not caller.tenant_id or not parent_id:
        return sent
    parent = await res.store.find_meeting_of(
        caller.tenant_id, MeetingId(parent_id), now_ms=res.now_ms()
    )
    kept = parent.id if parent else scoped_id(parent_id, caller.tenant_id)
    return replace_param(sent, PARENT, kept)


def _placement_request(
    res: Resources, caller: Caller, meeting_id: MeetingId, params: Params, sent: Params
) -> tuple[PlacementRequest, str]:
    api, tenant, bridges = res.settings.api, caller.tenant, res.settings.voice_bridge
    tag = effective_tag(
        params,
        defaults=(api.default_create, tenant.default_create if tenant else ()),
        overrides=(api.override_create, tenant.override_create if tenant else ()),
        excluded=api.create_exclude,
    )
    external = get(params, "voiceBridge") if bridges.use_external else None
    request = PlacementRequest(
        meeting_id=meeting_id,
        tenant_id=caller.tenant_id,
        moderator_pw=get(sent, "moderatorPW") or None,
        new_moderator_pw=res.new_password(),
        voice_bridges=candidates(meeting_id, bridges.length, external=external),
        now_ms=res.now_ms(),
        tie_breaker=res.tie(),
        tag=parse_tag(tag),
        size_hint=size_hint(sent),
        max_participants=max_participants(sent),
    )
    return request, tag or ""
