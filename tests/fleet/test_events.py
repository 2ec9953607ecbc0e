"""What a hook is told, and what it is not told again; what would be done."""

from __future__ import annotations

from dataclasses import replace

from appliance.fleet.capacity import FleetNote, plan_capacity
from appliance.fleet.events import (
    EventKind,
    FleetEvent,
    HookState,
    accept,
    explain,
    find_events,
    observe,
    plan_actions,
)
from appliance.model import Server, ServerId, ServerState
from tests.doubles.settings import settings_of

SETTINGS = settings_of(SEATS_PER_SERVER="100").fleet


def server(name: str, users: int = 0, *, online: bool = True, state: str = "enabled") -> Server:
    url = f"https://{name}.example.com/bigbluebutton/api"
    return Server(ServerId(name), url, "s", ServerState(state), online, users=users)


def events(
    state: HookState, *servers: Server, history: int | None = 0
) -> tuple[HookState, list[FleetEvent]]:
    """Return what a hook knows after it has accepted all that it is told, and that."""
    notes = {one.id: FleetNote(polled=True) for one in servers}
    capacity = plan_capacity(servers, notes, history, SETTINGS)
    state = observe(state, capacity, servers)
    found = find_events(state, capacity, servers)
    for event in found:
        state = accept(state, event, capacity, 1)
    assert find_events(state, capacity, servers) == []
    return state, found


DESIRED = FleetEvent(EventKind.DESIRED)


def test_desired_servers_are_told_at_first_and_when_they_change() -> None:
    state, first = events(HookState(), server("a"))
    state, same = events(state, server("a", 80))
    state, more = events(state, server("a", 90))
    _, less = events(state, server("a", 70))

    assert (first, same, more, less) == ([DESIRED], [], [DESIRED], [DESIRED])


def test_pool_does_not_shrink_without_a_forecast() -> None:
    state, _ = events(HookState(), server("a", 200))

    assert events(state, server("a"), history=None)[1] == []
    assert events(state, server("a", 300), history=None)[1] == [DESIRED]
    assert events(HookState(), server("a", 300), history=None)[1] == []


def test_server_is_safe_to_stop_once_until_it_was_used_again() -> None:
    state, _ = events(HookState(), server("a"), server("b"))
    state, first = events(state, server("a"), server("b", state="disabled"))
    state, again = events(state, server("a"), server("b", state="disabled"))
    state, _ = events(state, server("a"), server("b"))
    _, again_later = events(state, server("a"), server("b", state="disabled"))

    safe = FleetEvent(EventKind.SAFE, ServerId("b"))
    assert (first, again, again_later) == ([safe], [], [safe])


def test_server_goes_offline_once_until_it_is_back() -> None:
    state, unknown = events(HookState(desired=1), server("a"), server("b", online=False))
    state, _ = events(state, server("a"), server("b"))
    state, lost = events(state, server("a"), server("b", online=False))
    state, again = events(state, server("a"), server("b", online=False))
    state, _ = events(state, server("a"), server("b"))
    state, again_later = events(state, server("a"), server("b", online=False))
    state, _ = events(state, server("a"), server("b"))
    _, stopped = events(replace(state), server("a"), server("b", online=False, state="disabled"))

    offline = FleetEvent(EventKind.OFFLINE, ServerId("b"))
    assert (unknown, lost, again, again_later) == ([], [offline], [], [offline])
    assert offline not in stopped


def test_plan_says_what_is_to_be_done_and_why() -> None:
    servers = [
        server("a", 230),
        server("b"),
        server("c", online=False),
        server("d", state="disabled"),
    ]
    notes = {one.id: FleetNote(polled=True) for one in servers}
    busy = plan_capacity(servers, notes, 400, SETTINGS)
    few = [server("a"), server("b")]
    idle = plan_capacity(few, {}, 0, SETTINGS)

    actions = list(plan_actions(busy, servers, SETTINGS))
    assert [(one.action, one.servers, one.server) for one in actions] == [
        ("start", 3, None),
        ("replace", 1, "c"),
        ("stop", 1, "d"),
    ]
    (drain,) = plan_actions(idle, few, SETTINGS)
    assert (drain.action, drain.server) == ("drain", "a")
    assert "2 servers take meetings" in drain.reason
    assert "400 users in the next hour" in explain(busy, SETTINGS)
    assert "at least 1 (POOL_MIN_SERVERS)" in explain(idle, SETTINGS)
    limited = replace(SETTINGS, max_servers=2)
    assert "at most 2 (POOL_MAX_SERVERS)" in explain(
        plan_capacity(servers, notes, 400, limited), limited
    )
