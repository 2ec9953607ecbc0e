"""Maintenance windows with two processes on the same stores, restarts included, and ctl."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.ctl.client import Refusal
from tests.doubles.appliance_pool import Keys, ServedPool, two_appliances
from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.ctl_program import FAILED, USAGE, ctl, ctl_json
from tests.doubles.store_servers import RedisServer

FAR = 30 * 86_400
IN_TIME_S = 5.0
BUSY_S = 30.0
"""For a machine with other work."""


@pytest.fixture(scope="module")
def appliances(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ApplianceProcess]]:
    """Give two appliances that differ in nothing."""
    environ = {
        "POLL_INTERVAL": "1",
        "CONNECT_TIMEOUT": "1",
        "RESPONSE_TIMEOUT": "2",
        "POLLER_WAIT_TIMEOUT": "2",
    }
    with two_appliances(redis_server, tmp_path_factory, "maintenance", **environ) as both:
        yield both


@pytest.fixture
def pool(
    appliances: list[ApplianceProcess], servers: list[BbbProcess], redis_server: RedisServer
) -> Iterator[ServedPool]:
    """Give the pool of both with the three servers."""
    keys = Keys(redis_server.socket_path, appliances[0].environ["REDIS_NAMESPACE"])
    pool = ServedPool(appliances[0], servers, keys)
    pool.reset()
    pool.add_all()
    appliances[1].sensitive |= {server.secret for server in servers}
    yield pool
    for appliance in appliances:
        appliance.check_log()


def after(seconds: float) -> str:
    """Return the time so many seconds from now, as ctl takes it."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def state(pool: ServedPool, server_id: str) -> str:
    """Return the state of a server."""
    return str(pool.appliance.server(server_id)["state"])


def wait_state(pool: ServedPool, server_id: str, wanted: str) -> float:
    """Wait until a server has a state; return when that was."""
    wait_for(lambda: state(pool, server_id) == wanted, BUSY_S, f"{server_id} {wanted}")
    return time.time()


def test_window_is_shown_wherever_the_server_is(pool: ServedPool) -> None:
    server_id, begin, end = pool.ids[0], after(FAR), after(FAR + 60)
    words = ("--from", begin, "--until", end, "--lead", "0", "--reason", "upgrade")
    window = ctl_json(pool, "servers", "maintenance", server_id, *words)
    (listed,) = ctl_json(pool, "servers", "maintenance", "list")
    assert (listed["id"], listed["from"], listed["until"]) == (window["id"], begin, end)
    shown = {one["id"]: one["maintenance"] for one in ctl_json(pool, "servers", "list")}
    assert shown[server_id]["reason"] == "upgrade"
    assert [one for one in shown.values() if one] == [shown[server_id]]
    assert f"maintenance: planned, from {begin} until {end}" in ctl(pool, "servers", "list")
    assert "Maintenance:" in ctl(pool, "status")
    assert window["id"] in ctl(pool, "servers", "maintenance", "list")
    (entry,) = [one for one in ctl_json(pool, "audit") if window["id"] in one["object"]]
    assert (entry["call"], entry["after"]["reason"]) == ("addMaintenance", "upgrade")


def test_windows_are_acted_on_once_and_in_time(
    pool: ServedPool, appliances: list[ApplianceProcess]
) -> None:
    server_id, begin, end = pool.ids[0], after(3), after(9)
    times = {"from": begin, "until": end, "lead": 0}
    pool.appliance.control.post("addMaintenance", {"id": server_id, **times})

    disabled_s = wait_state(pool, server_id, "disabled")
    appliances[1].kill()  # for the rest of the tests
    appliances[1].control_socket.unlink()
    enabled_s = wait_state(pool, server_id, "enabled")

    for at_s, text in ((disabled_s, begin), (enabled_s, end)):
        assert 0 <= at_s - datetime.fromisoformat(text).timestamp() < IN_TIME_S + BUSY_S
    assert ctl_json(pool, "servers", "maintenance", "list") == []
    for event in ("maintenance_open", "maintenance_ended"):
        seen = [line for one in appliances for line in one.log_text().splitlines()
                if f'"event": "{event}"' in line]  # fmt: skip
        assert len(seen) == 1, seen
    said = [one["event"] for one in ctl_json(pool, "events")]
    assert said.count("maintenance_ended") == 1


def test_window_that_begins_while_no_appliance_runs_is_made_up_for(pool: ServedPool) -> None:
    server_id, begin = pool.ids[1], after(5)
    begins_s = datetime.fromisoformat(begin).timestamp()
    ctl(pool, "servers", "maintenance", server_id, "--from", begin, "--lead", "1s")
    pool.appliance.terminate()
    time.sleep(max(0.0, begins_s - time.time()))
    pool.appliance.start()

    wait_state(pool, server_id, "disabled")
    assert ctl(pool, "servers", "maintenance", "cancel", server_id) == "1 window was cancelled.\n"
    wait_state(pool, server_id, "enabled")


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"until": after(FAR - 60)}, "until must be after from"),
    ({"from": "2020-01-01T00:00:00Z"}, "in the past"),
    ({"from": "9999-12-31T23:59:59Z"}, "two years"),
    ({"from": "2026-12-01T22:00:00+01:00[Mars/Base]"}, "no time zone"),
    ({"from": "2026-12-01T22:00:00"}, "seconds and zone"),
    ({"from": 17}, "from must be a text"),
    ({"from": None}, "seconds and zone"),
    ({"lead": "long"}, "lead must be"),
    ({"lead": -5}, "lead must be"),
    ({"every": "daily"}, "every must be weekly"),
    ({"every": "weekly"}, "needs until"),
    ({"reason": "a\0b"}, "control"),
    ({"id": "nowhere"}, "Couldn't find server"),
    ({"id": "no\0where"}, "Couldn't find server"),
)


def test_bad_input_is_refused_in_one_line(pool: ServedPool) -> None:
    for fields, reason in BAD:
        known = {"id": pool.ids[0], "from": after(FAR)}
        with pytest.raises(Refusal, match=reason):
            pool.appliance.control.post("addMaintenance", {**known, **fields})
    assert pool.appliance.control.get("listMaintenance") == []


def test_ctl_says_what_is_missing(pool: ServedPool) -> None:
    maintenance = ("servers", "maintenance")
    assert "Couldn't find server" in ctl(
        pool, *maintenance, "nowhere", "--from", after(FAR), code=FAILED
    )
    assert "no maintenance window" in ctl(pool, *maintenance, "cancel", "nowhere", code=FAILED)
    assert "cancel ID|WINDOW" in ctl(pool, *maintenance, "cancel", code=USAGE)
    assert "takes no --from" in ctl(pool, *maintenance, "list", "--from", after(9), code=USAGE)
    assert ctl(pool, *maintenance, "list") == "No maintenance is planned.\n"


def test_windows_of_all_servers_at_once_are_refused(pool: ServedPool) -> None:
    times = {"from": after(FAR), "until": after(FAR + 60)}
    for server_id in pool.ids[:2]:
        pool.appliance.control.post("addMaintenance", {"id": server_id, **times})
    with pytest.raises(Refusal, match="the pool cannot do without server"):
        pool.appliance.control.post("addMaintenance", {"id": pool.ids[2], **times})

    completed = pool.appliance.ctl("--complete", "window", "")
    assert set(pool.ids[:2]) <= set(completed.stdout.split())
    found = pool.appliance.control.get("listMaintenance")
    assert [one["phase"] for one in found] == ["planned", "planned"]
