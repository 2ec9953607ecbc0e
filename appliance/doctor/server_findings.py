"""Judge the BigBlueButton servers: reachable, secret, clock, version, no duplicates. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from appliance.bbb.server_facts import ServerFacts
from appliance.doctor.findings import Finding, fail, ok, warn
from appliance.model import Server, ServerState
from appliance.servers.maintenance.rules import Phase, Window
from appliance.servers.model import FoundDouble
from appliance.servers.sync.plan import shared_urls
from appliance.servers.versions.shares import Share

OLDEST_VERSION = (2, 6)
SKEW_WARN_S = 5.0
"""The Date header counts whole seconds, and the response takes time to arrive."""
SKEW_FAIL_S = 120.0


def judge_server(server: Server, facts: ServerFacts, *, maintained: bool = False) -> Finding:
    """Judge one server; only its most serious problem is returned.

    maintained: it is disabled for a maintenance window.
    """
    check = f"server {server.id}"
    if facts.failure and maintained:
        return ok(check, f"under maintenance, does not answer: {facts.failure}")
    if facts.failure:
        return _judge_dead(check, server, facts.failure)
    if facts.secret_refused:
        return fail(
            check,
            "it rejects calls: the secret is wrong",
            f"`ctl servers update {quote(server.id)} --secret S`,"
            " with S of `bbb-conf --secret` there",
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
    text, one = f"{server.state.value}, does not answer: {failure}", quote(server.id)
    if server.state is ServerState.DISABLED:
        return warn(check, text, f"`ctl servers remove {one}` if it will not come back")
    advice = f"repair it (`curl -i {quote(server.url)}`), or `ctl servers panic {one}`"
    return fail(check, text, advice)


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
        findings.append(_same_server(group))
    enabled = sum(server.state is ServerState.ENABLED for server in servers)
    if not enabled:
        findings.append(
            fail(check, "none is enabled, so no meeting can be created", "`ctl servers enable ID`")
        )
    if not findings:
        findings.append(ok(check, f"{enabled} of {len(servers)} enabled"))
    return [*findings, *_judge_debts(servers)]


def _judge_debts(servers: Sequence[Server]) -> list[Finding]:
    """Judge recordings that should have arrived long ago."""
    findings = []
    for server in servers:
        if overdue := server.recordings_owed - server.recordings_awaited:
            number = "1 recording has" if overdue == 1 else f"{overdue} recordings have"
            text = f"{number} not arrived within RECORDING_OWED_HOURS"
            advice = (
                "`bbb-record --watch` there shows whether they were made,"
                " `ctl recordings imports --refused` whether they were refused"
            )
            findings.append(warn(f"recordings of {server.id}", text, advice))
    return findings


def judge_windows(windows: Sequence[Window]) -> list[Finding]:
    """Judge the maintenance windows; those that are planned are not mentioned."""
    findings = []
    for one in windows:
        check = f"maintenance of {one.server_id}"
        if one.phase is Phase.ENDING:
            text = "it is over, but the server does not answer, so that it stays disabled"
            server = quote(one.server_id)
            advice = f"start it; if it does not come back: `ctl servers remove {server}`"
            findings.append(warn(check, text, advice))
        elif one.phase is not Phase.PLANNED:
            findings.append(ok(check, f"window {one.id} is {one.phase.value}"))
        elif one.postponed_ms is not None:
            advice = "add servers, or plan it for another time (`ctl servers maintenance list`)"
            findings.append(warn(check, "it waits: the pool cannot do without the server", advice))
    return findings


def judge_shares(stopped: Sequence[Share]) -> list[Finding]:
    """Judge the shares of versions that were stopped because of failures."""
    return [
        warn(
            f"version {one.version}",
            f"it gets no new meetings any more: {one.reason}",
            f"see the log and the servers; then `ctl versions share {one.version} P%`, or --none",
        )
        for one in stopped
    ]


def _same_server(ids: Sequence[str]) -> Finding:
    # Not drained: it is never empty while the other one takes meetings.
    one = quote(ids[-1])
    return fail(
        "servers",
        f"{' and '.join(ids)} are the same server",
        f"its load counts twice: `ctl servers cordon {one}`, and when it lets you"
        f" `ctl servers remove {one}`",
    )


def judge_doubles(doubles: Sequence[FoundDouble], servers: Sequence[Server]) -> list[Finding]:
    """Judge the meetings that two servers list; judge_pool tells of servers that share a URL."""
    same = {tuple(sorted((one.server_id, one.other))) for one in doubles if one.same_run}
    same -= {tuple(sorted(group)) for group in shared_urls({one.id: one.url for one in servers})}
    return [_same_server(ids) for ids in sorted(same)] + [
        warn(
            f"meeting {meeting_id}",
            f"it runs on two servers, {first} and {second}",
            "the copy without users is ended by itself; with users in both, have them meet in one"
            f" and end the other on its server ({first} is the one that joins lead to)",
        )
        for meeting_id, first, second, same_run in doubles
        if not same_run
    ]


def timed_out(server: Server, limit_s: float) -> Finding:
    """Judge a server whose inspection took too long."""
    return judge_server(server, ServerFacts(failure=f"no answer within {limit_s:g} s"))
