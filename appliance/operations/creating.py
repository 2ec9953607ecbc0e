"""create: place a meeting, have its server create it, and fail over where that is safe.

The rules (docs/placement.md): a create moves to the next server only if the first one certainly
has not made the meeting, or has said that it failed; when nobody knows, nothing is created twice.
Moving, removing and confirming compare the record first: who loses re-reads it and follows.
"""

from __future__ import annotations

from dataclasses import replace

import trio

from appliance.core import errors
from appliance.core.bbb_xml import Answer
from appliance.core.errors import ApiError, Failure
from appliance.core.faults import BbbError, NotSent, ServerFault, StoreDown
from appliance.core.meeting_id import check_meeting_id
from appliance.core.model import (
    Meeting,
    MeetingId,
    Placement,
    PlacementOutcome,
    PlacementWish,
    Replaced,
    ServerState,
    Target,
)
from appliance.core.params import Params, get, merge_params, replace_param
from appliance.core.passwords import attendee_password
from appliance.core.placement import (
    TAG_PARAM,
    clamp_duration,
    effective_tag,
    max_participants,
    parse_tag,
    size_hint,
)
from appliance.core.request_body import RequestBody
from appliance.core.voice_bridge import candidates
from appliance.operations.meetings import NOT_FOUND, note_trouble
from appliance.operations.resources import Caller, Resources

MAX_SERVERS = 3
"""How many servers one create tries at most."""
_MAX_STEPS = 12
"""Bounds the loop where many requests move one record at once."""
_EXTEND_S = 5.0
_OURS = ("meta_tenant-id", "meta_tenant-name")
"""Set by us alone: a front-end could give its meeting to another tenant."""

_REFUSALS = {
    PlacementOutcome.NO_SERVER: errors.NO_SERVER_AVAILABLE,
    PlacementOutcome.NO_VOICE_BRIDGE: errors.NO_VOICE_BRIDGE,
    PlacementOutcome.FOREIGN: errors.ID_NOT_UNIQUE,
}


async def create_meeting(
    res: Resources, caller: Caller, params: Params, body: RequestBody | None = None
) -> bytes:
    """Create a meeting, or repeat the create of one that exists, and return the server's answer.

    Raises ApiError; see the module for what happens when servers fail.
    """
    meeting_id = get(params, "meetingID")
    failure = check_meeting_id(meeting_id)
    if failure is not None or meeting_id is None:
        raise ApiError(failure or errors.MISSING_MEETING_ID)
    sent = _merge(res, caller, params)
    wish, tag = _wish(res, caller, MeetingId(meeting_id), params, sent)
    return (await _Creation(res, wish, tag, sent, body).run()).body


def _merge(res: Resources, caller: Caller, params: Params) -> Params:
    """Return the parameters that do not depend on the server."""
    api, tenant = res.settings.api, caller.tenant
    merged = merge_params(
        params,
        defaults=(api.default_create, tenant.default_create if tenant else ()),
        overrides=(api.override_create, tenant.override_create if tenant else ()),
        excluded=api.create_exclude.union(_OURS),
    )
    limit_min = api.max_meeting_duration_min
    if limit_min:
        merged = replace_param(
            merged, "duration", clamp_duration(get(merged, "duration"), limit_min)
        )
    if tenant:
        merged = replace_param(merged, "meta_tenant-id", tenant.id)
        merged = replace_param(merged, "meta_tenant-name", tenant.name)
    return merged


def _wish(
    res: Resources, caller: Caller, meeting_id: MeetingId, params: Params, sent: Params
) -> tuple[PlacementWish, str]:
    api, tenant, bridges = res.settings.api, caller.tenant, res.settings.voice_bridge
    tag = effective_tag(
        params,
        defaults=(api.default_create, tenant.default_create if tenant else ()),
        overrides=(api.override_create, tenant.override_create if tenant else ()),
        excluded=api.create_exclude,
    )
    external = get(params, "voiceBridge") if bridges.use_external else None
    wish = PlacementWish(
        meeting_id=meeting_id,
        tenant_id=caller.tenant_id,
        moderator_pw=get(sent, "moderatorPW") or None,
        new_moderator_pw=res.new_password(),
        voice_bridges=candidates(meeting_id, bridges.length, external=external),
        now_ms=res.now_ms(),
        tie=res.tie(),
        tag=parse_tag(tag),
        size_hint=size_hint(sent),
        max_participants=max_participants(sent),
    )
    return wish, tag or ""


