"""The faults: those of servers here, those of stores, appliances and clients in strikes.py.

Sources: "Reliability" of the quality rules, and the findings of the first trials. A fault is active
while its block runs; it leaves everything as it was.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from tools.chaos import strikes
from tools.chaos.laboratory import Laboratory
from tools.chaos.ledger import Ledger
from tools.chaos.proxy import Mode

Strike = Callable[[Laboratory, Ledger, int], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and what it is about."""

    name: str
    group: str
    """Faults of one group are not paired: `server`, which are on different servers, excepted."""
    strike: Strike

    @property
    def of_server(self) -> bool:
        """Return whether it strikes one server only."""
        return self.group == "server"


@asynccontextmanager
async def _answer_badly(
    kind: str,
    options: dict[str, Any],
    lab: Laboratory,
    _ledger: Ledger,
    server: int,
) -> AsyncIterator[None]:
    struck = lab.servers[server]
    struck.add_fault(kind, **options)
    try:
        yield
    finally:
        struck.clear_faults()
        struck.drop_connections()


@asynccontextmanager
async def _network(
    mode: Mode, lab: Laboratory, _ledger: Ledger, server: int
) -> AsyncIterator[None]:
    """Refuse, stall or silence the network of one server."""
    proxy = lab.server_proxies[server]
    proxy.mode = mode
    if mode is Mode.REFUSE:
        proxy.cut()
    try:
        yield
    finally:
        proxy.mode = Mode.PASS
        proxy.cut()


@asynccontextmanager
async def _lose_answers(lab: Laboratory, ledger: Ledger, server: int) -> AsyncIterator[None]:
    """Half of the time, carry requests to the server, and cut the connection instead of answers."""
    proxy = lab.server_proxies[server]

    async def flap() -> None:
        while True:
            proxy.mode = Mode.MUTE
            await trio.sleep(0.4)
            proxy.mode = Mode.PASS
            await trio.sleep(0.4)

    async with strikes.beside(flap):
        yield
    proxy.mode = Mode.PASS
    proxy.cut()


@asynccontextmanager
async def _pause(lab: Laboratory, _ledger: Ledger, server: int) -> AsyncIterator[None]:
    lab.servers[server].pause()
    try:
        yield
    finally:
        lab.servers[server].resume()


@asynccontextmanager
async def _restart(lab: Laboratory, ledger: Ledger, server: int) -> AsyncIterator[None]:
    """Kill the server with all its meetings, and start it at the end."""
    lab.servers[server].kill()
    ledger.losses.append((server, int(time.time() * 1000)))
    yield
    await lab.workshop.run(lab.servers[server].start)


def _bad(name: str, kind: str = "", **options: Any) -> Fault:
    return Fault(name, "server", partial(_answer_badly, kind or name, options))


FAULTS = (
    _bad("refuse"),
    _bad("hang"),
    _bad("hang-accept", "hang_accept"),
    _bad("500-executed", "status", status=500, executed=True),
    _bad("503", "status", status=503),
    _bad("504-executed", "status", status=504, executed=True),
    _bad("failed"),
    _bad("garbage"),
    _bad("not-http", "not_http"),
    _bad("half-an-answer", "half"),
    _bad("truncated"),
    _bad("create-reset", "reset", call="create", executed=True),
    _bad("create-late", "delay", call="create", seconds=4.0),
    _bad("end-unanswered", "hang", call="end"),
    _bad("50-mb", "big"),
    _bad("xml-bomb", "bomb"),
    _bad("external-entity", "external_entity"),
    _bad("wrong-type", "wrong_content_type", executed=False),
    _bad("redirect-loop", "redirect_loop"),
    _bad("slow-drip", "slow_drip", seconds=0.05),
    Fault("server-gone", "server", partial(_network, Mode.REFUSE)),
    Fault("server-silent", "server", partial(_network, Mode.STALL)),
    Fault("answers-lost", "server", _lose_answers),
    Fault("server-paused", "server", _pause),
    Fault("server-lost", "server", _restart),
    Fault("redis-killed", "redis", strikes.redis_killed),
    Fault("redis-restarted", "redis", strikes.redis_restarted),
    Fault("redis-paused", "redis", strikes.redis_paused),
    Fault("redis-failover", "redis", strikes.redis_failover),
    Fault("redis-full", "redis", strikes.redis_full),
    Fault("redis-read-only", "redis", strikes.redis_read_only),
    Fault("redis-slow", "redis", strikes.redis_slow),
    Fault("redis-cut", "redis", strikes.redis_cut),
    Fault("pg-stopped", "postgres", strikes.postgres_stopped),
    Fault("pg-crashed", "postgres", strikes.postgres_crashed),
    Fault("pg-cut", "postgres", strikes.postgres_cut),
    Fault("pg-read-only", "postgres", strikes.postgres_read_only),
    Fault("disk-full", "disk", strikes.disk_full),
    Fault("tars-bad", "tars", strikes.bad_tars),
    Fault("app-killed", "appliance", strikes.appliance_killed),
    Fault("app-stopped", "appliance", strikes.appliance_stopped),
    Fault("app-paused", "appliance", strikes.appliance_paused),
    Fault("no-descriptors", "appliance", strikes.no_descriptors),
    Fault("clients-cut", "front", strikes.clients_cut),
    Fault("idle-clients", "clients", strikes.idle_clients),
    Fault("endless-bodies", "clients", strikes.endless_bodies),
    Fault("flood", "clients", strikes.flood),
)


def find_faults(names: str) -> list[Fault]:
    """Return the faults of a list separated by commas. Raises ValueError: an unknown name."""
    known = {fault.name: fault for fault in FAULTS}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; known: {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def can_be_paired(one: Fault, other: Fault) -> bool:
    """Return whether two faults may be active at the same time."""
    return one is not other and (one.group != other.group or one.of_server)
