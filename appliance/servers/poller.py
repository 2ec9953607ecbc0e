"""The poller: one task for each server whose lease this process holds.

Twice a second it reads the servers and renews the leases, so that changes made through any
appliance take effect within a second, and the servers of a dead appliance are taken over. A slow or
dead server does not delay the others. The rules are in polling.py and the scripts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from appliance.faults import StoreDown
from appliance.model import Server, ServerId
from appliance.servers.deps import ServerDeps
from appliance.servers.polling import PollResult, poll_server
from appliance.servers.remembered import common_version

TICK_S = 0.5
LEASE_MS = 5_000
"""Ten ticks: the time until another appliance takes over the servers of a dead one."""
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
        servers = {
            server.id: server for server in await deps.pool.records.list_servers(in_background=True)
        }
        deps.remembered.bbb_version = common_version(servers.values())
        accepted = not servers and not await deps.store.have_vanished()
        await deps.remembered.observe(len(servers), accepted=accepted)
        held = set(
            await deps.store.lease_servers(
                deps.instance, list(servers), now_ms=deps.now_ms(), lease_ms=LEASE_MS
            )
        )
        for server_id in [known for known in self._polled if known not in held]:
            self._polled.pop(server_id).scope.cancel()
            deps.metrics.last_polls.pop(server_id, None)
        for server_id in held:
            polled = self._polled.get(server_id)
            if polled is None:
                polled = self._polled[server_id] = _PolledServer(servers[server_id])
                nursery.start_soon(self._poll_forever, deps, polled, limiter)
            else:
                self._update(polled, servers[server_id])

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
