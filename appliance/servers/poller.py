"""The poller of the servers whose leases this process holds.

Twice a second it renews its part in polling and asks whether a server or a lease has changed
(watch_pool.lua). Only then it reads the list, so that changes made through any appliance take
effect within a second, and the servers of a dead appliance are taken over. Changes of a server by
a Scalelite are found by reading some servers each time, round-robin. Each poll is a task of its own
while it runs, so that a slow or dead server does not delay the others; servers that wait for their
next poll have none, since a task takes 10 kB and some twenty objects. The rules are in polling.py
and the scripts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count

import trio

from appliance.faults import StoreDown
from appliance.model import Server, ServerId
from appliance.servers.deps import ServerDeps
from appliance.servers.model import PollMemory, PollStart, PoolMarks
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
GRID_S = 0.1
"""Polls begin at multiples of this."""
BEGUN_AT_ONCE = 8
"""Polls that begin with one round trip to Redis."""
PAUSE_S = 0.02
"""After these, if there are more: thousands of servers that were added together are polled within
seconds, but not all as fast as they answer, so that calls go on."""
_VERSION_EVERY = 10
_STORE_PAUSE_S = 1.0
_RELEASE_S = 2.0


@dataclass(slots=True)
class _PolledServer:
    """One polled server, its next poll, and the scope of the poll that is under way."""

    server: Server
    due_s: float = math.inf
    """Trio time of its next poll; infinite during a poll."""
    scope: trio.CancelScope | None = None
    again: bool = False
    """It is to be polled again at once, after the poll that is under way."""
    may_poll_early: bool = False
    """It is online and waits for its next regular poll, so that a failed call may trigger one.
    False during a poll, and between a failed poll and its retry, which has an interval of its
    own."""
    early_poll_from_s: float = 0.0
    """Trio time before which a failed call triggers no poll."""
    staggered: bool = False
    """It has had its random pause, so that the pool is not polled in one burst."""
    successes: int = 0
    mark: str = ""
    """The fields that other programs may change, as they were when its turn last came."""
    memory: PollMemory = field(default_factory=PollMemory)


class Poller:
    """Polls the servers whose leases this process holds."""

    def __init__(self) -> None:
        self._polled: dict[ServerId, _PolledServer] = {}
        self._marks: PoolMarks | None = None
        """The marks of the lists as last read; None: they must be read."""
        self._turn = 0
        """Index of the next server to be read without a notice."""
        self._due: list[tuple[float, int, _PolledServer]] = []
        """A heap of polls: when, and a number that tells them apart. Those that were put off or
        moved up since are still in it, at times that are not theirs any more."""
        self._numbers = count()
        self._first_changed = trio.Event()

    def poll_soon(self, server_id: ServerId) -> None:
        """Poll a server now if this process polls it; others see the suspicion in the store."""
        polled = self._polled.get(server_id)
        # If it is too early: while the suspicion is in the store, each tick calls this again.
        if polled and polled.may_poll_early and trio.current_time() >= polled.early_poll_from_s:
            self._poll_now(polled)

    async def run(self, deps: ServerDeps) -> None:
        """Poll until cancelled, then release the leases."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._poll_forever, deps, nursery)
                while True:
                    try:
                        await self._tick(deps)
                    except StoreDown as error:
                        deps.faults.note("poller_waits_for_store", "redis", reason=str(error))
                    await trio.sleep(TICK_S)
        finally:
            held = list(self._polled)
            self._polled.clear()
            self._due.clear()
            self._marks = None
            with trio.move_on_after(_RELEASE_S, shield=True):
                await self._release(deps, held)

    async def _release(self, deps: ServerDeps, held: list[ServerId]) -> None:
        try:
            await deps.store.release_leases(deps.instance, held)
        except StoreDown:
            deps.log.debug("leases_not_released")  # they expire

    async def _tick(self, deps: ServerDeps) -> None:
        turn = self._next_turn()
        asked_ms, shares_set = deps.now_ms(), deps.shares.changes
        marks = await deps.store.watch_pool(deps.instance, turn, lease_ms=LEASE_MS)
        deps.callbacks.tenants.cache.note_mark(marks.tenants, asked_ms=asked_ms)
        deps.callbacks.handback.note(prepared=marks.handback)
        deps.shares.note(marks.shares, shares_set)
        await deps.callbacks.hook_cache.refresh(marks.hooks)
        before, self._marks = self._marks, None
        if before is None or before.servers != marks.servers or not deps.remembered.servers:
            await self._read_all(deps)
            before = None
        elif not await self._read_some(deps, turn, marks.each):
            return  # one is gone: all are read at the next tick
        if before is None or before.leases != marks.leases:
            marks = replace(marks, leases=await self._lease(deps))
        self._marks = marks

    def _next_turn(self) -> list[ServerId]:
        """Return the servers that are read next without a notice."""
        ids = list(self._polled)
        if self._turn >= len(ids):
            self._turn = 0
        count = max(READ_PER_TICK, math.ceil(len(ids) / TURN_TICKS))
        turn = ids[self._turn : self._turn + count]
        self._turn += len(turn)
        return turn

    async def _read_all(self, deps: ServerDeps) -> None:
        found = await deps.pool.records.list_servers(in_background=True)
        deps.remembered.servers = {server.id: server for server in found}
        deps.remembered.bbb_version = common_version(found)
        accepted = not found and not await deps.store.have_vanished()
        await deps.remembered.observe(len(found), accepted=accepted)
        self._follow(found)

    async def _read_some(
        self, deps: ServerDeps, turn: Sequence[ServerId], marks: Sequence[str]
    ) -> bool:
        """Read those that have changed, or are under suspicion; return whether all still exist."""
        if not all(marks):
            return False
        if len(turn) == self._turn:  # the first of them: once in a while
            await deps.remembered.observe(len(deps.remembered.servers), accepted=False)
        some = {id for id, one in self._polled.items() if one.server.suspected}
        for id, mark in zip(turn, marks, strict=True):
            polled = self._polled.get(id)
            if polled is not None and polled.mark != mark:
                polled.mark = mark
                some.add(id)
        found = await deps.pool.records.read_servers(sorted(some)) if some else []
        known = deps.remembered.servers
        changed = [server for server in found if known.get(server.id) is not server]
        upgraded = any(one.bbb_version != known[one.id].bbb_version for one in changed)
        known |= {server.id: server for server in changed}
        if upgraded:
            deps.remembered.bbb_version = common_version(known.values())
        self._follow(found)
        return len(found) == len(some)

    def _follow(self, found: Iterable[Server]) -> None:
        """Tell the tasks of these servers how they are now."""
        for server in found:
            if polled := self._polled.get(server.id):
                self._update(polled, server)

    async def _lease(self, deps: ServerDeps) -> str:
        """Poll the servers that this appliance may; return the mark of the leases."""
        mark, ids = await deps.store.lease_servers(
            deps.instance, list(deps.remembered.servers), lease_ms=LEASE_MS
        )
        held = set(ids)
        for server_id in [known for known in self._polled if known not in held]:
            if (scope := self._polled.pop(server_id).scope) is not None:
                scope.cancel()
            deps.metrics.last_polls.pop(server_id, None)
        for server_id in [one for one in ids if one not in self._polled]:
            polled = self._polled[server_id] = _PolledServer(deps.remembered.servers[server_id])
            self._poll_now(polled)
        return mark

    def _update(self, polled: _PolledServer, server: Server) -> None:
        before, polled.server = polled.server, server
        if server is before and not server.suspected:
            return
        if _poll_settings(before) != _poll_settings(server):
            self._poll_now(polled)
        elif server.suspected:
            self.poll_soon(server.id)
        if server.online and not before.online:
            # Another caller (`ctl poll`, another appliance) took it online.
            polled.may_poll_early = True

    def _poll_now(self, polled: _PolledServer) -> None:
        now_s = trio.current_time()
        if polled.scope is not None:
            polled.again = True
        elif polled.due_s > now_s:
            self._schedule(polled, now_s)

    def _schedule(self, polled: _PolledServer, due_s: float) -> None:
        polled.due_s = due_s
        if not self._due or due_s < self._due[0][0]:
            self._first_changed.set()
        heappush(self._due, (due_s, next(self._numbers), polled))

    async def _poll_forever(self, deps: ServerDeps, nursery: trio.Nursery) -> None:
        """Start the polls that are due, as many at once as POLLER_THREADS allows."""
        slots = trio.Semaphore(deps.settings.polling.concurrency)
        while True:
            self._first_changed = trio.Event()
            while due := await self._take_due(slots):
                for polled, start in zip(due, await self._begin(deps, due), strict=True):
                    assert polled.scope is not None
                    nursery.start_soon(self._poll_once, deps, polled, polled.scope, slots, start)
                    await trio.lowlevel.checkpoint()  # calls go on between the polls
                if self._is_due():
                    await trio.sleep(PAUSE_S)
            with trio.move_on_at(self._due[0][0] if self._due else math.inf):
                await self._first_changed.wait()

    def _is_due(self) -> bool:
        return bool(self._due) and self._due[0][0] <= trio.current_time()

    async def _take_due(self, slots: trio.Semaphore) -> list[_PolledServer]:
        """Return some servers whose polls are due, with a slot for each; none: nothing is due."""
        taken: list[_PolledServer] = []
        while self._is_due() and len(taken) < BEGUN_AT_ONCE:
            if taken and not slots.value:
                break
            due_s, _, polled = heappop(self._due)
            if polled.due_s != due_s:
                continue
            await slots.acquire()
            if self._polled.get(polled.server.id) is not polled:
                slots.release()
                continue
            polled.due_s, polled.scope, polled.again = math.inf, trio.CancelScope(), False
            polled.may_poll_early = False
            taken.append(polled)
        return taken

    async def _begin(
        self, deps: ServerDeps, due: Sequence[_PolledServer]
    ) -> Sequence[PollStart | None]:
        """Read the states of servers in one round trip; None: to be read by the poll itself."""
        try:
            return await deps.store.begin_polls(
                {polled.server.id: bool(polled.memory.mark) for polled in due}
            )
        except Exception:  # a defect met at one server must not stop the polls of the others
            return [None] * len(due)

    async def _poll_once(
        self,
        deps: ServerDeps,
        polled: _PolledServer,
        scope: trio.CancelScope,
        slots: trio.Semaphore,
        start: PollStart | None,
    ) -> None:
        try:
            with scope:
                pause_s = await self._poll(deps, polled, start)
                polled.scope = None
                now_s = trio.current_time()
                self._schedule(polled, now_s if polled.again else _on_grid(now_s, pause_s))
        finally:
            slots.release()

    async def _poll(
        self, deps: ServerDeps, polled: _PolledServer, start: PollStart | None
    ) -> float:
        """Poll once; return the seconds until the next poll."""
        polling = deps.settings.polling
        read_version = polled.successes % _VERSION_EVERY == 0
        began_s = trio.current_time()
        polled.early_poll_from_s = began_s + min(polling.retry_interval_s, polling.interval_s)
        try:
            result = await poll_server(
                deps, polled.server, read_version=read_version, start=start, memory=polled.memory
            )
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


def _on_grid(now_s: float, pause_s: float) -> float:
    """Return the end of a pause, moved by at most a hundredth of it.

    Polls due at the same moment are woken together, which saves a large pool a third of the time.
    """
    step_s = min(GRID_S, pause_s / 50)
    return round((now_s + pause_s) / step_s) * step_s if step_s > 0 else now_s


def _poll_settings(server: Server) -> tuple[object, ...]:
    return server.url, server.secret, server.state, server.load_multiplier
