"""Servers that are polled, and the findings for those that do not answer."""

from __future__ import annotations

from appliance.bbb.server_facts import ServerFacts
from appliance.model import ServerId, Target
from appliance.takeover.pool_findings import PoolState
from appliance.takeover.reach_findings import judge_reach, polled_servers

URL = "https://bbb.example.org/bigbluebutton/api"


def test_polled_servers_are_enabled_or_cordoned_with_a_usable_record() -> None:
    good = {"url": URL, "secret": "s"}
    state = PoolState(
        servers={
            "on": {**good, "state": "enabled", "online": "true"},
            "cordoned": {**good, "state": "cordoned", "online": "false"},
            "old": good,
            "old-off": good,
            "off": {**good, "state": "disabled"},
            "broken": {"url": "not a url", "secret": "s", "state": "enabled"},
            "gone": None,
        },
        enabled=frozenset({"on", "old"}),
    )

    found = polled_servers(state)

    assert [(one.id, one.online) for one in found] == [
        *(("cordoned", False), ("old", False), ("on", True)),
    ]
    assert (found[2].url, found[2].secret) == (URL, "s")


def test_servers_are_grouped_by_their_facts() -> None:
    facts_by_id = {
        "good": (True, ServerFacts(version="3.0.10")),
        "lost": (True, ServerFacts(failure="cannot connect: refused")),
        "down": (False, ServerFacts(failure="no answer within 5 s")),
        "secret": (True, ServerFacts(secret_refused=True)),
    }
    targets = [
        (Target(ServerId(name), URL, "s", online), facts)
        for name, (online, facts) in facts_by_id.items()
    ]

    found = {
        (one.verdict.value, one.text): list(one.names) or one.total for one in judge_reach(targets)
    }

    assert found == {
        ("fine", "servers that answer this host"): 1,
        ("fine", "servers that are offline, and do not answer this host either"): [
            "down: no answer within 5 s"
        ],
        ("person", "servers that are online, but do not answer this host"): [
            "lost: cannot connect: refused"
        ],
        ("person", "servers that reject calls"): ["secret"],
    }
