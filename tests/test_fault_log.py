"""A fault is named once a minute, with how often it happened since."""

from __future__ import annotations

import pytest

from appliance.fault_log import FaultLog
from tests.doubles.features import EventBook

MINUTE_MS = 60_000


class Noted:
    """A fault log on a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.book = EventBook()
        self.faults = FaultLog(self.book, lambda: self.now_ms)

    def note(self, event: str = "server_call_failed", subject: str = "bbb-1") -> None:
        """Note a fault."""
        self.faults.note(event, subject, reason="refused")

    @property
    def levels(self) -> list[str]:
        """The levels of what was logged."""
        return [level for level, _, _ in self.book.events]


@pytest.fixture
def noted() -> Noted:
    return Noted()


def test_fault_is_named_with_its_subject_and_fields(noted: Noted) -> None:
    noted.note()

    fields = {"subject": "bbb-1", "repeated": 0, "reason": "refused"}
    assert noted.book.events == [("warning", "server_call_failed", fields)]


def test_fault_is_named_once_a_minute_with_its_number(noted: Noted) -> None:
    for _ in range(100):
        noted.note()
    noted.now_ms += MINUTE_MS - 1
    noted.note()
    noted.now_ms += 1
    noted.note()
    noted.now_ms += MINUTE_MS
    noted.note()

    warnings = [fields for level, _, fields in noted.book.events if level == "warning"]
    assert [fields["repeated"] for fields in warnings] == [0, 100, 0]
    assert noted.levels.count("debug") == 100


def test_faults_of_others_are_named_apart(noted: Noted) -> None:
    noted.note()
    noted.note(subject="bbb-2")
    noted.note(event="server_refused_call")

    assert noted.levels == ["warning"] * 3


def test_fault_is_named_when_the_clock_was_set_back(noted: Noted) -> None:
    noted.note()
    noted.now_ms -= 24 * 60 * MINUTE_MS

    noted.note()
    noted.note()

    assert noted.levels == ["warning", "warning", "debug"]


def test_faults_do_not_pile_up(noted: Noted) -> None:
    for number in range(10_001):
        noted.note(subject=str(number))

    assert len(noted.faults._named) == 1
