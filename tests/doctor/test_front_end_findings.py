"""Judging calls with a wrong checksum."""

from __future__ import annotations

from appliance.doctor.findings import Level
from appliance.doctor.front_end_findings import judge_checksums


def test_addresses_with_the_most_wrong_calls_are_named() -> None:
    found = judge_checksums([("192.0.2.1", 40), ("", 2), ("192.0.2.2", 1), ("192.0.2.3", 1)])

    assert [finding.level for finding in found] == [Level.WARN] * 3
    assert [finding.text for finding in found] == [
        "40 calls with a wrong checksum from 192.0.2.1 in the last hour",
        "2 calls with a wrong checksum from a Unix socket in the last hour",
        "1 call with a wrong checksum from 192.0.2.2 in the last hour",
    ]


def test_no_wrong_call_is_no_problem() -> None:
    (finding,) = judge_checksums([])

    assert finding.level is Level.OK
