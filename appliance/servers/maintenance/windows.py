"""Maintenance windows: plan, list and cancel them. Source: docs/fleet.md."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused, no_server
from appliance.bbb.endpoint import UnacceptableValue
from appliance.faults import DatabaseDown
from appliance.model import Server, ServerId, ServerState
from appliance.postgres.errors import DatabaseRefused
from appliance.redis.store import RedisStore, to_script_json
from appliance.servers.deps import ServerDeps
from appliance.servers.maintenance.rules import (
    DAY_MS,
    DEFAULT_LEAD_MS,
    MAX_WINDOWS,
    Phase,
    Window,
    check_window,
    dump_window,
    load_window,
    overlaps,
)
from appliance.usage.deps import UsageDeps
from appliance.usage.history import forecast_hour, longest_usual_meeting
from appliance.usage.model import HOUR_MS

PAST_S = 3.0
"""For what the database knows of the past: windows do not wait for one that hangs."""
_FORECAST_HOURS = 12
"""A long window is compared with the users that are expected in its first hours."""
_USUAL_DAYS = 28
_SOON_MS = 60_000
"""A window that drains its server so soon has to do with the users that are there."""


@dataclass(frozen=True)
class WindowStore:
    """The windows in Redis. Every method is a round trip and raises StoreDown."""

    redis: RedisStore

    async def read_all(self) -> list[Window]:
        """Return all windows, the next ones first."""
        return _parse_windows(await self.read_stored())

    async def read_stored(self) -> list[str]:
        """Return all windows as they are stored."""
        return list(await self.redis.command("HVALS", self.redis.own_key("maintenance")))

    async def read_restored(self) -> dict[str, str]:
        """Return the states that servers are given back after their windows, by server id."""
        flat = await self.redis.command("HGETALL", self.redis.own_key("maintained"))
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def add(self, window: Window, stored: Sequence[str]) -> bool:
        """Store a window, if these are still all others; see add_maintenance.lua."""
        text = to_script_json(dump_window(window))
        return bool(await self.redis.run("add_maintenance", window.id, text, *stored))

    async def advance(self, facts: Mapping[str, Any]) -> list[tuple[str, Window]]:
        """Do what is due; return the events. See advance_maintenance.lua."""
        found = json.loads(await self.redis.run("advance_maintenance", to_script_json(facts)))
        return [(one["event"], load_window(one["window"])) for one in found]

    async def finish(self, window: Window, action: str, then: Window | None = None) -> str | None:
        """Cancel or finish a window; see finish_maintenance.lua. None: it has changed since."""
        text = to_script_json(dump_window(then)) if then else ""
        reply = await self.redis.run(
            "finish_maintenance", window.id, action, window.phase.value, text
        )
        return None if reply is None else str(reply)


def _parse_windows(stored: Sequence[str]) -> list[Window]:
    found = [load_window(json.loads(text)) for text in stored]
    return sorted(found, key=lambda one: (one.from_ms, one.id))


def windows_of(deps: ServerDeps) -> WindowStore:
    """Return the store of the windows."""
    return WindowStore(deps.store.redis.background)


async def list_windows(deps: ServerDeps) -> list[Window]:
    """Return all windows, the next ones first. Raises StoreDown."""
    return await windows_of(deps).read_all()


def next_windows(windows: Sequence[Window]) -> dict[ServerId, Window]:
    """Return the window of each server that is under way, or comes next."""
    found: dict[ServerId, Window] = {}
    for one in sorted(windows, key=lambda one: (one.phase is Phase.PLANNED, one.from_ms)):
        found.setdefault(one.server_id, one)
    return found


# --- changes -------------------------------------------------------------------------------------


async def plan_window(
    deps: ServerDeps, actor: str, window: Window, *, lead_ms: int | None
) -> Window:
    """Check and store a window; `lead_ms` None: the longest usual meeting.

    A new one has no id; with the id of a planned one it takes that one's place.
    Raises Refused: it is not possible, or the pool could not do without the server.
    """
    store = windows_of(deps)
    usual_ms = await usual_lead(deps) if lead_ms is None else lead_ms
    planned = replace(
        window,
        id=window.id or secrets.token_hex(4),
        by=actor,
        lead_ms=usual_ms,
        lead_is_usual=lead_ms is None,
    )
    if planned.lead_is_usual:
        planned = replace(planned, lead_ms=min(usual_ms, planned.longest_lead_ms))
    while True:
        stored = await store.read_stored()
        await _check_plan(deps, planned, _parse_windows(stored), replaces=bool(window.id))
        if await store.add(planned, stored):
            break
    deps.log.info(
        "maintenance_planned",
        **named(planned),
        lead_s=planned.lead_ms // 1000,
        every=planned.every or "once",
        by=actor,
    )
    return planned


async def _check_plan(
    deps: ServerDeps, window: Window, known: Sequence[Window], *, replaces: bool
) -> None:
    """Refuse a window that is not possible beside the known ones, but for one that it replaces."""
    replaced = _find_planned(known, window) if replaces else None
    windows = [one for one in known if one is not replaced]
    servers = {one.id: one for one in await deps.pool.records.list_servers()}
    if window.server_id not in servers:
        raise no_server(window.server_id)
    try:
        check_window(window, deps.now_ms())
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    if len(windows) >= MAX_WINDOWS:
        raise Refused(RefusalKind.INVALID, f"there are {MAX_WINDOWS} windows already")
    for other in windows:
        if other.server_id == window.server_id and overlaps(window, other):
            reason = f"server {window.server_id} has window {other.id} at that time already"
            raise Refused(RefusalKind.INVALID, reason)
    await _refuse_without_room(deps, window, windows, servers)


def _find_planned(windows: Sequence[Window], wanted: Window) -> Window:
    """Return the window that another one is to replace. Raises Refused."""
    same = [one for one in windows if (one.id, one.server_id) == (wanted.id, wanted.server_id)]
    if not same:
        reason = f"server {wanted.server_id} has no maintenance window {wanted.id}"
        raise Refused(RefusalKind.NOT_FOUND, reason)
    if same[0].phase is not Phase.PLANNED:
        raise _begun(wanted.id)
    return same[0]


def _begun(window_id: str) -> Refused:
    reason = f"window {window_id} has begun: it can be cancelled, not changed"
    return Refused(RefusalKind.INVALID, reason)


async def cancel_windows(deps: ServerDeps, actor: str, name: str) -> list[Window]:
    """Cancel a window, or all of a server; one that has begun ends now.

    Raises Refused: there is none.
    """
    store = windows_of(deps)
    windows = await store.read_all()
    found = [one for one in windows if one.id == name]
    found = found or [one for one in windows if one.server_id == name]
    if not found:
        reason = f"there is no maintenance window {name}, and no server of this id has one"
        raise Refused(RefusalKind.NOT_FOUND, reason)
    for window in found:
        # It may take its next step meanwhile: cancel it as it is then.
        known: Window | None = window
        while known is not None and await store.finish(known, "cancel") is None:
            known = next((one for one in await store.read_all() if one.id == window.id), None)
        deps.log.info("maintenance_cancelled", **named(window), by=actor)
    return found


async def usual_lead(deps: ServerDeps) -> int:
    """Return the length of the pool's longest usual meeting, in milliseconds."""
    found: int | None = None
    if deps.usage is not None:
        since_ms = deps.now_ms() - _USUAL_DAYS * DAY_MS
        with trio.move_on_after(PAST_S), suppress(DatabaseDown, DatabaseRefused):
            found = await longest_usual_meeting(deps.usage.table.database, since_ms)
    return DEFAULT_LEAD_MS if found is None else min(found, DAY_MS // 2)


async def _refuse_without_room(
    deps: ServerDeps,
    window: Window,
    windows: Sequence[Window],
    servers: Mapping[ServerId, Server],
) -> None:
    """Refuse a window with which too few servers would be left, as far as that is known now."""
    restored = await windows_of(deps).read_restored()
    pool = {
        one.id
        for one in servers.values()
        if one.state is ServerState.ENABLED or restored.get(one.id) == ServerState.ENABLED.value
    }
    others = pool - {window.server_id}
    if window.server_id not in pool or not others:
        return
    expected = await _expected_users(deps, window)
    if window.cordon_ms <= deps.now_ms() + _SOON_MS:
        polled = (one for one in servers.values() if one.state is not ServerState.DISABLED)
        expected = max(expected, sum(one.users for one in polled))
    # In whole numbers, since 100 * 1.1 is more than 110.
    needed = -(-expected * (100 + deps.settings.fleet.headroom_percent) // 100)
    for away in _away_together(window, [one for one in windows if one.server_id in others]):
        left = [servers[one] for one in others - away]
        seats = sum(one.max_users or deps.settings.fleet.seats_per_server for one in left)
        if left and seats >= needed:
            continue
        names = ", ".join(sorted(away)) or "no other server"
        have = f"{len(left)} servers with {seats} seats" if left else "no server"
        raise Refused(
            RefusalKind.INVALID,
            f"the pool cannot do without server {window.server_id} then: {names} would be under"
            f" maintenance at the same time, {have} would be left, {expected} users are expected"
            f" and POOL_HEADROOM asks for {needed} seats; choose another time",
        )


def _away_together(window: Window, others: Sequence[Window]) -> list[set[ServerId]]:
    """Return the servers that are away with that of a window, for each time when that changes."""
    away: list[set[ServerId]] = []
    horizon_ms = window.cordon_ms + 8 * 7 * DAY_MS
    periods = [(*period, one.server_id) for one in others for period in one.periods(horizon_ms)]
    for begin, end in window.periods(horizon_ms):
        near = [one for one in periods if one[0] < end and begin < one[1]]
        for at in {begin, *(one[0] for one in near if one[0] > begin)}:
            away.append({server for first, last, server in near if first <= at < last})
    return away


async def _expected_users(deps: ServerDeps, window: Window) -> int:
    """Return the users that the past lets expect in the first hours of a window."""
    if deps.usage is None:
        return 0
    until_ms = window.until_ms or window.from_ms + HOUR_MS
    hours = range(window.cordon_ms, until_ms, HOUR_MS)[:_FORECAST_HOURS]
    most = 0
    with trio.move_on_after(PAST_S), suppress(DatabaseDown, DatabaseRefused):
        for at_ms in hours:
            most = max(most, await forecast_users(deps, deps.usage, at_ms))
    return most


async def forecast_users(deps: ServerDeps, usage: UsageDeps, at_ms: int) -> int:
    name = deps.settings.fleet.time_zone
    return await forecast_hour(usage.table.database, at_ms, zone=ZoneInfo(name) if name else None)


def named(window: Window) -> dict[str, Any]:
    return {
        "window": window.id,
        "server": window.server_id,
        "begins_ms": window.from_ms,
        "ends_ms": window.until_ms,
        "reason": window.reason,
    }
