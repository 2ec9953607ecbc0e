"""Place a meeting and create it on its server, with failover to other servers.

Rules (docs/placement.md): a create moves to the next server only if the first one certainly did not
create the meeting, or answered that it failed; after an ambiguous failure nothing is created twice.
Moving, removing and confirming a record are compare-and-set; on conflict the request reloads the
record and follows the winner. However a request ends, it leaves no unconfirmed record of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import trio

from appliance.bbb import errors
from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.params import Params
from appliance.bbb.request_body import RequestBody
from appliance.bbb.signed_request import Caller
from appliance.bbb.xml import ServerAnswer
from appliance.callbacks.ended_rules import EndUrlSigner
from appliance.callbacks.hook_sync import sync_meeting_hooks
from appliance.faults import BbbError, NotSent, ServerFault, StoreDown
from appliance.meetings.calls import report_failed_call, report_limits
from appliance.meetings.create_call import CreateCall, target_of
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.placement import NO_NOTES, Placement, PlacementRequest, PlaceNotes, Replaced
from appliance.meetings.store import Confirmation
from appliance.model import Meeting, PlacementOutcome, ServerState
from appliance.pool.ending import NOT_FOUND, end_run, end_unwanted, forget_if_unknown
from appliance.pool.meeting_info import fetch_info

MAX_SERVERS = 3
"""Maximum number of servers that one create tries."""
DUPLICATE = "duplicateWarning"
"""messageKey of BBB's SUCCESS for a create of a meeting that exists already."""
_FAULTS_OF_CALLERS = frozenset({"idNotUnique", "nonUniqueVoiceBridge"})
"""FAILED for a create that says nothing about the server."""
_MAX_STEPS = 12
"""Bounds the loop when many requests move one record at once."""
_END_PAUSE_S = 0.1
"""Pause between two attempts to place a meeting that an `end` is under way for."""
_UNDO_S = 1.0
"""Deadline for undoing the placement of a request that ends early."""

_REFUSALS = {
    PlacementOutcome.ENDING: errors.UNABLE_TO_CREATE,
    PlacementOutcome.END_FIRST: errors.UNABLE_TO_CREATE,
    PlacementOutcome.NO_SERVER: errors.NO_SERVER_AVAILABLE,
    PlacementOutcome.NO_VOICE_BRIDGE: errors.NO_VOICE_BRIDGE,
    PlacementOutcome.FOREIGN: errors.ID_NOT_UNIQUE,
}


