"""Judge whether the servers of a Scalelite answer this host. Pure.

A first poll that reaches no server would take the whole pool offline in the Redis that the
appliance and Scalelite share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.bbb.server_facts import ServerFacts
from appliance.model import ServerId, Target
from appliance.takeover.findings import TakeoverFinding, Verdict, found
from appliance.takeover.pool_findings import PoolState, is_callable, state_of


def polled_servers(state: PoolState) -> list[Target]:
    """Return the servers that the appliance would poll."""
    return [
        Target(ServerId(name), record["url"], record["secret"], record.get("online") == "true")
        for name, record in sorted(state.servers.items())
        if record is not None and is_callable(record) and state_of(state, name) != "disabled"
    ]


def judge_reach(inspected: Sequence[tuple[Target, ServerFacts]]) -> Iterator[TakeoverFinding]:
    """Judge the facts about the servers."""
    silent = [(target, facts.failure) for target, facts in inspected if facts.failure]
    rejecting = [target.id for target, facts in inspected if facts.secret_refused]
    answering = len(inspected) - len(silent) - len(rejecting)
    yield TakeoverFinding(Verdict.FINE, "servers that answer this host", count=answering)
    yield from found(
        Verdict.FINE,
        "servers that are offline, and do not answer this host either",
        (f"{target.id}: {failure}" for target, failure in silent if not target.online),
    )
    yield from found(
        Verdict.PERSON,
        "servers that are online, but do not answer this host",
        (f"{target.id}: {failure}" for target, failure in silent if target.online),
        "make them reachable before an appliance runs here: its polls would take them offline, "
        "also for a Scalelite on the same Redis",
    )
    yield from found(
        Verdict.PERSON,
        "servers that reject calls",
        rejecting,
        "their secrets are wrong, or they do not accept LOADBALANCER_CHECKSUM_ALGORITHM",
    )
