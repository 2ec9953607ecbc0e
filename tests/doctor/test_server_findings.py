"""Servers: dead, wrong secret, wrong clock, too old, duplicate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.bbb.server_facts import ServerFacts
from appliance.doctor.findings import Level
from appliance.doctor.server_findings import (
    judge_doubles,
    judge_pool,
    judge_server,
    judge_shares,
    judge_windows,
    timed_out,
)
from appliance.model import MeetingId, Server, ServerId, ServerState
from appliance.servers.maintenance.rules import Phase, Window
from appliance.servers.model import FoundDouble
from appliance.servers.versions.shares import Share

SERVER = Server(ServerId("one"), "https://a/api", "s", ServerState.ENABLED, online=True)
FACTS = ServerFacts(version="3.0.4", skew_s=0.4)


@pytest.mark.parametrize(
    ("server", "facts", "level", "advice"),
    [
        ({}, {}, Level.OK, ""),
        ({}, {"failure": "refused"}, Level.FAIL, "ctl servers panic one"),
        ({"state": "disabled"}, {"failure": "refused"}, Level.WARN, "ctl servers remove one"),
        ({}, {"secret_refused": True}, Level.FAIL, "bbb-conf --secret"),
        ({}, {"skew_s": 6.0}, Level.WARN, "NTP"),
        ({}, {"skew_s": -300.0}, Level.FAIL, "NTP"),
        ({}, {"skew_s": None}, Level.OK, ""),
        ({}, {"version": "2.4.9"}, Level.WARN, "2.6"),
        ({}, {"version": "2.6.0-rc.1"}, Level.OK, ""),
        ({}, {"version": "v3-devel"}, Level.OK, ""),
        ({}, {"version": None}, Level.OK, ""),
        ({"online": False}, {}, Level.WARN, "ctl poll"),
        ({"online": False, "state": "disabled"}, {}, Level.OK, ""),
    ],
)
def test_server_is_judged(
    server: dict[str, Any], facts: dict[str, Any], level: Level, advice: str
) -> None:
    if "state" in server:
        server = {**server, "state": ServerState(server["state"])}

    finding = judge_server(replace(SERVER, **server), replace(FACTS, **facts))

    assert (finding.check, finding.level) == ("server one", level)
    assert advice in finding.advice
    assert bool(finding.advice) == (level is not Level.OK)


def test_advice_can_be_typed_whatever_a_server_is_called() -> None:
    server = replace(SERVER, id=ServerId("a b;id"), url="https://a/$(id)")
    advice = judge_server(server, replace(FACTS, failure="refused")).advice
    assert advice == "repair it (`curl -i 'https://a/$(id)'`), or `ctl servers panic 'a b;id'`"


def test_server_under_maintenance_may_be_silent() -> None:
    server = replace(SERVER, state=ServerState.DISABLED)

    finding = judge_server(server, replace(FACTS, failure="refused"), maintained=True)

    assert (finding.level, finding.text) == (
        Level.OK,
        "under maintenance, does not answer: refused",
    )


def test_windows_are_judged_by_their_phase() -> None:
    window = Window("w1", SERVER.id, 1, 2, 0)
    windows = [
        window,
        replace(window, phase=Phase.DRAINING),
        replace(window, phase=Phase.ENDING),
        replace(window, postponed_ms=5),
    ]

    found = judge_windows(windows)

    assert [one.level for one in found] == [Level.OK, Level.WARN, Level.WARN]
    assert {one.check for one in found} == {"maintenance of one"}


def test_stopped_share_is_a_warning() -> None:
    (finding,) = judge_shares([Share("4.0.1", 0, stopped_ms=5, reason="3 of 3 creates")])

    assert (finding.check, finding.level) == ("version 4.0.1", Level.WARN)
    assert "3 of 3 creates" in finding.text


def test_good_server_shows_version_and_whether_its_clock_was_seen() -> None:
    good = judge_server(SERVER, FACTS)
    unknown = judge_server(SERVER, replace(FACTS, skew_s=None))

    assert good.text == "enabled, answers, secret and clock are right, BigBlueButton 3.0.4"
    assert unknown.text == "enabled, answers, the secret is right, BigBlueButton 3.0.4"


def test_server_that_did_not_answer_in_time_fails() -> None:
    assert timed_out(SERVER, 7.0).level is Level.FAIL


def test_pool_is_judged_as_a_whole() -> None:
    twin = replace(SERVER, id=ServerId("two"), url="https://A/api/")
    off = replace(SERVER, id=ServerId("off"), url="https://b", state=ServerState.DISABLED)

    assert [one.level for one in judge_pool([])] == [Level.WARN]
    (lost,) = judge_pool([], vanished=3)
    assert (lost.level, "ctl servers accept-empty" in lost.advice) == (Level.FAIL, True)
    assert [one.level for one in judge_pool([SERVER, off])] == [Level.OK]
    assert [one.level for one in judge_pool([off])] == [Level.FAIL]
    (same,) = judge_pool([SERVER, twin])
    assert (same.level, same.text) == (Level.FAIL, "one and two are the same server")


def test_recordings_that_are_overdue_are_a_warning() -> None:
    waiting = replace(SERVER, recordings_owed=2, recordings_awaited=2)
    overdue = replace(SERVER, recordings_owed=3, recordings_awaited=2)

    assert [one.level for one in judge_pool([waiting])] == [Level.OK]
    _, finding = judge_pool([overdue])
    assert (finding.check, finding.level) == ("recordings of one", Level.WARN)
    assert finding.text == "1 recording has not arrived within RECORDING_OWED_HOURS"


def test_meeting_on_two_servers_is_a_warning() -> None:
    doubles = [FoundDouble(MeetingId("room"), ServerId("a"), ServerId("b"), same_run=False)]
    (finding,) = judge_doubles(doubles, [])
    assert (finding.check, finding.level) == ("meeting room", Level.WARN)
    assert "a and b" in finding.text


def test_servers_that_list_one_meeting_are_the_same_server() -> None:
    one = FoundDouble(MeetingId("m"), ServerId("two"), SERVER.id, same_run=True)
    doubles = [one, one._replace(server_id=one.other, other=one.server_id)]
    twin = replace(SERVER, id=ServerId("two"), url="https://a.local/api")

    (finding,) = judge_doubles(doubles, [SERVER, twin])

    assert (finding.level, finding.text) == (Level.FAIL, "one and two are the same server")
    assert judge_doubles(doubles, [SERVER, replace(twin, url=SERVER.url)]) == []  # judge_pool
