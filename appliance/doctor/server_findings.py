"""Judge the BigBlueButton servers: reachable, secret, clock, version, no duplicates. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.bbb.server_facts import ServerFacts
from appliance.doctor.findings import Finding, fail, ok, warn
from appliance.model import Server, ServerState
from appliance.servers.sync_plan import shared_urls

OLDEST_VERSION = (2, 6)
SKEW_WARN_S = 5.0
"""The Date header counts whole seconds, and the response takes time to arrive."""
SKEW_FAIL_S = 120.0


def judge_server(server: Server, facts: ServerFacts) -> Finding:
    """Judge one server; only its most serious problem is returned."""
    check = f"server {server.id}"
    if facts.failure:
        return _judge_dead(check, server, facts.failure)
    if facts.secret_refused:
        return fail(
            check,
            "it rejects calls: the secret is wrong",
            f"`ctl servers update {server.id} --secret S`, with S of `bbb-conf --secret` there",
        )
    skew_s = facts.skew_s or 0.0
    if abs(skew_s) >= SKEW_WARN_S:
        side = "ahead of" if skew_s > 0 else "behind"
        report = fail if abs(skew_s) >= SKEW_FAIL_S else warn
        return report(
            check,
            f"its clock is {abs(skew_s):.0f} s {side} this host's",
            "run NTP on both (`timedatectl`): the age of meetings is computed from both clocks",
        )
    return _judge_version(check, server, facts)


def _judge_dead(check: str, server: Server, failure: str) -> Finding:
    text = f"{server.state.value}, does not answer: {failure}"
    if server.state is ServerState.DISABLED:
        return warn(check, text, f"`ctl servers remove {server.id}` if it will not come back")
    return fail(
        check, text, f"repair it (`curl -i {server.url}`), or `ctl servers panic {server.id}`"
    )


def _judge_version(check: str, server: Server, facts: ServerFacts) -> Finding:
    shown = f"BigBlueButton {facts.version}" if facts.version else "BigBlueButton"
    if facts.version is not None and _number(facts.version) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        return warn(check, f"{shown} is no longer supported", f"upgrade it to {oldest} or newer")
    if server.state is ServerState.ENABLED and not server.online:
        return warn(
            check,
            "it answers, but is offline in the pool",
            "`ctl poll`; it gets meetings after SERVER_HEALTHY_THRESHOLD successful polls",
        )
    right = "the secret is right" if facts.skew_s is None else "secret and clock are right"
    return ok(check, f"{server.state.value}, answers, {right}, {shown}")


def _number(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("-")[0].split(".")[:2]:
        if not part.isdigit():
            return (999,)  # such as `v3-devel`: unknown, so never too old
        parts.append(int(part))
    return tuple(parts)


def judge_pool(servers: Sequence[Server], *, vanished: int = 0) -> list[Finding]:
    """Judge the pool as a whole; `vanished`: number of servers that Redis has lost."""
    check = "servers"
    if not servers and vanished:
        return [
            fail(
                check,
                f"all servers ({vanished}) have vanished from Redis",
                "check that REDIS_URL names the right database, and restore Redis or the list"
                " (`ctl servers sync FILE`); if the pool is meant to be empty:"
                " `ctl servers accept-empty`",
            )
        ]
    if not servers:
        return [
            warn(check, "there are none", "add the first: `ctl servers add URL SECRET --enable`")
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


def judge_doubles(doubles: Sequence[tuple[str, str, str]]) -> list[Finding]:
    """Judge the meetings (id, servers) that run on two servers."""
    return [
        warn(
            f"meeting {meeting_id}",
            f"it runs on two servers, {first} and {second}",
            "the copy without users is ended by itself; with users in both, have them meet in one"
            f" and end the other on its server ({first} is the one that joins lead to)",
        )
        for meeting_id, first, second in doubles
    ]


def timed_out(server: Server, limit_s: float) -> Finding:
    """Judge a server whose inspection took too long."""
    return judge_server(server, ServerFacts(failure=f"no answer within {limit_s:g} s"))
