"""What doctor says of the BigBlueButton servers: reachable, secret right, clock, each only once.

Pure. The facts come from bbb/server_facts.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.doctor.findings import Finding, fail, ok, warn
from appliance.model import Server, ServerState
from appliance.servers.sync_plan import shared_urls

OLDEST_VERSION = (2, 6)
SKEW_WARN_S = 5.0
"""The Date header counts in seconds, and the answer takes its time."""
SKEW_FAIL_S = 120.0


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What came of asking a server."""

    failure: str = ""
    """Why it gave no usable answer; empty: it did."""
    secret_refused: bool = False
    version: str | None = None
    skew_s: float | None = None
    """Its Date less our time; None: no Date header."""


def judge_server(server: Server, facts: ServerFacts) -> Finding:
    """Return what is to be said of one server, the worst of it."""
    check = f"server {server.id}"
    if facts.failure:
        return _judge_dead(check, server, facts.failure)
    if facts.secret_refused:
        return fail(
            check,
            "it refuses our calls: the secret is wrong",
            f"`ctl servers update {server.id} --secret S`, with S of `bbb-conf --secret` there",
        )
    skew_s = facts.skew_s or 0.0
    if abs(skew_s) >= SKEW_WARN_S:
        side = "ahead of" if skew_s > 0 else "behind"
        report = fail if abs(skew_s) >= SKEW_FAIL_S else warn
        return report(
            check,
            f"its clock is {abs(skew_s):.0f} s {side} ours",
            "run NTP there and here (`timedatectl`): young meetings would look old",
        )
    return _judge_version(check, server, facts)


def _judge_dead(check: str, server: Server, failure: str) -> Finding:
    text = f"{server.state.value}, but does not answer: {failure}"
    if server.state is ServerState.DISABLED:
        return warn(check, text, f"`ctl servers remove {server.id}` if it is gone for good")
    return fail(
        check, text, f"mend it (`curl -i {server.url}`), or `ctl servers panic {server.id}`"
    )


def _judge_version(check: str, server: Server, facts: ServerFacts) -> Finding:
    shown = f"BigBlueButton {facts.version}" if facts.version else "BigBlueButton"
    if facts.version is not None and _number(facts.version) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        return warn(check, f"{shown} is out of support", f"upgrade it to {oldest} or newer")
    if server.state is ServerState.ENABLED and not server.online:
        return warn(
            check,
            "it answers, but is offline for the pool",
            "`ctl poll`; it takes meetings after SERVER_HEALTHY_THRESHOLD good polls",
        )
    return ok(check, f"{server.state.value}, answers, the secret is right, {shown}")


def _number(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("-")[0].split(".")[:2]:
        if not part.isdigit():
            return (999,)  # `v3-devel`: not to be judged
        parts.append(int(part))
    return tuple(parts)


def judge_pool(servers: Sequence[Server]) -> list[Finding]:
    """Return what is to be said of the pool as a whole."""
    check = "servers"
    if not servers:
        return [
            warn(check, "there are none", "`ctl servers add URL SECRET --enable` adds the first")
        ]
    findings = []
    for group in shared_urls({server.id: server.url for server in servers}):
        findings.append(
            fail(
                check,
                f"{' and '.join(group)} are the same server",
                f"its load counts twice: drain and remove one (`ctl servers drain {group[-1]}`)",
            )
        )
    enabled = sum(server.state is ServerState.ENABLED for server in servers)
    if not enabled:
        findings.append(
            fail(check, "none is enabled, so no meeting can be created", "`ctl servers enable ID`")
        )
    if not findings:
        findings.append(ok(check, f"{enabled} of {len(servers)} enabled"))
    return findings


def unasked(server: Server, limit_s: float) -> Finding:
    """Return what is to be said of a server that took too long."""
    return judge_server(server, ServerFacts(failure=f"nothing within {limit_s:g} s"))
