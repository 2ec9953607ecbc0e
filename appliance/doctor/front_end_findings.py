"""Judges the calls of front-ends. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.doctor.findings import Finding, ok, warn

_MAX_CLIENTS = 3
_ADVICE = (
    "compare the secret and the URL in the front-end's settings with LOADBALANCER_SECRET (with"
    " tenants: `ctl tenants list`); the log has checksum_wrong with call, host and algorithm"
)


def judge_checksums(last_hour: Sequence[tuple[str, int]]) -> list[Finding]:
    """Judge (address, number of calls with a wrong checksum), the most first."""
    check = "front-ends"
    if not last_hour:
        return [ok(check, "no call with a wrong checksum in the last hour")]
    findings = []
    for address, count in last_hour[:_MAX_CLIENTS]:
        calls = "1 call" if count == 1 else f"{count} calls"
        origin = address or "a Unix socket"
        text = f"{calls} with a wrong checksum from {origin} in the last hour"
        findings.append(warn(check, text, _ADVICE))
    return findings
