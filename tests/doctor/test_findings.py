"""A finding says how bad it is, what is and what to do."""

from __future__ import annotations

from appliance.doctor.findings import Finding, Level, fail, ok, warn


def test_findings_are_made_by_their_level() -> None:
    assert ok("a", "b") == Finding("a", Level.OK, "b", "")
    assert warn("a", "b", "c") == Finding("a", Level.WARN, "b", "c")
    assert fail("a", "b", "c") == Finding("a", Level.FAIL, "b", "c")
