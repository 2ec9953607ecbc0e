"""The task that acts on maintenance windows, on every appliance.

A window cordons its server, disables it and enables it again; lua/advance_maintenance.lua decides
when, once for all appliances. It gives back only the state that it has changed itself. Source:
docs/fleet.md.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import trio

from appliance.admin_calls.refusal import Refused
from appliance.audit.rules import DONE, Change
from appliance.faults import BbbError, DatabaseDown, StoreDown
from appliance.model import Server, ServerState
from appliance.postgres.errors import DatabaseRefused
from appliance.servers.audited import server_snapshot
from appliance.servers.clearing import clear_server
from appliance.servers.deps import ServerDeps
from appliance.servers.maintenance.rules import DAY_MS, Phase, Window
from appliance.servers.maintenance.windows import (
    PAST_S,
    forecast_users,
    named,
    usual_lead,
    windows_of,
)
from appliance.servers.polling import poll_server

TICK_S = 1.0
CLAIM_MS = 5_000
"""When a follow-up that failed is tried again, by any appliance."""
GIVE_UP_MS = DAY_MS
"""A window that finds no room in the pool for this long is dropped."""
_FORECAST_S = 60.0
_BY = "maintenance"
_EVENTS = {
    "draining": "maintenance_draining",
    "open": "maintenance_open",
    "postponed": "maintenance_postponed",
    "missed": "maintenance_missed",
    "gone": "maintenance_gone",
}
"""Of advance_maintenance.lua, as they are logged."""
_STATES = {"draining": ServerState.CORDONED.value, "open": ServerState.DISABLED.value}
"""The state of a server after an event."""


class Maintenance:
    """Acts on the windows of the pool, together with the other appliances."""

    def __init__(self, deps: ServerDeps) -> None:
        self._deps = deps
        self._store = windows_of(deps)
        self._under_way: set[str] = set()
        self._forecast = 0
        self._forecast_until_s = 0.0

    async def run(self) -> NoReturn:
        """Act until cancelled, every second."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    await self.act(nursery)
                except StoreDown as error:
                    self._deps.faults.note(
                        "maintenance_waits_for_store", "redis", reason=str(error)
                    )
                await trio.sleep(TICK_S)

    async def act(self, nursery: trio.Nursery) -> None:
        """Do what is due now; follow-ups run in the nursery. Raises StoreDown."""
        now_ms = self._deps.now_ms()
        due = [one for one in await self._store.read_all() if one.is_due(now_ms)]
        if not due:
            return
        planned = any(one.phase is Phase.PLANNED for one in due)
        fleet = self._deps.settings.fleet
        facts = {
            "now_ms": now_ms,
            "seats": fleet.seats_per_server,
            "headroom": fleet.headroom_percent,
            "forecast": await self._read_forecast(now_ms) if planned else 0,
            "claim_ms": CLAIM_MS,
            "give_up_ms": GIVE_UP_MS,
        }
        for event, window in await self._store.advance(facts):
            if event in ("clear", "finish"):
                work = self._clear if event == "clear" else self._finish
                nursery.start_soon(self._follow_up, window.id, partial(work, window))
            else:
                await self._report(event, window)

    async def _read_forecast(self, now_ms: int) -> int:
        if self._deps.usage is None:
            return 0
        now_s = trio.current_time()
        if now_s >= self._forecast_until_s:
            self._forecast_until_s = now_s + _FORECAST_S
            with trio.move_on_after(PAST_S), suppress(DatabaseDown, DatabaseRefused):
                self._forecast = await forecast_users(self._deps, self._deps.usage, now_ms)
        return self._forecast

    async def _report(self, event: str, window: Window) -> None:
        name = _EVENTS.get(event)
        if name is not None:
            log = self._deps.log
            report = log.warning if event in ("postponed", "missed") else log.info
            report(name, **named(window))
        if event not in _STATES:
            return
        before = (await self._store.read_restored()).get(window.server_id)
        if before is not None:  # else the window has left the state as it was
            await self._record(window, before, _STATES[event])

    async def _record(self, window: Window, before: str, after: str) -> None:
        """Write a change of state into the audit trail."""
        server = await self._deps.pool.records.find_server(window.server_id)
        if self._deps.audit is not None and server is not None and before != after:
            name = server_snapshot(server).name
            change = Change(name, {"state": before}, {"state": after})
            await self._deps.audit.record(f"{_BY} {window.id}", "maintenance", [change], DONE)

    async def _follow_up(self, name: str, work: Callable[[], Any]) -> None:
        if name in self._under_way:
            return
        self._under_way.add(name)
        try:
            await work()
        except StoreDown:
            pass  # tried again after CLAIM_MS
        except Exception as error:  # a defect must not stop the windows of other servers
            self._deps.log.error("maintenance_failed", window=name, exc_info=error)
        finally:
            self._under_way.discard(name)

    async def _clear(self, window: Window) -> None:
        """End the meetings that a server has left, so that they can begin elsewhere."""
        server = await self._deps.pool.records.find_server(window.server_id)
        if server is not None:
            with suppress(Refused):  # removed meanwhile
                await clear_server(self._deps, f"{_BY} {window.id}", server, end=True)
        await self._store.finish(window, "cleared")

    async def _finish(self, window: Window) -> None:
        """Give a server its state back, if the window had changed it and it answers."""
        deps = self._deps
        server = await deps.pool.records.find_server(window.server_id)
        if server is not None and server.id in await self._store.read_restored():
            failure = await self._ask(server)
            if failure:
                deps.faults.note("maintenance_waits", server.id, window=window.id, reason=failure)
                return
        usual_ms = await usual_lead(deps) if window.every and window.lead_is_usual else None
        following = window.next_occurrence(deps.now_ms(), usual_ms)
        restored = await self._store.finish(window, "finished", following)
        if restored is None:
            return
        deps.log.info("maintenance_ended", **named(window), state=restored or "kept")
        if restored:
            await self._record(window, ServerState.DISABLED.value, restored)
        if restored == ServerState.ENABLED.value and server is not None:
            enabled = replace(server, state=ServerState.ENABLED)
            await poll_server(deps, enabled, read_version=True)

    async def _ask(self, server: Server) -> str:
        """Return why a server does not answer as it should; empty: it does."""
        try:
            with trio.fail_after(self._deps.settings.polling.deadline_s):
                found = await self._deps.pool.bbb.list_meetings(server.target)
        except BbbError as error:
            return error.reason
        except trio.TooSlowError:
            return "no answer within POLLER_WAIT_TIMEOUT"
        return "" if found.succeeded else "the server answered FAILED"
