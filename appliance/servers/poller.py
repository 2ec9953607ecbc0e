"""The poller: one task for each server whose lease this process holds.

Twice a second it renews its part in polling and asks whether a server or a lease has changed
(watch_pool.lua). Only then it reads the list, so that changes made through any appliance take
effect within a second, and the servers of a dead appliance are taken over. Changes of a server by
a Scalelite are found by reading some servers each time, round-robin. A slow or dead server does not
delay the others. The rules are in polling.py and the scripts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import trio

from appliance.faults import StoreDown
from appliance.model import Server, ServerId
from appliance.servers.deps import ServerDeps
from appliance.servers.model import PoolMarks
from appliance.servers.polling import PollResult, poll_server
from appliance.servers.remembered import common_version

TICK_S = 0.5
LEASE_MS = 5_000
"""Ten ticks: the time until another appliance takes over the servers of a dead one."""
READ_PER_TICK = 25
"""Servers that are read without a notice, of those that this appliance polls."""
TURN_TICKS = 20
"""Ticks in which all of them are read; so long it takes at most until a change by a Scalelite is
seen."""
_VERSION_EVERY = 10
_STORE_PAUSE_S = 1.0
_RELEASE_S = 2.0


@dataclass(slots=True)
class _PolledServer:
    """One polled server and the scope of its task."""

    server: Server
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    wake: trio.Event = field(default_factory=trio.Event)
    may_poll_early: bool = False
    """It is online and waits for its next regular poll, so that a failed call may trigger one.
    False during a poll, and between a failed poll and its retry, which has an interval of its
    own."""
    early_poll_from_s: float = 0.0
    """Trio time before which a failed call triggers no poll."""
    staggered: bool = False
    """It has had its random pause, so that the pool is not polled in one burst."""
    successes: int = 0


class Poller:
    """Polls the servers whose leases this process holds."""

    def __init__(self) -> None:
        self._polled: dict[ServerId, _PolledServer] = {}
        self._marks: PoolMarks | None = None
        """The marks of the lists as last read; None: they must be read."""
        self._turn = 0
        """Index of the next server to be read without a notice."""

    def poll_soon(self, server_id: ServerId) -> None:
        """Poll a server now if this process polls it; others see the suspicion in the store."""
        polled = self._polled.get(server_id)
        # If it is too early: while the suspicion is in the store, each tick calls this again.
        if polled and polled.may_poll_early and trio.current_time() >= polled.early_poll_from_s:
            polled.wake.set()

    async def run(self, deps: ServerDeps) -> None:
        """Poll until cancelled, then release the leases."""
        try:
            async with trio.open_nursery() as nursery:
                limiter = trio.CapacityLimiter(deps.settings.polling.concurrency)
                while True:
                    try:
                        await self._tick(deps, nursery, limiter)
                    except StoreDown as error:
                        deps.faults.note("poller_waits_for_store", "redis", reason=str(error))
                    await trio.sleep(TICK_S)
        finally:
            held = list(self._polled)
            self._polled.clear()
            self._marks = None
            with trio.move_on_after(_RELEASE_S, shield=True):
                await self._release(deps, held)

    async def _release(self, deps: ServerDeps, held: list[ServerId]) -> None:
        try:
            await deps.store.release_leases(deps.instance, held)
        except StoreDown:
            deps.log.debug("leases_not_released")  # they expire

    async def _tick(
        self, deps: ServerDeps, nursery: trio.Nursery, limiter: trio.CapacityLimiter
    ) -> None:
        await deps.callbacks.hook_cache.refresh()
        await deps.callbacks.handback.refresh()
        await deps.shares.refresh()
        asked_ms = deps.now_ms()
        marks = await deps.store.watch_pool(deps.instance, lease_ms=LEASE_MS)
        deps.callbacks.tenants.cache.note_mark(marks.tenants, asked_ms=asked_ms)
        before, self._marks = self._marks, None
        if before is None or before.servers != marks.servers or not deps.remembered.servers:
            await self._read_all(deps)
            before = None
        elif not await self._read_some(deps):
            return  # one is gone: all are read at the next tick
        if before is None or before.leases != marks.leases:
            marks = replace(marks, leases=await self._lease(deps, nursery, limiter))
        self._marks = marks

    async def _read_all(self, deps: ServerDeps) -> None:
        found = await deps.pool.records.list_servers(in_background=True)
        deps.remembered.servers = {server.id: server for server in found}
        deps.remembered.bbb_version = common_version(found)
        accepted = not found and not await deps.store.have_vanished()
        await deps.remembered.observe(len(found), accepted=accepted)
        self._follow(found)

    async def _read_some(self, deps: ServerDeps) -> bool:
        """Read some servers, and those under suspicion; return whether all are still there."""
        ids = list(self._polled)
        if self._turn >= len(ids):
            self._turn = 0
            await deps.remembered.observe(len(deps.remembered.servers), accepted=False)
        count = max(READ_PER_TICK, math.ceil(len(ids) / TURN_TICKS))
        some = dict.fromkeys(ids[self._turn : self._turn + count])
        self._turn += count
        some |= dict.fromkeys(id for id, one in self._polled.items() if one.server.suspected)
        found = await deps.pool.records.read_servers(list(some))
        known = deps.remembered.servers
        upgraded = any(one.bbb_version != known[one.id].bbb_version for one in found)
        known |= {server.id: server for server in found}
        if upgraded:
            deps.remembered.bbb_version = common_version(known.values())
        self._follow(found)
        return len(found) == len(some)

    def _follow(self, found: Iterable[Server]) -> None:
        """Tell the tasks of these servers how they are now."""
        for server in found:
            if polled := self._polled.get(server.id):
                self._update(polled, server)

    async def _lease(
        self, deps: ServerDeps, nursery: trio.Nursery, limiter: trio.CapacityLimiter
    ) -> str:
        """Poll the servers that this appliance may; return the mark of the leases."""
        mark, ids = await deps.store.lease_servers(
            deps.instance, list(deps.remembered.servers), lease_ms=LEASE_MS
        )
        held = set(ids)
        for server_id in [known for known in self._polled if known not in held]:
            self._polled.pop(server_id).scope.cancel()
            deps.metrics.last_polls.pop(server_id, None)
        for server_id in [one for one in ids if one not in self._polled]:
            polled = self._polled[server_id] = _PolledServer(deps.remembered.servers[server_id])
            nursery.start_soon(self._poll_forever, deps, polled, limiter)
        return mark

    def _update(self, polled: _PolledServer, server: Server) -> None:
        before, polled.server = polled.server, server
        if _poll_settings(before) != _poll_settings(server):
            polled.wake.set()
        elif server.suspected:
            self.poll_soon(server.id)
        if server.online and not before.online:
            # Another caller (`ctl poll`, another appliance) took it online.
            polled.may_poll_early = True

    async def _poll_forever(
        self, deps: ServerDeps, polled: _PolledServer, limiter: trio.CapacityLimiter
    ) -> None:
        with polled.scope:
            while True:
                polled.wake = trio.Event()
                pause_s = await self._poll(deps, polled, limiter)
                with trio.move_on_after(pause_s):
                    await polled.wake.wait()
                polled.may_poll_early = False

    async def _poll(
        self, deps: ServerDeps, polled: _PolledServer, limiter: trio.CapacityLimiter
    ) -> float:
        """Poll once; return the seconds until the next poll."""
        polling = deps.settings.polling
        read_version = polled.successes % _VERSION_EVERY == 0
        try:
            async with limiter:
                began_s = trio.current_time()
                polled.early_poll_from_s = began_s + min(
                    polling.retry_interval_s, polling.interval_s
                )
                result = await poll_server(deps, polled.server, read_version=read_version)
        except StoreDown as error:
            deps.faults.note("poller_waits_for_store", "redis", reason=str(error))
            return _STORE_PAUSE_S
        except Exception as error:  # a defect must not stop the polls of a server
            deps.log.error("poll_failed", server=polled.server.id, exc_info=error)
            return polling.interval_s
        took_s = trio.current_time() - began_s
        outcome = "ok" if result.succeeded else "failed"
        deps.metrics.polls.observe(took_s, polled.server.id, outcome)
        polled.successes += result.succeeded
        if result.registering or _is_undecided(result):
            return min(polling.retry_interval_s, polling.interval_s)
        polled.may_poll_early = result.online
        if not polled.staggered:
            polled.staggered = True
            return polling.interval_s * deps.random()
        return max(0.0, began_s + polling.interval_s - trio.current_time())


def _is_undecided(result: PollResult) -> bool:
    """Whether a poll failed, but not often enough to take the server offline."""
    return not result.succeeded and result.online and result.unhealthy_count > 0


def _poll_settings(server: Server) -> tuple[object, ...]:
    return server.url, server.secret, server.state, server.load_multiplier
