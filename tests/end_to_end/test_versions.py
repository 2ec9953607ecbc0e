"""BBB 3.0 and 4.0 in one pool: shares, the automatic stop, and parameter rules by version."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from appliance.ctl.client import Refusal
from tests.doubles.appliance_pool import SHORT_TIMEOUTS, ServedPool
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.ctl_program import FAILED, USAGE, ctl, ctl_json

OLD, NEW = "3.0.10", "4.0.1"


@pytest.fixture(scope="module")
def servers() -> Iterator[list[BbbProcess]]:
    """Give a server of each version."""
    with BbbProcess(version=OLD) as old, BbbProcess(version=NEW) as new:
        yield [old, new]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Give rules for the versions."""
    return {
        **SHORT_TIMEOUTS,
        "POLL_INTERVAL": "600",
        "CREATE_PARAM_RULES": "audioBridge override bbb-webrtc-sfu version=4.*;"
        " meetingLayout override CUSTOM_LAYOUT version=3.0*",
        "JOIN_PARAM_RULES": "userdata-bbb_v override four version=4.*",
    }


def test_version_that_fails_is_stopped(pool: ServedPool, servers: list[BbbProcess]) -> None:
    said = ctl(pool, "versions", "share", NEW, "25%")
    assert said == f"Version {NEW} gets at most 25% of the new meetings.\n"
    for answer in pool.front.create_all([f"m-{number}" for number in range(16)], 4):
        assert answer.returncode == "SUCCESS"
    assert (len(servers[0].meetings()), len(servers[1].meetings())) == (12, 4)

    with servers[1].fault("failed", "create"):
        for number in range(12):
            pool.front.create(f"n-{number}")
        stopped = pool.appliance.wait_event("version_share_stopped", 60, version=NEW)

    assert stopped["level"] == "warning"
    assert "creates that failed" in stopped["reason"]
    by_version = {one["version"]: one for one in ctl_json(pool, "versions")}
    new, old = by_version[NEW], by_version[OLD]
    assert (new["share"], new["servers"]) == (0, 1)
    assert (new["failures"], new["creates"]) == (3, 7)
    assert new["failures_per_create"] == round(3 / 7, 4)
    assert (old["share"], old["failures_per_create"]) == (None, 0)
    assert "stopped" in ctl(pool, "versions")
    (event,) = [one for one in ctl_json(pool, "events") if one["event"] == stopped["event"]]
    assert NEW in event["text"]
    calls = [one["call"] for one in ctl_json(pool, "audit")]
    assert calls[:2] == ["stopVersionShare", "shareVersion"]

    servers[1].clear_requests()
    pool.front.create_all([f"o-{number}" for number in range(6)], 1)
    assert servers[1].requests("create") == []
    pool.appliance.control.post("disableServer", {"id": pool.ids[0], "confirmed": True})
    assert pool.front.create("anyway").returncode == "SUCCESS"
    ctl(pool, "versions", "share", NEW, "--none")
    assert {one["share"] for one in ctl_json(pool, "versions")} == {None}


def test_share_survives_a_restart(pool: ServedPool) -> None:
    pool.appliance.control.post("shareVersion", {"version": NEW, "percent": 0})
    pool.appliance.terminate()
    pool.appliance.start()

    assert {one["version"]: one["share"] for one in ctl_json(pool, "versions")} == {
        OLD: None,
        NEW: 0,
    }
    assert pool.front.create("room").returncode == "SUCCESS"
    assert pool.holder("room") is pool.servers[0]


def test_rules_are_those_of_the_version_of_the_server(
    pool: ServedPool, servers: list[BbbProcess]
) -> None:
    for number in range(4):
        assert pool.front.create(f"m-{number}").returncode == "SUCCESS"
    assert [len(server.meetings()) for server in servers] == [2, 2]

    for server, expected in zip(
        servers, ((None, "CUSTOM_LAYOUT"), ("bbb-webrtc-sfu", None)), strict=True
    ):
        for request in server.requests("create"):
            params = parse_qs(request["query"])
            sent = [params.get(name, [None])[0] for name in ("audioBridge", "meetingLayout")]
            assert tuple(sent) == expected
    for number in range(4):
        location = urlsplit(pool.front.join(f"m-{number}").location)
        is_new = pool.holder(f"m-{number}") is servers[1]
        assert ("userdata-bbb_v=four" in location.query) is is_new


BAD: tuple[dict[str, object], ...] = (
    {"version": "", "percent": 5},
    {"version": "3.0\0", "percent": 5},
    {"version": "a b", "percent": 5},
    {"version": NEW},
    {"version": NEW, "percent": -1},
    {"version": NEW, "percent": 101},
    {"version": NEW, "percent": "many"},
    {"version": NEW, "percent": True},
    {"version": NEW, "percent": [5]},
)


def test_bad_shares_are_refused(pool: ServedPool) -> None:
    for fields in BAD:
        with pytest.raises(Refusal):
            pool.appliance.control.post("shareVersion", fields)


def test_ctl_says_what_is_wrong(pool: ServedPool) -> None:
    assert "give either P% or --none" in ctl(pool, "versions", "share", NEW, code=USAGE)
    assert "from 0% to 100%" in ctl(pool, "versions", "share", NEW, "110%", code=FAILED)
    done = pool.appliance.ctl("versions", "share", "9.9.9", "5")
    assert (done.returncode, "no server has this version" in done.stderr) == (0, True)
