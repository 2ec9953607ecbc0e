"""getMeetings and getSessions: the lists of the servers with meetings of the caller in one.

Calls that arrive together share one round (rounds.py), and what has not changed since an earlier
round is neither parsed nor rendered again. In the place of servers that do not answer stands what
is known of their meetings. Source: BigBlueButton API reference, getMeetings;
BBB's ApiController and get-sessions.ftlx.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import is_
from typing import TypeVar

import trio

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.meeting_list import MeetingList, RawList
from appliance.bbb.params import Params
from appliance.bbb.signed_request import Caller
from appliance.bbb.xml import (
    ServerAnswer,
    parse_tree,
    render_known_meeting,
    render_meetings,
    render_sessions,
    select_sessions,
)
from appliance.faults import BbbError
from appliance.meetings.calls import report_failed_call
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.rounds import SharedRounds
from appliance.meetings.store import ListingServers
from appliance.model import ServerId, Target, TenantId
from appliance.system.threads import run_sized
from appliance.tenants.view import show_list, show_meeting_elements

HANGING_LIMIT_S = 1.0
"""Limit for a server whose last call got no answer or whose last poll failed."""
JOINED_BYTES = 1 << 20
"""A shorter answer is joined once for all calls that share it. Copying this much takes 0.3 ms."""
_SLICE_BYTES = 256 * 1024
"""Put together before other tasks run."""
_AT_ONCE = 2
"""Servers to which requests are sent, or whose answers are parsed, before other tasks run. Each
takes some 0.1 to 0.4 ms."""
_IN_FLIGHT = 8
"""Requests without an answer, of which all may come at once; more if they do not come soon."""
_SOON_S = 0.02
_KEPT_BYTES = 16 << 20
"""Of all lists that are remembered, so little that they need not be given up after some time."""
_KEPT_LIST_BYTES = 1 << 20
_KEPT_ANSWERS = 8

_Answer = TypeVar("_Answer", MeetingList, RawList, ServerAnswer)

Pieces = tuple[bytes, ...]
"""An answer, to be sent one after the other."""


@dataclass(slots=True)
class _KeptList:
    """The list of a server in the last round."""

    raw: RawList
    shown: dict[TenantId | None, bytes] = field(default_factory=dict)
    """The elements for each tenant that asked."""

    @property
    def size(self) -> int:
        """Return about how many bytes it takes: its answer, the elements, the views of them."""
        return 2 * len(self.raw.body) + sum(map(len, self.shown.values()))


class MeetingLists:
    """Answers getMeetings."""

    def __init__(self, deps: MeetingDeps) -> None:
        self._deps = deps
        self._rounds: SharedRounds[Pieces] = SharedRounds()
        self._kept: dict[tuple[ServerId, Params], _KeptList] = {}
        self._joined: dict[tuple[TenantId | None, Params], tuple[Pieces, bytes]] = {}
        """The last answers, with the parts that they were made of."""

    async def get(self, caller: Caller, params: Params) -> Pieces:
        """Return the meetings of the caller. Raises ApiError, StoreDown.

        Only servers that are online, not disabled and have meetings of the caller are asked, all at
        once. A server that fails is logged and polled; in its place, and in that of servers that
        are offline, stand the meetings that the store knows of them. It is an error only if no
        server answers and no meeting of the caller is known. A round takes RESPONSE_TIMEOUT at
        most, connecting included. A server that does not answer delays only one round by that:
        until its next poll it gets HANGING_LIMIT_S, unless no other server is left.
        """
        if self._deps.settings.api.get_meetings_disabled:
            return render_meetings(())
        key = (caller.tenant_id, params)
        return await self._rounds.share(key, partial(self._round, caller.tenant_id, params))

    async def _round(self, tenant_id: TenantId | None, params: Params) -> Pieces:
        self._deps.metrics.list_rounds.add()
        found = await self._deps.store.find_listing_servers(tenant_id)
        lists = await self._read_lists(found, params)
        silent = [*(one.id for one in found.asked if one.id not in lists), *found.offline]
        shown, size = [], 0
        for one in lists.values():
            shown.append(await self._show(one, tenant_id))
            size += len(shown[-1])
            if size > _SLICE_BYTES:
                size = 0
                await trio.lowlevel.checkpoint()
        if silent:
            shown.append(await self._show_known(silent, lists, tenant_id))
        if not found.reached_by(lists) and not any(shown):
            raise ApiError(errors.UNABLE_TO_ACCESS_SERVER)
        pieces = render_meetings(shown)
        if sum(map(len, pieces)) > JOINED_BYTES:
            return pieces
        return (self._join((tenant_id, params), pieces),)

    def _join(self, key: tuple[TenantId | None, Params], pieces: Pieces) -> bytes:
        """Join the parts of an answer, unless they are those of the last round."""
        last = self._joined.pop(key, None)
        if last is None or len(last[0]) != len(pieces) or not all(map(is_, last[0], pieces)):
            last = pieces, b"".join(pieces)
        if len(self._joined) >= _KEPT_ANSWERS:
            del self._joined[next(iter(self._joined))]
        self._joined[key] = last
        return last[1]

    async def _show(self, one: _KeptList, tenant_id: TenantId | None) -> bytes:
        shown = one.shown.get(tenant_id)
        if shown is None:
            listed = one.raw.meetings
            show = partial(show_list, listed, tenant_id)
            size = sum(len(entry.xml) for entry in listed.entries)
            shown = one.shown[tenant_id] = await run_sized(size, show)
        return shown

    async def _show_known(
        self,
        silent: Sequence[ServerId],
        lists: Mapping[ServerId, _KeptList],
        tenant_id: TenantId | None,
    ) -> bytes:
        """Return the caller's known meetings of silent servers that no other server lists."""
        known = await self._deps.pool.records.list_known_meetings(silent)
        own = [meeting for meeting in known if meeting.tenant_id == tenant_id]
        if not own:
            return b""
        listed = {one.id for each in lists.values() for one in each.raw.meetings.listed}
        elements = [render_known_meeting(one) for one in own if one.id not in listed]
        return b"".join(show_meeting_elements(elements, tenant_id) if tenant_id else elements)

    async def _read_lists(self, found: ListingServers, params: Params) -> dict[ServerId, _KeptList]:
        many = len(found.asked) > _AT_ONCE
        turns = trio.Semaphore(_AT_ONCE) if many else None

        async def ask(target: Target, limit_s: float) -> RawList:
            kept = self._kept.get((target.id, params))
            known = kept.raw if kept is not None else None
            bbb = self._deps.pool.bbb
            read = bbb.reread_meetings
            return await read(target, params, known, deadline_s=limit_s, turns=turns)

        lists = {}
        for server_id, raw in (await _gather(self._deps, found, "getMeetings", ask)).items():
            kept = self._kept.get((server_id, params))
            same = kept is not None and kept.raw is raw
            lists[server_id] = kept if kept is not None and same else _KeptList(raw)
        self._keep(lists, params)
        return lists

    def _keep(self, lists: Mapping[ServerId, _KeptList], params: Params) -> None:
        """Remember lists in place of those that have not been asked for the longest time."""
        for server_id, one in lists.items():
            self._kept.pop((server_id, params), None)
            if len(one.raw.body) <= _KEPT_LIST_BYTES:
                self._kept[server_id, params] = one
        left = _KEPT_BYTES
        for key in reversed(list(self._kept)):
            left -= self._kept[key].size if left >= 0 else 0
            if left < 0:
                del self._kept[key]


