"""The events that the autoscaler gets, and what would be done about them. Pure.

A hook is not sent a log of changes: what it was told is compared with what is so now. So nothing is
lost while it is away, nothing is old when it arrives, and the last call always holds.
Source: docs/fleet.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from appliance.bbb.endpoint import host_labels
from appliance.fleet.capacity import Capacity, count_servers
from appliance.model import Server, ServerId, ServerState
from appliance.settings import FleetSettings


class EventKind(StrEnum):
    """Why a hook is called."""

    DESIRED = "desired_servers_changed"
    SAFE = "server_safe_to_stop"
    OFFLINE = "server_offline"


@dataclass(frozen=True, slots=True)
class FleetEvent:
    """One reason to call a hook."""

    kind: EventKind
    server: ServerId | None = None
    """None: it concerns the pool."""


@dataclass(frozen=True, slots=True)
class HookState:
    """The events that a hook has accepted, and the results of its last calls."""

    desired: int | None = None
    """None: it has not accepted any."""
    safe: frozenset[str] = frozenset()
    """Servers that it knows to be safe to stop."""
    online: frozenset[str] = frozenset()
    """Servers that were online, and of which it has not accepted that they are offline."""
    accepted_ms: int = 0
    """When it accepted a call last; 0: never."""
    failures: int = 0
    """Calls in a row that it did not accept."""
    error: str = ""
    """Why it did not accept the last one."""


def observe(state: HookState, capacity: Capacity, servers: Collection[Server]) -> HookState:
    """Return what a hook knows, without what has passed by itself.

    A server that is in use again can become safe to stop again, and one that is online again can go
    offline again.
    """
    used = {server.id for server in servers if server.state is not ServerState.DISABLED}
    online = {server.id for server in servers if server.online} | state.online
    return replace(
        state, safe=state.safe & frozenset(capacity.safe_to_stop), online=frozenset(online & used)
    )


def find_events(
    state: HookState, capacity: Capacity, servers: Collection[Server]
) -> list[FleetEvent]:
    """Return the events to send to a hook. `state`: the result of `observe`."""
    found = [
        FleetEvent(EventKind.OFFLINE, server.id)
        for server in servers
        if server.id in state.online and not server.online
    ]
    if _desires_other(state.desired, capacity):
        found.append(FleetEvent(EventKind.DESIRED))
    fresh = (one for one in capacity.safe_to_stop if one not in state.safe)
    return found + [FleetEvent(EventKind.SAFE, one) for one in fresh]


def _desires_other(accepted: int | None, capacity: Capacity) -> bool:
    """Whether the number of servers differs; without a forecast the pool must not shrink."""
    if capacity.demand.history is None:
        return accepted is not None and capacity.desired_servers > accepted
    return capacity.desired_servers != accepted


def accept(state: HookState, event: FleetEvent, capacity: Capacity, now_ms: int) -> HookState:
    """Return what a hook knows after it has accepted an event."""
    state = replace(state, accepted_ms=now_ms, failures=0, error="")
    if event.kind is EventKind.DESIRED or event.server is None:
        return replace(state, desired=capacity.desired_servers)
    if event.kind is EventKind.SAFE:
        return replace(state, safe=state.safe | {event.server})
    return replace(state, online=state.online - {event.server})


@dataclass(frozen=True, slots=True)
class Action:
    """An action for the autoscaler, for `ctl autoscale plan`."""

    action: Literal["start", "replace", "drain", "stop"]
    servers: int
    """Number of servers."""
    server: ServerId | None
    reason: str


def plan_actions(
    capacity: Capacity, servers: Collection[Server], settings: FleetSettings
) -> Iterator[Action]:
    """Yield what an autoscaler is to do now."""
    ids, labels = [one.id for one in servers], host_labels([one.url for one in servers])
    names = dict(zip(ids, labels, strict=True))
    missing = capacity.desired_servers - capacity.available
    if missing > 0:
        yield Action("start", missing, None, f"{explain(capacity, settings)}; {_have(capacity)}")
    for server in servers:
        if server.state is ServerState.ENABLED and not server.online:
            yield Action("replace", 1, server.id, f"{names[server.id]} does not answer")
    for server_id in capacity.drainable:
        reason = f"{names[server_id]} is not needed: {explain(capacity, settings)}"
        yield Action("drain", 1, server_id, f"{reason}; {_have(capacity)}")
    for server_id in capacity.safe_to_stop:
        reason = "is disabled and empty, and owes no recordings"
        yield Action("stop", 1, server_id, f"{names[server_id]} {reason}")


def _have(capacity: Capacity) -> str:
    one = capacity.available == 1
    return "1 server takes meetings" if one else f"{capacity.available} servers take meetings"


def explain(capacity: Capacity, settings: FleetSettings) -> str:
    """Return why the pool needs as many servers as it does."""
    demand, desired = capacity.demand, capacity.desired_servers
    if demand.history is not None and demand.history > demand.created:
        cause = f"{demand.history} users in the next hour, as in the last weeks"
    elif demand.created > demand.users:
        cause = f"{demand.created} users, counting those expected in meetings that were created"
    else:
        cause = f"{demand.users} users"
    needed = "1 server is needed" if desired == 1 else f"{desired} servers are needed"
    text = (
        f"{needed} for {cause}, with {settings.headroom_percent} % headroom and"
        f" {settings.seats_per_server} seats each"
    )
    unlimited = without_limits(settings)
    if count_servers(demand.most, unlimited) < desired:
        return f"{text}, at least {settings.min_servers} (POOL_MIN_SERVERS)"
    if count_servers(demand.most, unlimited) > desired:
        return f"{text}, at most {settings.max_servers} (POOL_MAX_SERVERS)"
    return text


def without_limits(settings: FleetSettings) -> FleetSettings:
    """Return the settings without limits of the pool."""
    return replace(settings, min_servers=0, max_servers=None)
