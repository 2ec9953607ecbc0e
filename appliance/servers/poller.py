"""The poller: one task for each server that this appliance holds the lease of.

Twice a second it reads the servers and renews the leases, so that changes made through any
appliance are followed within a second, and what a dead appliance polled is taken over. A slow
or dead server delays nobody else. Rules: servers/polling.py and the scripts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import trio

from appliance.faults import StoreDown
from appliance.model import Server, ServerId
from appliance.servers.deps import ServerDeps
from appliance.servers.polling import PollResult, poll_server

TICK_S = 0.5
LEASE_MS = 5_000
"""Ten ticks: this is how long a dead appliance's servers wait for another one."""
_VERSION_EVERY = 10
_STORE_PAUSE_S = 1.0
_RELEASE_S = 2.0


@dataclass(slots=True)
class _Watched:
    """One server under watch, and the scope of its task."""

    server: Server
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    wake: trio.Event = field(default_factory=trio.Event)
    patient: bool = False
    """It is online and waits for its next regular poll, so that a failed call may hurry it. Not so
    while it is polled, and not between a failed poll and the next try, which has its own time."""
    nudge_from_s: float = 0.0
    """Trio time before which no failed call hurries it."""
    in_phase: bool = False
    """It has had its random pause, so that the pool is not polled in one burst."""
    successes: int = 0


class Poller:
    """Polls the servers it holds leases of."""

    def __init__(self) -> None:
        self._watched: dict[ServerId, _Watched] = {}

    def poll_soon(self, server_id: ServerId) -> None:
        """Have a server polled now if it is ours; others see the suspicion in the store."""
        watched = self._watched.get(server_id)
        # Too early is not lost: while the suspicion stands in the store, each tick comes back here.
        if watched and watched.patient and trio.current_time() >= watched.nudge_from_s:
            watched.wake.set()

    async def run(self, deps: ServerDeps) -> None:
        """Poll until cancelled; the leases are given back at the end."""
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
            held = list(self._watched)
            self._watched.clear()
            with trio.move_on_after(_RELEASE_S, shield=True):
                await self._release(deps, held)

    async def _release(self, deps: ServerDeps, held: list[ServerId]) -> None:
        try:
            await deps.store.release_leases(deps.instance, held)
        except StoreDown:
            deps.log.debug("leases_not_released")  # they run out by themselves

    async def _tick(
        self, deps: ServerDeps, nursery: trio.Nursery, limiter: trio.CapacityLimiter
    ) -> None:
        await deps.callbacks.hook_cache.refresh()
        servers = {
            server.id: server for server in await deps.pool.records.list_servers(in_background=True)
        }
        held = set(
            await deps.store.lease_servers(
                deps.instance, list(servers), now_ms=deps.now_ms(), lease_ms=LEASE_MS
            )
        )
        for server_id in [known for known in self._watched if known not in held]:
            self._watched.pop(server_id).scope.cancel()
        for server_id in held:
            watched = self._watched.get(server_id)
            if watched is None:
                watched = self._watched[server_id] = _Watched(servers[server_id])
                nursery.start_soon(self._watch, deps, watched, limiter)
            else:
                self._follow(watched, servers[server_id])

    def _follow(self, watched: _Watched, server: Server) -> None:
        before, watched.server = watched.server, server
        if _identity(before) != _identity(server):
            watched.wake.set()
        elif server.suspected:
            self.poll_soon(server.id)
        if server.online and not before.online:
            # Brought back by another path (`ctl poll`, another appliance): it may be hurried again.
            watched.patient = True

    async def _watch(
        self, deps: ServerDeps, watched: _Watched, limiter: trio.CapacityLimiter
    ) -> None:
        with watched.scope:
            while True:
                watched.wake = trio.Event()
                pause_s = await self._poll(deps, watched, limiter)
                with trio.move_on_after(pause_s):
                    await watched.wake.wait()
                watched.patient = False

    async def _poll(
        self, deps: ServerDeps, watched: _Watched, limiter: trio.CapacityLimiter
    ) -> float:
        """Poll once; return the seconds until the next time."""
        polling = deps.settings.polling
        read_version = watched.successes % _VERSION_EVERY == 0
        try:
            async with limiter:
                began_s = trio.current_time()
                watched.nudge_from_s = began_s + min(polling.retry_interval_s, polling.interval_s)
                result = await poll_server(deps, watched.server, read_version=read_version)
        except StoreDown as error:
            deps.faults.note("poller_waits_for_store", "redis", reason=str(error))
            return _STORE_PAUSE_S
        except Exception as error:  # a defect met at one server must not stop its polls
            deps.log.error("poll_failed", server=watched.server.id, exc_info=error)
            return polling.interval_s
        took_s = trio.current_time() - began_s
        outcome = "ok" if result.succeeded else "failed"
        deps.metrics.polls.observe(took_s, watched.server.id, outcome)
        watched.successes += result.succeeded
        if _is_wavering(result):
            return polling.retry_interval_s
        watched.patient = result.online
        if not watched.in_phase:
            watched.in_phase = True
            return polling.interval_s * random.random()
        return max(0.0, began_s + polling.interval_s - trio.current_time())


def _is_wavering(result: PollResult) -> bool:
    """Whether a failure counted, but has not decided yet."""
    return not result.succeeded and result.online and result.unhealthy_count > 0


def _identity(server: Server) -> tuple[object, ...]:
    return server.url, server.secret, server.state, server.load_multiplier
