"""Findings of many steps add up, kind by kind."""

from __future__ import annotations

from appliance.takeover.findings import Finding, Verdict, found, merge_findings


def test_findings_of_one_kind_become_one_in_the_order_of_their_coming() -> None:
    merged = merge_findings(
        [
            Finding(Verdict.PERSON, "without files", ("a",), advice="restore"),
            Finding(Verdict.FINE, "recordings", count=3),
            Finding(Verdict.PERSON, "without files", ("b", "c"), advice="restore"),
            Finding(Verdict.FINE, "recordings", count=4),
            Finding(Verdict.HEAL, "without files", ("d",)),
        ]
    )

    assert merged == [
        Finding(Verdict.PERSON, "without files", ("a", "b", "c"), advice="restore"),
        Finding(Verdict.FINE, "recordings", count=7),
        Finding(Verdict.HEAL, "without files", ("d",)),
    ]
    assert [one.total for one in merged] == [3, 7, 1]


def test_nothing_found_is_no_finding() -> None:
    assert found(Verdict.PERSON, "x", []) == []
    assert found(Verdict.SELF, "x", {"b", "a"}) == [Finding(Verdict.SELF, "x", ("a", "b"))]
