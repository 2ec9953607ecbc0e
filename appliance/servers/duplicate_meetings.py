"""Meetings that two servers list although no failover explains it.

observe_server.lua finds them and decides which copy is without users; a copy is ended only if its
server confirms that it is empty. If both have users, both stay, and an operator decides. If both
are the same run, one server is in the pool twice: nothing is ended (`runs_elsewhere` in lib.lua).
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.bbb.xml import parse_tree
from appliance.faults import BbbError
from appliance.model import Server, Target
from appliance.pool.ending import end_unwanted
from appliance.pool.meeting_info import fetch_info
from appliance.servers.deps import ServerDeps
from appliance.servers.model import DoubleMeeting

END_HERE, MOVE_HERE, SAME_RUN = "end_here", "move_here", "same_run"
"""The copy of the polled server is to be ended, or that of the server of the record."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """One server's copy of a meeting."""

    participants: int
    moderator_pw: str
    voice_bridge: str


def log_double(deps: ServerDeps, server: Server, double: DoubleMeeting) -> None:
    """Warn once about a meeting that `server` lists beside the server of its record."""
    if not double.new:
        return
    if double.action == SAME_RUN:
        deps.log.warning("same_server_twice", server=double.server_id, other=server.id)
    else:
        deps.log.warning(
            "meeting_on_two_servers", meeting=double.id, server=double.server_id, other=server.id
        )


async def resolve_double(deps: ServerDeps, server: Server, double: DoubleMeeting) -> None:
    """End the copy without users, as the poll of `server` decided. Raises StoreDown."""
    recorded = await deps.pool.records.find_server(double.server_id)
    if recorded is None:
        return
    here, there = server.target, recorded.target
    if double.action == END_HERE:
        await _end_if_empty(deps, here, double)
    elif double.action == MOVE_HERE:
        await _move(deps, here, there, double)


async def _move(deps: ServerDeps, here: Target, there: Target, double: DoubleMeeting) -> None:
    left, kept = await _read(deps, there, double), await _read(deps, here, double)
    if left is None or kept is None or left.participants or not kept.participants:
        return
    moved = await deps.store.move_meeting(
        double,
        to=here.id,
        moderator_pw=kept.moderator_pw,
        voice_bridge=kept.voice_bridge,
        now_ms=deps.now_ms(),
    )
    if moved:
        await _end_if_empty(deps, there, double)


async def _end_if_empty(deps: ServerDeps, target: Target, double: DoubleMeeting) -> None:
    found = await _read(deps, target, double)
    if found is None or found.participants:
        return
    ended = await end_unwanted(deps.pool, target, double.id, found.moderator_pw)
    if ended is not None:
        deps.log.warning("duplicate_ended", server=target.id, meeting=double.id, succeeded=ended)


async def _read(deps: ServerDeps, target: Target, double: DoubleMeeting) -> _Copy | None:
    try:
        answer = await fetch_info(deps.pool, target, double.id)
    except BbbError:
        return None
    if not answer.succeeded:
        return None
    root = parse_tree(answer.body)
    count = (root.findtext("participantCount") or "").strip()
    if not (count.isascii() and count.isdigit()):
        return None
    return _Copy(
        int(count[:9]),
        (root.findtext("moderatorPW") or "").strip(),
        (root.findtext("voiceBridge") or "").strip(),
    )
