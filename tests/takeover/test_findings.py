"""Merging the findings of many steps."""

from __future__ import annotations

from appliance.takeover.findings import TakeoverFinding, Verdict, found, merge_findings


def test_findings_of_one_kind_are_merged_in_the_order_of_their_first_occurrence() -> None:
    merged = merge_findings(
        [
            TakeoverFinding(Verdict.PERSON, "without files", ("a",), advice="restore"),
            TakeoverFinding(Verdict.FINE, "recordings", count=3),
            TakeoverFinding(Verdict.PERSON, "without files", ("b", "c"), advice="restore"),
            TakeoverFinding(Verdict.FINE, "recordings", count=4),
            TakeoverFinding(Verdict.HEAL, "without files", ("d",)),
        ]
    )

    assert merged == [
        TakeoverFinding(Verdict.PERSON, "without files", ("a", "b", "c"), advice="restore"),
        TakeoverFinding(Verdict.FINE, "recordings", count=7),
        TakeoverFinding(Verdict.HEAL, "without files", ("d",)),
    ]
    assert [one.total for one in merged] == [3, 7, 1]


def test_found_without_names_is_empty() -> None:
    assert found(Verdict.PERSON, "x", []) == []
    assert found(Verdict.SELF, "x", {"b", "a"}) == [TakeoverFinding(Verdict.SELF, "x", ("a", "b"))]
