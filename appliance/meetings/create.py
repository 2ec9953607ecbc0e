"""create: merges the parameters and builds the placement request.

failover.py then places the meeting and calls its server. Source: BigBlueButton API reference,
create; docs/placement.md.
"""

from __future__ import annotations

from functools import partial

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.meeting_id import check_meeting_id, read_meeting_id
from appliance.bbb.params import Params, get, replace_param
from appliance.bbb.request_body import RequestBody
from appliance.bbb.signed_request import Caller
from appliance.callbacks.ended_rules import ENDED_PARAM, EndUrlSigner, MeetingRun
from appliance.callbacks.hook_rules import refusal_of_private_url
from appliance.callbacks.rules import refusal_of_url
from appliance.callbacks.urls import (
    extract_callback_urls,
    keep_callback_urls,
    note_url_refusal,
)
from appliance.meetings.create_params import (
    TAG_PARAM,
    effective_tag,
    max_participants,
    parse_tag,
    size_hint,
)
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.failover import Creation
from appliance.meetings.join_failure import MAX_URL
from appliance.meetings.placement import PlacementRequest, PlaceNotes
from appliance.meetings.voice_bridge import candidates
from appliance.model import MeetingId, ServerId
from appliance.tenants.param_rules import (
    Layers,
    apply_rules,
    cap_duration,
    create_layers,
    merge_create_params,
    needs_version,
)
from appliance.tenants.params import PARENT, drop_reserved
from appliance.tenants.view import show_answer


async def create_meeting(
    deps: MeetingDeps,
    caller: Caller,
    params: Params,
    body: RequestBody | None = None,
    *,
    secret: str = "",
) -> bytes:
    """Create a meeting, or repeat the create of one that exists, and return the server's answer.

    `secret` signed the request; callbacks about the meeting are signed with it too. failover.py
    handles failing servers. Raises ApiError, StoreDown.
    """
    meeting_id = read_meeting_id(get(params, "meetingID"))
    failure = check_meeting_id(meeting_id, scoped=caller.tenant_id is not None)
    if failure is not None:
        raise ApiError(failure)
    params = drop_reserved(params, caller.tenant)
    merged = merge_create_params(params, deps.settings.api, caller.tenant)
    merged, urls = extract_callback_urls(deps.callbacks, caller, merged)
    sent, parent_server = await _name_parent(deps, caller, merged)
    # Runs before placement so that it does not use up the creating deadline.
    lrs = await deps.tenants.lrs.document(caller.tenant) if deps.tenants.lrs else None
    signer = _end_signer(deps, caller, sent, deps.now_ms())
    request, tag = _placement_request(
        deps, caller, meeting_id, params, sent, run=signer.run, only_server=parent_server
    )
    fit = partial(_fit_to_server, deps, caller)
    creation = Creation(deps, caller, request, tag, sent, fit, body, signer, lrs)
    answer = await creation.run()
    if urls and answer.succeeded:
        await keep_callback_urls(deps.callbacks, caller, meeting_id, urls, secret)
    if answer.succeeded:
        deps.metrics.tenant_creates.add(caller.tenant.name if caller.tenant else "")
    return show_answer(answer.body, caller.tenant_id, meeting_id)


def _end_signer(deps: MeetingDeps, caller: Caller, sent: Params, now_ms: int) -> EndUrlSigner:
    """Return how the server reports the end of the meeting, and which URL is then notified.

    While a hand-back is prepared the server notifies the front-end itself.
    """
    ended_url = (get(sent, ENDED_PARAM) or "").strip() or None
    handback = deps.callbacks.handback.prepared
    refusal = refusal_of_url(ended_url) if ended_url else None
    if ended_url and refusal is None and handback and deps.settings.callback_block_private:
        refusal = refusal_of_private_url(ended_url)
    if refusal is not None:
        meeting_id = get(sent, "meetingID")
        note_url_refusal(deps.callbacks, meeting_id, ENDED_PARAM, refusal)
        ended_url = None
    host = deps.settings.api.url_host
    base_url = f"https://{host}" if host else caller.base_url
    run = MeetingRun(now_ms, None if handback else ended_url)
    return EndUrlSigner(base_url, run, deps.secret_key_base, ended_url, handback)


def _fit_to_server(deps: MeetingDeps, caller: Caller, params: Params, notes: PlaceNotes) -> Params:
    """Return the parameters for the server that a meeting was placed on. Raises ApiError."""
    if notes.bbb_version is not None:
        params = apply_rules(
            params, create_layers(deps.settings.api, caller.tenant), notes.bbb_version
        )
        params = cap_duration(params, deps.settings.api.max_meeting_duration_min)
    return cap_duration(params, notes.max_duration_min or 0)


async def _name_parent(
    deps: MeetingDeps, caller: Caller, sent: Params
) -> tuple[Params, ServerId | None]:
    """Replace the parentMeetingID of a breakout room by the stored id of the caller's meeting.

    Return the server of that meeting too, None for other meetings. Raises ApiError: there is no
    such parent.
    """
    if (get(sent, "isBreakout") or "").strip().lower() != "true":
        return sent, None
    parent_id = get(sent, PARENT)
    if not parent_id or not parent_id.strip():
        raise ApiError(errors.PARENT_ID_MISSING)
    parent = await deps.pool.records.find_meeting_of(
        caller.tenant_id, read_meeting_id(parent_id), now_ms=deps.now_ms()
    )
    if parent is None:
        raise ApiError(errors.PARENT_NOT_FOUND)
    return replace_param(sent, PARENT, parent.id), parent.server_id


def _placement_request(
    deps: MeetingDeps,
    caller: Caller,
    meeting_id: MeetingId,
    params: Params,
    sent: Params,
    *,
    run: MeetingRun,
    only_server: ServerId | None,
) -> tuple[PlacementRequest, str]:
    api, tenant, bridges = deps.settings.api, caller.tenant, deps.settings.voice_bridge
    layers = create_layers(api, tenant)
    tag = effective_tag(
        params,
        defaults=(api.default_create, tenant.default_create if tenant else ()),
        overrides=(api.override_create, tenant.override_create if tenant else ()),
        excluded=api.create_exclude,
    )
    if layers:
        tag = _tag_by_rules(tag, layers)
    moderator_pw = get(sent, "moderatorPW") or None
    external = get(params, "voiceBridge") if bridges.use_external else None
    request = PlacementRequest(
        meeting_id=meeting_id,
        tenant_id=caller.tenant_id,
        moderator_pw=moderator_pw,
        new_moderator_pw="" if moderator_pw else deps.new_password(),
        own_passwords=not (moderator_pw or get(sent, "attendeePW")),
        voice_bridges=candidates(meeting_id, bridges.length, external=external),
        now_ms=run.began_ms,
        tie_breaker=deps.random(),
        tag=parse_tag(tag),
        size_hint=size_hint(sent),
        max_participants=max_participants(sent),
        logout_url=(get(sent, "logoutURL") or "")[:MAX_URL] or None,
        recorded=(get(sent, "record") or "").strip().lower() == "true",
        wants_version=needs_version(layers),
        shares=deps.servers.shares.active,
        only_server=only_server,
        ended_url=run.ended_url,
    )
    return request, tag or ""


def _tag_by_rules(tag: str | None, layers: Layers) -> str | None:
    """Return the tag after the rules for it; those for a version come too late."""
    own = tuple(tuple(rule for rule in one if rule.param == TAG_PARAM) for one in layers)
    return get(apply_rules(((TAG_PARAM, tag),) if tag else (), own), TAG_PARAM)