class Creation:
    """One create and its progress."""

    def __init__(
        self,
        deps: MeetingDeps,
        caller: Caller,
        request: PlacementRequest,
        tag: str,
        params: Params,
        fit: Callable[[Params, PlaceNotes], Params],
        body: RequestBody | None,
        signer: EndUrlSigner,
        lrs: str | None,
    ) -> None:
        """Place by `request`, and send `params`, `body` and `lrs` to the server.

        `fit` changes the parameters by what a placement tells of the server and of limits. `tag` is
        the text of the requested tag, for errors; `lrs` holds the credentials of the tenant's LRS,
        which are encrypted for each server.
        """
        self._deps = deps
        self._request = request
        self._caller = caller
        self._tag = tag
        self._params, self._fit = params, fit
        self._call = CreateCall(deps, request, params, body, lrs)
        self._end_signer = signer
        self._mine: Meeting | None = None
        """The record that this request wrote, until it is confirmed, undone or moved."""
        self._may_exist = False
        """Whether the last server may have created the meeting although the call failed."""
        self._ended_run = False
        """Whether a run was ended because an `end` under way could hit it."""
        self._failed: Meeting | None = None
        """The unconfirmed record whose server failed last, about to be moved."""

    async def run(self) -> ServerAnswer:
        """Return the answer of the server that created the meeting, or had it already.

        The placement is also undone if the body breaks off or the request is cancelled. Raises
        ApiError, StoreDown, and exceptions of `body`.
        """
        try:
            return await self._run()
        except StoreDown:
            # Nothing can be undone now. A repeated create uses the record; otherwise it expires.
            self._mine = None
            raise
        finally:
            if self._mine is not None:
                with trio.move_on_after(_UNDO_S, shield=True):
                    await self._undo(self._mine)

    async def _run(self) -> ServerAnswer:
        for _ in range(_MAX_STEPS):
            placement = await self._place()
            meeting = await self._accept(placement)
            if placement.notes is not NO_NOTES:
                self._call.params = self._fit(self._params, placement.notes)
            if await self._is_over(placement.outcome, meeting):
                continue
            if self._request.replaces is not None:
                self._request = replace(self._request, replaces=None)
            answer = await self._create_on(meeting)
            if answer is not None:
                return answer
            self._end_signer = self._end_signer.next_attempt(self._deps.now_ms())
        raise ApiError(errors.UNABLE_TO_CREATE)

    # Placing

    async def _place(self) -> Placement:
        """Place the meeting, after an `end` that is to come first or may still arrive there."""
        servers = self._deps.settings.servers
        limit_s = servers.connect_timeout_s + servers.response_timeout_s
        deadline_s = trio.current_time() + limit_s
        while True:
            placement = await self._place_once()
            left = placement.meeting
            if placement.outcome is PlacementOutcome.END_FIRST and left is not None:
                if await end_unwanted(self._deps.pool, target_of(left), left.id, left.moderator_pw):
                    continue
                placement = replace(placement, meeting=None)
            elif placement.outcome is not PlacementOutcome.ENDING:
                return placement
            if trio.current_time() >= deadline_s:
                return placement
            await trio.sleep(_END_PAUSE_S)

    async def _place_once(self) -> Placement:
        now_ms = self._deps.now_ms()
        if now_ms != self._request.now_ms:  # mostly equal: a copy takes 5 µs
            self._request = replace(self._request, now_ms=now_ms)
        # Shielded (the store has its own timeout): a request cancelled here would not know which
        # record it has to undo.
        with trio.CancelScope(shield=True):
            placement = await self._deps.store.place_meeting(self._request)
        self._deps.metrics.placements.add(placement.outcome.value)
        if placement.notes is not NO_NOTES:
            report_limits(self._deps, self._caller, placement.notes)
        return placement

    async def _accept(self, placement: Placement) -> Meeting:
        """Return the placed meeting, and end or abandon the one that failed before."""
        failed, self._failed = self._failed, None
        meeting = placement.meeting
        if meeting is None:
            if failed is None:
                raise ApiError(self._refuse(placement))
            if self._may_undo(failed):
                await self._abandon(failed)
            raise ApiError(errors.UNABLE_TO_CREATE)
        self._caller.log_fields["server"] = meeting.server_id
        placed = placement.outcome is PlacementOutcome.PLACED
        if failed is not None and failed.server_id != meeting.server_id:
            if placed:
                self._log_failover(failed, meeting)
            self._end_later(failed)
        if placed and placement.moved_from is not None:
            self._deps.metrics.moves.add()
            self._deps.log.warning(
                "meeting_moved",
                meeting=meeting.id,
                moved_from=placement.moved_from,
                server=meeting.server_id,
            )
        self._mine, self._may_exist = (meeting if placed else None), False
        return meeting

    def _log_failover(self, failed: Meeting, meeting: Meeting) -> None:
        self._deps.metrics.failovers.add()
        self._deps.log.info(
            "create_failed_over",
            meeting=meeting.id,
            failed=failed.server_id,
            server=meeting.server_id,
        )

    def _refuse(self, placement: Placement) -> Failure:
        outcome, refused = placement.outcome, placement.notes.refused
        if refused is not None:
            return errors.LIMIT_REACHED[refused.name]
        if outcome is not PlacementOutcome.FOREIGN:  # a mistake of the front-end
            self._deps.faults.note(
                "no_place_for_meeting", outcome, meeting=self._request.meeting_id
            )
        if outcome is PlacementOutcome.NO_TAGGED_SERVER:
            return errors.tag_unavailable(self._tag.strip().removesuffix("!").strip())
        return _REFUSALS[outcome]

    async def _is_over(self, outcome: PlacementOutcome, meeting: Meeting) -> bool:
        """Ask a cordoned server about a known meeting; notFound: prepare to place it again."""
        cordoned = meeting.server_state is ServerState.CORDONED
        if outcome is not PlacementOutcome.KNOWN or not cordoned or meeting.creating:
            return False
        try:
            answer = await fetch_info(self._deps.pool, target_of(meeting), meeting.id)
        except BbbError as error:
            report_failed_call(self._deps, error, "getMeetingInfo")
            raise ApiError(errors.UNABLE_TO_CREATE) from error
        if answer.succeeded or answer.message_key != NOT_FOUND:
            return False
        if meeting.confirmed:
            await forget_if_unknown(self._deps.pool, meeting, answer)
        else:  # its create may still arrive there, and then has to be ended
            replaced = Replaced(meeting.server_id, meeting.placement)
            self._request = replace(self._request, replaces=replaced)
        return True

    # Creating

    async def _create_on(self, meeting: Meeting) -> ServerAnswer | None:
        """Create the meeting on its server and return the answer; None: place it again."""
        if self._call.body_spent:
            raise ApiError(errors.UNABLE_TO_CREATE)
        if not meeting.confirmed:
            await sync_meeting_hooks(self._deps.callbacks, meeting)
        self._may_exist = True
        try:
            answer = await self._call.send(meeting, self._end_signer)
        except BbbError as error:
            report_failed_call(self._deps, error, "create")
            if not error.own_limit:
                self._deps.metrics.server_creates.add(meeting.server_id, "failed")
            if meeting.confirmed:
                raise ApiError(errors.UNABLE_TO_CREATE) from error
            await self._fail(meeting, error)
            return None
        if answer.succeeded and not (meeting.confirmed and answer.message_key == DUPLICATE):
            self._deps.metrics.server_creates.add(meeting.server_id, "ok")
            return await self._confirm(meeting, answer)
        if not answer.succeeded and answer.message_key not in _FAULTS_OF_CALLERS:
            self._deps.metrics.server_creates.add(meeting.server_id, "failed")
        if not answer.succeeded and not meeting.confirmed:
            self._may_exist = False
            if self._may_undo(meeting):
                await self._abandon(meeting)
        return answer

    async def _confirm(self, meeting: Meeting, answer: ServerAnswer) -> ServerAnswer | None:
        # The server has the meeting, so the record must not be undone any more.
        mine, self._mine = self._mine, None
        recorded = await self._record_confirmed(meeting, answer, placed=meeting is mine)
        if recorded is Confirmation.CONFIRMED:
            return answer
        if recorded is Confirmation.ENDING:
            self._mine = mine
            return await self._create_another_run(meeting, answer)
        current = await self._deps.pool.records.find_meeting(meeting.id, now_ms=self._deps.now_ms())
        if (
            current is not None
            and current.server_id == meeting.server_id
            and await self._record_confirmed(current, answer) is Confirmation.CONFIRMED
        ):
            return answer
        # The meeting belongs to another server by now, or was ended or forgotten: end the one that
        # was created here. Not in the background, since it may be placed on this server again.
        await end_leftover(self._deps, meeting, self._password(meeting))
        return None

    async def _create_another_run(
        self, meeting: Meeting, ending: ServerAnswer
    ) -> ServerAnswer | None:
        """Create again after ending the run that the late `end` of an earlier create may hit."""
        if self._ended_run:
            raise ApiError(errors.UNABLE_TO_CREATE)
        self._ended_run = True
        try:
            await end_run(self._deps.pool, target_of(meeting), ending)
        except BbbError as error:
            report_failed_call(self._deps, error, "end")
            await self._fail(meeting, error)
            return None
        self._end_signer = self._end_signer.next_attempt(self._deps.now_ms())
        return await self._create_on(meeting)

    async def _record_confirmed(
        self, meeting: Meeting, answer: ServerAnswer, *, placed: bool = False
    ) -> Confirmation:
        """Record that the server has created the meeting; `placed`: for this very request."""
        return await self._deps.store.confirm_meeting(
            meeting,
            now_ms=self._deps.now_ms(),
            run=self._end_signer.run,
            began=answer.message_key != DUPLICATE,
            created=answer.created,
            new_run=None if placed else self._call.new_run(meeting, answer),
        )

    # When a server fails

    async def _fail(self, meeting: Meeting, error: BbbError) -> None:
        """Prepare the move to another server. Raises ApiError: a move is not safe."""
        not_sent = isinstance(error, NotSent)
        if not not_sent and not (isinstance(error, ServerFault) and error.refused_by_server):
            await self._give_up(meeting, error)
            return
        self._may_exist = not not_sent
        excluded = self._request.excluded | {meeting.server_id}
        if len(excluded) >= MAX_SERVERS or self._call.body_spent:
            if self._may_undo(meeting):
                await self._abandon(meeting)
            raise ApiError(errors.UNABLE_TO_CREATE) from error
        self._failed = meeting
        self._request = replace(
            self._request,
            excluded=excluded,
            replaces=Replaced(meeting.server_id, meeting.placement),
        )

    async def _give_up(self, meeting: Meeting, error: BbbError) -> None:
        """Fail the create, unless another request has already moved the meeting."""
        undone = False
        if self._may_undo(meeting):
            undone = await self._abandon(meeting)
        else:
            self._end_later(meeting)
        current = None
        if not undone:
            current = await self._deps.pool.records.find_meeting(
                meeting.id, now_ms=self._deps.now_ms()
            )
        if current is None or current.server_id == meeting.server_id:
            raise ApiError(errors.UNABLE_TO_CREATE) from error

    def _may_undo(self, meeting: Meeting) -> bool:
        """Whether this request may undo the record: its own, or one whose request has timed out."""
        return meeting is self._mine or not meeting.creating

    async def _abandon(self, meeting: Meeting) -> bool:
        """Undo the placement, and end a meeting that the server may have created."""
        undone = await self._deps.store.abandon_meeting(
            meeting, now_ms=self._deps.now_ms(), may_exist=self._may_exist
        )
        if meeting is self._mine:
            self._mine = None
        self._end_later(meeting)
        return undone

    async def _undo(self, meeting: Meeting) -> None:
        """Abandon the record of a request that has ended or was cancelled."""
        try:
            await self._abandon(meeting)
        except StoreDown as error:
            self._deps.log.debug("placement_not_undone", meeting=meeting.id, reason=str(error))

    def _end_later(self, meeting: Meeting) -> None:
        if self._may_exist:
            self._deps.later(end_leftover, self._deps, meeting, self._password(meeting))

    def _password(self, meeting: Meeting) -> str:
        return self._request.moderator_pw or meeting.moderator_pw


async def end_leftover(deps: MeetingDeps, meeting: Meeting, password: str) -> None:
    """End a meeting that a server may have created and that has no record. Best effort.

    If it fails, a later poll of the server ends the meeting, since the store has recorded it.
    """
    await end_unwanted(deps.pool, target_of(meeting), meeting.id, password)
