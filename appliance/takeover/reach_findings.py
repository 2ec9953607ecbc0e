"""Whether the servers of a Scalelite answer from where the appliance is, or is to be, judged.

A first poll that reaches nobody would take the whole pool offline in the Redis that both share.
Pure. The facts come from bbb/server_facts.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.doctor.server_findings import ServerFacts
from appliance.model import ServerId, Target
from appliance.takeover.findings import Finding, Verdict, found
from appliance.takeover.pool_findings import PoolState, is_callable, state_of


def polled_servers(state: PoolState) -> list[Target]:
    """Return the servers that the appliance would poll, and can."""
    return [
        Target(ServerId(name), record["url"], record["secret"], record.get("online") == "true")
        for name, record in sorted(state.servers.items())
        if record is not None and is_callable(record) and state_of(state, name) != "disabled"
    ]


def check_reach(asked: Sequence[tuple[Target, ServerFacts]]) -> Iterator[Finding]:
    """Judge what came of asking the servers."""
    silent = [(target, facts.failure) for target, facts in asked if facts.failure]
    refusing = [target.id for target, facts in asked if facts.secret_refused]
    answering = len(asked) - len(silent) - len(refusing)
    yield Finding(Verdict.FINE, "servers that answer from here", count=answering)
    yield from found(
        Verdict.FINE,
        "servers that are offline, and do not answer from here either",
        (f"{target.id}: {failure}" for target, failure in silent if not target.online),
    )
    yield from found(
        Verdict.PERSON,
        "servers that are online, and do not answer from here",
        (f"{target.id}: {failure}" for target, failure in silent if target.online),
        "open the way to them before an appliance runs here: its polls would take them offline, "
        "for a Scalelite on the same Redis, too",
    )
    yield from found(
        Verdict.PERSON,
        "servers that refuse our calls",
        refusing,
        "their secrets are wrong, or LOADBALANCER_CHECKSUM_ALGORITHM is none that they take",
    )