class _Pacer:
    """Has few requests begin between two moments of other tasks, and few answers come.

    What comes together is read together: 100 answers take 20 ms. Servers that do not answer soon,
    since they are far away or hang, make room for others.
    """

    def __init__(self) -> None:
        self._begun = self._ended = 0
        self._room = _IN_FLIGHT
        self._answered = trio.lowlevel.ParkingLot()

    async def begin(self) -> None:
        """Count a request, and wait until there is room for the next ones."""
        self._begun += 1
        if self._begun % _AT_ONCE:
            return
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(_SOON_S) as waiting:
            while self._begun - self._ended > self._room - _AT_ONCE:
                await self._answered.park()
        if waiting.cancelled_caught:
            self._room += self._room // 2

    def end(self) -> None:
        """Count a request that has ended."""
        self._ended += 1
        self._answered.unpark()


async def _gather(
    deps: MeetingDeps,
    found: ListingServers,
    call: str,
    ask: Callable[[Target, float], Awaitable[_Answer]],
) -> dict[ServerId, _Answer]:
    """Ask servers concurrently, each with its limit in seconds; leave out those that fail.

    A hanging server gets the whole time only if there is none that could answer instead.
    """
    asked = found.asked
    answers: dict[ServerId, _Answer] = {}
    limit_s = deps.settings.servers.response_timeout_s
    alone = found.online <= len(asked) and len(found.hanging) == len(asked)
    hanging_s = limit_s if alone else min(limit_s, HANGING_LIMIT_S)

    pacer = _Pacer()

    async def ask_one(target: Target) -> None:
        try:
            answer = await ask(target, hanging_s if target.id in found.hanging else limit_s)
        except BbbError as error:
            report_failed_call(deps, error, call)
            return
        finally:
            pacer.end()
        if answer.succeeded:
            answers[target.id] = answer
        else:
            deps.faults.note("server_refused_call", target.id, call=call, key=answer.message_key)

    async with trio.open_nursery() as nursery:
        for target in asked:
            nursery.start_soon(ask_one, target)
            await pacer.begin()
    return {target.id: answers[target.id] for target in asked if target.id in answers}


