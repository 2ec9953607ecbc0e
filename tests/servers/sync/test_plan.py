"""The plan of a sync: one step a server, as the file and the mode want it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.model import Server, ServerId, ServerState
from appliance.servers.sync.plan import (
    StepKind,
    SyncMode,
    SyncStep,
    named_values,
    plan_sync,
    shared_urls,
    taken_urls,
)
from appliance.servers.sync.yaml_list import WantedServer
from appliance.servers.values import ServerChange

ENABLED, CORDONED, DISABLED = ServerState.ENABLED, ServerState.CORDONED, ServerState.DISABLED
A = ServerId("a")
SERVER = Server(A, "https://a/api", "s", ENABLED)
WANTED = WantedServer(A, "https://a/api", "s")


def plan(
    wanted: list[WantedServer],
    present: list[Server],
    mode: SyncMode = SyncMode.CORDON,
    meetings: int = 0,
) -> list[SyncStep]:
    return list(plan_sync(wanted, present, {server.id: meetings for server in present}, mode))


def test_new_server_is_added_with_all_values_in_its_state() -> None:
    values = ServerChange(url="https://a/api", secret="s", load_multiplier=1.0)

    assert plan([WANTED], []) == [SyncStep(A, StepKind.ADD, replace(values, state=ENABLED))]
    assert plan([replace(WANTED, enabled=False)], []) == [SyncStep(A, StepKind.ADD, values)]


@pytest.mark.parametrize(
    ("wanted", "change"),
    [
        (WANTED, None),
        (replace(WANTED, url="https://b/api"), ServerChange(url="https://b/api")),
        (replace(WANTED, secret="t"), ServerChange(secret="t")),
        (replace(WANTED, load_multiplier=2.0), ServerChange(load_multiplier=2.0)),
        (replace(WANTED, tag="t"), ServerChange(tag="t")),
        (replace(WANTED, tag=""), None),
        (replace(WANTED, max_users=3), ServerChange(max_users=3)),
        (replace(WANTED, max_meetings=0), None),
        (replace(WANTED, dial_in="a/{pin}"), ServerChange(dial_in="a/{pin}")),
        (replace(WANTED, dial_in="", dial_in_port=0), None),
        (replace(WANTED, enabled=False), ServerChange(state=CORDONED)),
    ],
)
def test_only_what_differs_is_changed(wanted: WantedServer, change: ServerChange | None) -> None:
    (step,) = plan([wanted], [SERVER])

    if change is None:
        assert step == SyncStep(A, StepKind.NOTHING)
        assert not step.changes_something
    else:
        assert step == SyncStep(A, StepKind.CHANGE, change)


def test_tag_and_limits_that_the_file_does_not_name_stay() -> None:
    server = replace(SERVER, tag="t", max_users=3, max_meetings=4)

    assert plan([WANTED], [server]) == [SyncStep(A, StepKind.NOTHING)]
    (step,) = plan([replace(WANTED, tag="", max_users=0)], [server])
    assert step.change == ServerChange(tag="", max_users=0)


@pytest.mark.parametrize(
    ("state", "enabled", "to_set"),
    [
        (ENABLED, True, None),
        (CORDONED, True, ENABLED),
        (DISABLED, True, ENABLED),
        (ENABLED, False, CORDONED),
        (CORDONED, False, None),
        (DISABLED, False, None),
    ],
)
def test_state_is_set_where_it_differs(
    state: ServerState, enabled: bool, to_set: ServerState | None
) -> None:
    (step,) = plan([replace(WANTED, enabled=enabled)], [replace(SERVER, state=state)])

    assert step.change.state is to_set


@pytest.mark.parametrize(
    ("mode", "meetings", "state", "step"),
    [
        (SyncMode.KEEP, 0, ENABLED, SyncStep(A, StepKind.KEEP)),
        (SyncMode.KEEP, 3, ENABLED, SyncStep(A, StepKind.KEEP)),
        (SyncMode.CORDON, 0, ENABLED, SyncStep(A, StepKind.REMOVE)),
        (
            SyncMode.CORDON,
            3,
            ENABLED,
            SyncStep(A, StepKind.CORDON, ServerChange(state=CORDONED), 3),
        ),
        (SyncMode.CORDON, 3, CORDONED, SyncStep(A, StepKind.CORDON, ServerChange(), 3)),
        (SyncMode.FORCE, 0, DISABLED, SyncStep(A, StepKind.REMOVE)),
        (SyncMode.FORCE, 3, ENABLED, SyncStep(A, StepKind.EVICT, ServerChange(), 3)),
    ],
)
def test_server_that_the_file_does_not_name_is_dealt_with_as_the_mode_says(
    mode: SyncMode, meetings: int, state: ServerState, step: SyncStep
) -> None:
    assert plan([], [replace(SERVER, state=state)], mode, meetings) == [step]


def test_file_comes_first_in_its_order() -> None:
    others = [replace(SERVER, id=ServerId(name)) for name in "xay"]
    wanted = [replace(WANTED, id=ServerId("z")), WANTED]

    assert [step.server_id for step in plan(wanted, others)] == ["z", "a", "x", "y"]


def test_named_values_are_those_that_are_set() -> None:
    assert named_values(ServerChange(tag="", load_multiplier=2.0)) == {
        "load_multiplier": 2.0,
        "tag": "",
    }


def test_shared_urls_are_found_whatever_their_spelling() -> None:
    urls = {"a": "https://X/api", "b": "https://y/api", "c": "https://x/api/"}

    assert shared_urls(urls) == [("a", "c")]


def test_server_of_the_file_does_not_get_the_url_of_another_that_keeps_it() -> None:
    b, c = ServerId("b"), ServerId("c")
    other = replace(SERVER, id=b, url="https://b/api")
    renamed = replace(WANTED, id=c, url="https://A:443/api/")
    swapped = [replace(WANTED, url=other.url), replace(WANTED, id=b)]
    twin = replace(SERVER, id=c)

    assert taken_urls([renamed], [SERVER, other]) == [(c, A)]
    assert taken_urls([WANTED, renamed], [SERVER]) == [(c, A)]
    assert taken_urls([replace(WANTED, id=b)], [SERVER, other]) == [(b, A)]
    assert taken_urls(swapped, [SERVER, other]) == []
    assert taken_urls([WANTED, replace(WANTED, id=c)], [SERVER, twin]) == []  # noted