class _Creation:
    """One create on its way from server to server."""

    def __init__(
        self,
        res: Resources,
        wish: PlacementWish,
        tag: str,
        sent: Params,
        body: RequestBody | None,
    ) -> None:
        self._res = res
        self._wish = wish
        self._tag = tag
        self._sent = sent
        self._body = body
        self._failed: Meeting | None = None
        """The unconfirmed record whose server failed last, still ours to move."""
        self._end_there = False
        """Whether that server may have made the meeting before it failed."""

    async def run(self) -> Answer:
        """Go on until a server has answered, or it is an error."""
        for _ in range(_MAX_STEPS):
            placement = await self._place()
            meeting = await self._accept(placement)
            if not await self._is_still_there(placement.outcome, meeting):
                self._wish = replace(
                    self._wish,
                    replaces=Replaced(meeting.server_id, meeting.placement, even_if_confirmed=True),
                )
                continue
            self._wish = replace(self._wish, replaces=None)
            answer = await self._create_on(meeting, placement.outcome is PlacementOutcome.PLACED)
            if answer is not None:
                return answer
        raise ApiError(errors.UNABLE_TO_CREATE)

    async def _place(self) -> Placement:
        self._wish = replace(self._wish, now_ms=self._res.now_ms())
        return await self._res.store.place_meeting(self._wish)

    async def _accept(self, placement: Placement) -> Meeting:
        """Return the placed meeting; settle what became of the one that failed before."""
        failed, self._failed = self._failed, None
        if placement.meeting is None:
            if failed is not None:
                await self._abandon(failed, may_exist=self._end_there)
                raise ApiError(errors.UNABLE_TO_CREATE)
            raise ApiError(self._refusal(placement.outcome))
        if placement.outcome is PlacementOutcome.PLACED:
            if failed is not None:
                self._log_failover(failed, placement.meeting)
                if self._end_there:
                    self._res.later(end_leftover, self._res, failed, self._password(failed))
            if placement.moved_from is not None:
                self._res.log.warning(
                    "meeting_moved",
                    meeting=placement.meeting.id,
                    moved_from=placement.moved_from,
                    server=placement.meeting.server_id,
                )
        return placement.meeting

    def _log_failover(self, failed: Meeting, meeting: Meeting) -> None:
        self._res.log.info(
            "create_failed_over",
            meeting=meeting.id,
            failed=failed.server_id,
            server=meeting.server_id,
        )

    def _refusal(self, outcome: PlacementOutcome) -> Failure:
        if outcome is PlacementOutcome.NO_TAGGED_SERVER:
            return errors.tag_unavailable(self._tag.strip().removesuffix("!").strip())
        return _REFUSALS[outcome]

    async def _is_still_there(self, outcome: PlacementOutcome, meeting: Meeting) -> bool:
        """Ask a cordoned server whether it has a known meeting; only its notFound is a no."""
        cordoned = meeting.server_state is ServerState.CORDONED
        if outcome is not PlacementOutcome.KNOWN or not cordoned or meeting.creating:
            return True
        params = (("meetingID", meeting.id),)
        try:
            answer = await self._res.bbb.call(_target(meeting), "getMeetingInfo", params)
        except BbbError as error:
            note_trouble(self._res, error, "getMeetingInfo")
            raise ApiError(errors.UNABLE_TO_CREATE) from error
        return answer.succeeded or answer.message_key != NOT_FOUND

    async def _create_on(self, meeting: Meeting, mine: bool) -> Answer | None:
        """Have the meeting's server create it; None: place it again.

        `mine`: this request made the record, so it also undoes it. Others may do so only once
        the one that made it must be dead.
        """
        try:
            answer = await self._send(meeting)
        except BbbError as error:
            note_trouble(self._res, error, "create")
            if meeting.confirmed:
                raise ApiError(errors.UNABLE_TO_CREATE) from error
            await self._fail(meeting, mine or not meeting.creating, error)
            return None
        if meeting.confirmed:
            return answer
        if answer.succeeded:
            return await self._confirm(meeting, answer)
        if mine:
            await self._res.store.abandon_meeting(
                meeting, now_ms=self._res.now_ms(), may_exist=False
            )
        return answer

    async def _send(self, meeting: Meeting) -> Answer:
        params = replace_param(self._sent, "voiceBridge", meeting.voice_bridge)
        params = replace_param(params, "moderatorPW", self._password(meeting))
        params = replace_param(params, TAG_PARAM, meeting.server_tag)
        # A record of Scalelite's (no placement number) was created without one.
        if meeting.placement and not get(params, "attendeePW"):
            derived = attendee_password(meeting.id, self._password(meeting))
            params = replace_param(params, "attendeePW", derived)
        if meeting.confirmed or self._body is None or self._body.replayable:
            return await self._call(meeting, params)
        return await self._call_kept_alive(meeting, params)

    async def _call(self, meeting: Meeting, params: Params) -> Answer:
        return await self._res.bbb.call(_target(meeting), "create", params, body=self._body)

    async def _call_kept_alive(self, meeting: Meeting, params: Params) -> Answer:
        """Keep the record in creation while a long body is uploaded."""
        result: Answer | BbbError
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._extend, meeting)
            try:
                result = await self._call(meeting, params)
            except BbbError as error:
                result = error  # raised outside: a nursery would wrap it in a group
            nursery.cancel_scope.cancel()
        if isinstance(result, BbbError):
            raise result
        return result

    def _password(self, meeting: Meeting) -> str:
        return self._wish.moderator_pw or meeting.moderator_pw

    async def _extend(self, meeting: Meeting) -> None:
        limit_s = self._res.settings.servers.response_timeout_s
        while True:
            await trio.sleep(_EXTEND_S)
            until_ms = self._res.now_ms() + int((limit_s + 3 * _EXTEND_S) * 1000)
            try:
                await self._res.store.extend_creating(meeting, until_ms=until_ms)
            except StoreDown:
                continue  # the next round may find it back; the create itself will tell

    async def _confirm(self, meeting: Meeting, answer: Answer) -> Answer | None:
        store, now_ms = self._res.store, self._res.now_ms()
        if await store.confirm_meeting(meeting, now_ms=now_ms):
            return answer
        current = await store.find_meeting(meeting.id, now_ms=now_ms)
        if current is not None and current.server_id == meeting.server_id:
            await store.confirm_meeting(current, now_ms=now_ms)
            return answer
        # The meeting lives elsewhere by now (or nowhere): what was made here is one too many.
        self._res.later(end_leftover, self._res, meeting, self._password(meeting))
        return None

    async def _fail(self, meeting: Meeting, mine: bool, error: BbbError) -> None:
        """Prepare the move to another server, or raise ApiError where that is not safe."""
        moves = isinstance(error, NotSent) or (
            isinstance(error, ServerFault) and error.refused_by_server
        )
        if not moves:
            await self._give_up_ambiguous(meeting, mine, error)
            return
        excluded = self._wish.excluded | {meeting.server_id}
        sent_once = error.body_started and self._body is not None and not self._body.replayable
        self._end_there = not isinstance(error, NotSent)
        if len(excluded) >= MAX_SERVERS or sent_once:
            await self._abandon(meeting, may_exist=self._end_there)
            raise ApiError(errors.UNABLE_TO_CREATE) from error
        self._failed = meeting
        self._wish = replace(
            self._wish,
            excluded=excluded,
            replaces=Replaced(meeting.server_id, meeting.placement, may_exist=self._end_there),
        )

    async def _give_up_ambiguous(self, meeting: Meeting, mine: bool, error: BbbError) -> None:
        """Place nothing elsewhere, unless another request has already moved the meeting."""
        if mine and await self._abandon(meeting, may_exist=True):
            raise ApiError(errors.UNABLE_TO_CREATE) from error
        current = await self._res.store.find_meeting(meeting.id, now_ms=self._res.now_ms())
        if current is None or current.server_id == meeting.server_id:
            raise ApiError(errors.UNABLE_TO_CREATE) from error
        if self._body is not None and not self._body.replayable:
            raise ApiError(errors.UNABLE_TO_CREATE) from error

    async def _abandon(self, meeting: Meeting, *, may_exist: bool) -> bool:
        """Undo the placement; what the server may have made is ended there."""
        undone = await self._res.store.abandon_meeting(
            meeting, now_ms=self._res.now_ms(), may_exist=may_exist
        )
        if undone and may_exist:
            self._res.later(end_leftover, self._res, meeting, self._password(meeting))
        return undone


async def end_leftover(res: Resources, meeting: Meeting, password: str) -> None:
    """End what a server may have created although its record is gone: best effort, once.

    Should it fail, the store remembers it and a later poll of the server ends it.
    """
    current = await res.store.find_meeting(meeting.id, now_ms=res.now_ms())
    if current is not None and current.server_id == meeting.server_id:
        return  # placed there again meanwhile: it is wanted now
    params = (("meetingID", meeting.id), ("password", password))
    try:
        await res.bbb.call(_target(meeting), "end", params)
    except BbbError as error:
        res.log.info("leftover_not_ended", meeting=meeting.id, server=error.server_id)


def _target(meeting: Meeting) -> Target:
    if meeting.server is None:  # the store removes records whose server is gone
        raise ApiError(errors.UNABLE_TO_CREATE)
    return meeting.server
