"""The admin calls about the size of the pool: `capacity`, and what the autoscaler is asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call, Time, time_json
from appliance.admin_calls.fields import NoFields
from appliance.fleet.autoscale import capacity_fields, make_hooks, read_capacity
from appliance.fleet.capacity import Capacity
from appliance.fleet.deps import FleetDeps
from appliance.fleet.events import EventKind, explain, find_events, observe, plan_actions

Number = Annotated[int, Meta(ge=0)]


class CapacityJson(Answer, frozen=True):
    """capacity."""

    users: Annotated[int, Meta(ge=0, description="At the last polls.")]
    meetings: Annotated[int, Meta(ge=0, description="At the last polls.")]
    seats: Annotated[
        int,
        Meta(
            ge=0,
            description="Of the servers that take meetings: `max_users`, else SEATS_PER_SERVER.",
        ),
    ]
    free_seats: Number
    forecast: Annotated[
        int,
        Meta(
            ge=0,
            description="Users in the next hour: as in this hour of the last weeks, or those who "
            "are expected in meetings that were created, whichever are more.",
        ),
    ]
    desired_servers: Annotated[
        int,
        Meta(
            ge=0,
            description="Servers that carry the users, now or in the next hour, with POOL_HEADROOM;"
            " from POOL_MIN_SERVERS to POOL_MAX_SERVERS.",
        ),
    ]
    drainable: Annotated[
        list[str],
        Meta(
            description="Servers that the pool can do without, all together; first those that will "
            "be empty first."
        ),
    ]
    safe_to_stop: Annotated[
        list[str], Meta(description="Servers that are drained and empty, and owe no recordings.")
    ]
    needed: Annotated[
        dict[str, int], Meta(description="Servers by tag; `none`: those without a tag.")
    ]


class FleetEventJson(Answer, frozen=True):
    """The next event for a hook."""

    event: EventKind
    server: Annotated[str | None, Meta(description="null: it is about the pool.")]


class HookJson(Answer, frozen=True):
    """A hook, and what it knows."""

    name: Literal["url", "command"]
    desired_servers: Annotated[
        Number | None, Meta(description="The number that it accepted last; null: none yet.")
    ]
    told: Time
    failures: Annotated[int, Meta(ge=0, description="Calls in a row that it did not accept.")]
    error: Annotated[str, Meta(description="Why it did not accept the last one.")]
    waiting: list[FleetEventJson]


class ActionJson(Answer, frozen=True):
    """An action for the autoscaler."""

    action: Literal["start", "replace", "drain", "stop"]
    servers: Annotated[int, Meta(ge=1, description="Number of servers.")]
    server: Annotated[str | None, Meta(description="null: new ones.")]
    reason: str


class AutoscalePlanJson(Answer, frozen=True):
    """autoscalePlan."""

    capacity: CapacityJson
    available: Annotated[int, Meta(ge=0, description="Servers that take meetings.")]
    reason: Annotated[str, Meta(description="Why as many servers are needed.")]
    actions: list[ActionJson]
    hooks: list[HookJson]


def capacity_json(capacity: Capacity) -> CapacityJson:
    """Render the capacity."""
    return CapacityJson(**capacity_fields(capacity))


async def _capacity(deps: FleetDeps, call: Call[NoFields]) -> CapacityJson:
    capacity, _ = await read_capacity(deps)
    return capacity_json(capacity)


async def _plan(deps: FleetDeps, call: Call[NoFields]) -> AutoscalePlanJson:
    capacity, servers = await read_capacity(deps)
    settings, hooks = deps.settings.fleet, []
    for hook in make_hooks(deps):
        state = observe(await deps.store.read_hook_state(hook.name), capacity, servers)
        waiting = [
            FleetEventJson(one.kind, one.server) for one in find_events(state, capacity, servers)
        ]
        at = time_json(state.accepted_ms or None)
        hooks.append(
            HookJson(
                "url" if hook.name == "url" else "command",
                *(state.desired, at, state.failures, state.error),
                waiting,
            )
        )
    actions = [
        ActionJson(one.action, one.servers, one.server, one.reason)
        for one in plan_actions(capacity, servers, settings)
    ]
    return AutoscalePlanJson(
        capacity=capacity_json(capacity),
        available=capacity.available,
        reason=explain(capacity, settings),
        actions=actions,
        hooks=hooks,
    )


_SERVER_ID = "3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10"
_CAPACITY = CapacityJson(
    users=412,
    meetings=19,
    seats=800,
    free_seats=388,
    forecast=530,
    desired_servers=4,
    drainable=[],
    safe_to_stop=[_SERVER_ID],
    needed={"none": 4},
)

FLEET_CALLS: tuple[AdminCall[FleetDeps], ...] = (
    AdminCall(
        name="capacity",
        method="GET",
        handler=_capacity,
        group="fleet",
        summary="What the pool has, what it will need within an hour, and which servers may go.",
        example=_CAPACITY,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="autoscalePlan",
        method="GET",
        handler=_plan,
        group="fleet",
        summary="What the autoscaler is to do, and why; what its hooks know.",
        example=AutoscalePlanJson(
            capacity=_CAPACITY,
            available=4,
            reason="4 servers are needed for 530 users in the next hour, as in the last weeks, with"
            " 20 % headroom and 200 seats each",
            actions=[
                ActionJson(
                    *("stop", 1, _SERVER_ID),
                    "bbb5.example.com is disabled and empty, and owes no recordings",
                )
            ],
            hooks=[
                HookJson(
                    *("url", 5, "2026-11-25T10:40:07Z", 1, "the receiver answered 503"),
                    [
                        FleetEventJson(EventKind.DESIRED, None),
                        FleetEventJson(EventKind.SAFE, _SERVER_ID),
                    ],
                )
            ],
        ),
        role=Role.VIEWER,
    ),
)
