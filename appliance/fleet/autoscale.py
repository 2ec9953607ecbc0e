"""The service that tells the autoscaler what is needed: one appliance for all on the same Redis.

Each hook (AUTOSCALE_URL, AUTOSCALE_COMMAND) is served by itself. events.py decides what it has to
be told. What it has accepted is in Redis, so that another appliance, or this one after a restart,
goes on from there; a call that is not accepted is made again, with what is so by then.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import msgspec
import trio

from appliance.faults import CallFailed, CallRefused, StoreDown
from appliance.fleet.capacity import Capacity, plan_capacity
from appliance.fleet.command import run_hook
from appliance.fleet.deps import FleetDeps
from appliance.fleet.events import FleetEvent, HookState, accept, find_events, observe
from appliance.model import Server
from appliance.redaction import mask_text
from appliance.settings.reading import KNOWN_NAMES
from appliance.system.threads import run_sized
from appliance.usage.debts import with_debts

TICK_S = 1.0
LEASE_MS = 8_000
"""When another appliance goes on in place of one that died."""
SIGNATURE_HEADER = "X-Scalelite-Signature"
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
_RELEASE_S = 2.0
_SERVER_BYTES = 500
"""Planning for a server takes as long as parsing this much (system/threads.py)."""
_PASSED_NAMES = frozenset({"CTL_SOCKET", "STATE_DIR"})
"""Variables of the appliance that a command is given, for `ctl`; the others have secrets."""


@dataclass(frozen=True, slots=True)
class AutoscaleHook:
    """A receiver of events."""

    name: str
    """`url` or `command`."""
    call: Callable[[bytes], Awaitable[str]]
    """Sends a body; returns why it was not accepted, or ''."""


async def read_capacity(
    deps: FleetDeps, servers: Sequence[Server] | None = None
) -> tuple[Capacity, Sequence[Server]]:
    """Return what the pool has and needs, and its servers. Raises StoreDown."""
    if servers is None:
        found = await deps.pool.records.list_servers(in_background=True)
        servers = await with_debts(deps.usage, found)
    notes = await deps.store.read_notes([server.id for server in servers])
    history = await deps.past.expect(deps.now_ms())
    plan = partial(plan_capacity, servers, notes, history, deps.settings.fleet)
    return await run_sized(len(servers) * _SERVER_BYTES, plan), servers


def capacity_fields(capacity: Capacity) -> dict[str, Any]:
    """Return the capacity as the admin API and the hooks show it."""
    return {
        "users": capacity.demand.users,
        "meetings": capacity.meetings,
        "seats": capacity.seats,
        "free_seats": capacity.free_seats,
        "forecast": capacity.demand.forecast,
        "desired_servers": capacity.desired_servers,
        "drainable": list(capacity.drainable),
        "safe_to_stop": list(capacity.safe_to_stop),
        "needed": dict(capacity.needed),
    }


def render_event(event: FleetEvent, capacity: Capacity, servers: Sequence[Server]) -> bytes:
    """Return the body of a call: the capacity and `event`, with the server that it is about."""
    about = [
        {"server": server.id, "url": server.url} for server in servers if server.id == event.server
    ]
    fields = {"event": event.kind.value, **capacity_fields(capacity), **(about[0] if about else {})}
    return msgspec.json.encode(fields)


def sign_body(body: bytes, secret: str) -> str:
    """Return the signature of a body."""
    return f"sha256={hmac.digest(secret.encode('utf-8', 'surrogateescape'), body, 'sha256').hex()}"


def make_hooks(deps: FleetDeps) -> list[AutoscaleHook]:
    """Return the hooks that are configured."""
    settings = deps.settings.fleet

    async def post(body: bytes) -> str:
        headers = {"Content-Type": "application/json"}
        headers[SIGNATURE_HEADER] = sign_body(body, settings.autoscale_secret)
        try:
            status = await deps.client.send("POST", settings.autoscale_url or "", headers, body)
        except (CallFailed, CallRefused) as error:
            return str(error)
        return "" if 200 <= status < 300 else f"the receiver answered {status}"

    async def run(body: bytes) -> str:
        environ = {
            name: value
            for name, value in os.environ.items()
            if name not in KNOWN_NAMES or name in _PASSED_NAMES
        }
        result = await run_hook(
            settings.autoscale_command, body, settings.autoscale_timeout_s, environ
        )
        fields = {"output": mask_text(result.output)} if result.output else {}
        if not result.error:
            deps.log.info("autoscale_command_done", **fields)
        elif fields:
            deps.faults.note("autoscale_command_failed", "autoscaler", **fields)
        return result.error

    return [
        *([AutoscaleHook("url", post)] if settings.autoscale_url else []),
        *([AutoscaleHook("command", run)] if settings.autoscale_command else []),
    ]


class _Lease:
    """The right to call the hooks, which one appliance has."""

    def __init__(self, deps: FleetDeps) -> None:
        self._deps = deps
        self.held = False

    async def renew(self) -> None:
        """Claim or renew it once."""
        try:
            self.held = await self._deps.store.claim(self._deps.instance, lease_ms=LEASE_MS)
        except StoreDown:
            self.held = False

    async def renew_forever(self) -> NoReturn:
        """Hold it while hooks are called, which may take longer than a lease."""
        while True:
            await self.renew()
            await trio.sleep(TICK_S)

    async def release(self) -> None:
        """Give it back, so that another appliance goes on at once."""
        if self.held:
            try:
                await self._deps.store.release(self._deps.instance)
            except StoreDown:
                self._deps.log.debug("lease_not_released")


async def autoscale_forever(deps: FleetDeps, hooks: Sequence[AutoscaleHook]) -> None:
    """Tell the hooks what changes until cancelled."""
    lease = _Lease(deps)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lease.renew_forever)
            for hook in hooks:
                nursery.start_soon(_serve, deps, hook, lease)
    finally:
        with trio.move_on_after(_RELEASE_S, shield=True):
            await lease.release()


async def _serve(deps: FleetDeps, hook: AutoscaleHook, lease: _Lease) -> NoReturn:
    while True:
        pause_s = TICK_S
        if lease.held:
            try:
                failures = await tell(deps, hook, lease.renew)
                if failures:
                    pause_s = min(FIRST_RETRY_S * 2.0 ** min(failures - 1, 10), LAST_RETRY_S)
            except StoreDown as error:
                deps.faults.note("autoscaler_waits_for_store", "redis", reason=str(error))
        await trio.sleep(pause_s)


async def tell(
    deps: FleetDeps, hook: AutoscaleHook, renew: Callable[[], Awaitable[None]] | None = None
) -> int:
    """Tell a hook what it does not know yet; return how many calls in a row failed.

    Each call has what is so when it is made. `renew`: makes sure, before each, that no other
    appliance makes it. Raises StoreDown.
    """
    while True:
        stored = await deps.store.read_hook_state(hook.name)
        capacity, servers = await read_capacity(deps)
        state = observe(stored, capacity, servers)
        events = find_events(state, capacity, servers)
        if not events:
            if state != stored:
                await deps.store.save_hook_state(deps.instance, hook.name, state)
            return 0
        if renew is not None:
            await renew()
        if not await deps.store.save_hook_state(deps.instance, hook.name, state):
            return 0
        state = await _call(deps, hook, state, events[0], capacity, servers)
        if not await deps.store.save_hook_state(deps.instance, hook.name, state) or state.failures:
            return state.failures


async def _call(
    deps: FleetDeps,
    hook: AutoscaleHook,
    state: HookState,
    event: FleetEvent,
    capacity: Capacity,
    servers: Sequence[Server],
) -> HookState:
    error = await hook.call(render_event(event, capacity, servers))
    fields = {"hook": hook.name, "reported": event.kind.value, "server": event.server}
    fields = {name: value for name, value in fields.items() if value is not None}
    if error:
        failures = state.failures + 1
        deps.faults.note("autoscaler_not_told", hook.name, reason=error, **fields)
        return replace(state, failures=failures, error=error[:500])
    desired = capacity.desired_servers
    deps.log.info("autoscaler_told", desired_servers=desired, before=state.desired, **fields)
    return accept(state, event, capacity, deps.now_ms())