async def get_sessions(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Ask all servers that have meetings of the caller for their sessions, and merge them.

    A session names its meeting by the internal id alone: the servers' lists of meetings tell whose
    it is. A server that fails is left out; it is an error only if all do, and `unsupportedRequest`
    if no server knows the call (before BBB 3.0). Takes RESPONSE_TIMEOUT at most for each of the two
    rounds.
    """
    if deps.settings.api.get_meetings_disabled:
        return render_sessions(())
    found = await deps.store.find_listing_servers(caller.tenant_id)

    def ask_list(target: Target, limit_s: float) -> Awaitable[MeetingList]:
        return deps.pool.bbb.list_meetings(target, (), deadline_s=limit_s)

    unsupported: set[ServerId] = set()

    async def ask(target: Target, limit_s: float) -> ServerAnswer:
        answer = await deps.pool.bbb.call(target, "getSessions", params, deadline_s=limit_s)
        if answer.message_key == errors.UNSUPPORTED_REQUEST.key:
            unsupported.add(target.id)
        return answer

    lists = await _gather(deps, found, "getMeetings", ask_list)
    sizes = (len(entry.xml) for one in lists.values() for entry in one.entries)
    own = await run_sized(sum(sizes), partial(_find_internal_ids, lists, caller))
    asked = [target for target in found.asked if own.get(target.id)]
    hanging = found.hanging & {target.id for target in asked}
    again = replace(found, asked=asked, hanging=hanging)
    answers = await _gather(deps, again, "getSessions", ask)
    if unsupported and len(unsupported) == len(asked):
        raise ApiError(errors.UNSUPPORTED_REQUEST)
    if not (found.reached_by(lists) and (answers or not asked)):
        raise ApiError(errors.UNABLE_TO_ACCESS_SERVER)
    size = sum(len(answer.body) for answer in answers.values())
    return await run_sized(size, partial(_merge_sessions, answers, own))


def _find_internal_ids(
    lists: Mapping[ServerId, MeetingList], caller: Caller
) -> dict[ServerId, frozenset[str]]:
    """Return the internal ids of each server's meetings that are the caller's."""
    return {
        server_id: frozenset(
            (parse_tree(entry.xml).findtext("internalMeetingID") or "").strip()
            for entry in found.entries
            if entry.read.tenant_id == caller.tenant_id
        )
        for server_id, found in lists.items()
    }


def _merge_sessions(
    answers: Mapping[ServerId, ServerAnswer], own: Mapping[ServerId, frozenset[str]]
) -> bytes:
    elements: list[bytes] = []
    for server_id, answer in answers.items():
        elements += select_sessions(answer.body, own[server_id])
    return render_sessions(elements)
