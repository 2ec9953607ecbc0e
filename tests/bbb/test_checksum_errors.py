"""Calls with a wrong checksum leave a trace: in the log, in the metrics, and for doctor."""

from __future__ import annotations

from appliance.bbb.checksum_errors import ChecksumErrors
from appliance.bbb.errors import ChecksumError, ChecksumReason
from appliance.instruments import Metrics
from appliance.settings import Algorithm
from tests.doubles.features import EventBook

MINUTE_MS = 60_000
WRONG = ChecksumError(ChecksumReason.WRONG, algorithm=Algorithm.SHA256)


class Book:
    """What is recorded, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.log = EventBook()
        self.metrics = Metrics()
        counter = self.metrics.checksum_errors
        self.errors = ChecksumErrors(counter, self.log, lambda: self.now_ms)

    def note(self, error: ChecksumError = WRONG, client: str = "192.0.2.1") -> None:
        self.errors.note(error, call="create", host="bbb.example", client=client)


def test_line_is_logged_once_a_minute_for_each_client() -> None:
    book = Book()
    for client in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1"):
        book.note(client=client)
    book.now_ms += MINUTE_MS
    book.note()

    lines = book.log.named("checksum_wrong")
    assert [(line["client"], line["count"]) for line in lines] == [
        ("192.0.2.1", 1),
        ("192.0.2.2", 1),
        ("192.0.2.1", 3),
    ]
    assert lines[0] == {
        "client": "192.0.2.1",
        "call": "create",
        "host": "bbb.example",
        "reason": "wrong",
        "algorithm": "SHA256",
        "count": 1,
    }


def test_lines_of_many_clients_are_bounded_and_counts_are_kept() -> None:
    book = Book()
    for number in range(40):
        book.note(client=f"198.51.100.{number}")
    assert len(book.log.named("checksum_wrong")) == 30
    book.now_ms += MINUTE_MS
    book.note(client="198.51.100.39")

    (*_, last) = book.log.named("checksum_wrong")
    assert (last["client"], last["count"]) == ("198.51.100.39", 2)


def test_clock_that_is_set_back_suppresses_no_line() -> None:
    book = Book()
    book.note()
    book.now_ms -= 60 * MINUTE_MS
    book.note()

    assert len(book.log.named("checksum_wrong")) == 2


def test_calls_are_counted_by_reason() -> None:
    book = Book()
    for reason in (*ChecksumReason, ChecksumReason.TENANT):
        book.note(ChecksumError(reason))

    assert book.metrics.checksum_errors.values == {
        ("wrong",): 1,
        ("missing",): 1,
        ("algorithm",): 1,
        ("tenant",): 2,
    }


def test_last_hour_has_the_clients_with_the_most_calls_first() -> None:
    book = Book()
    book.note(client="192.0.2.9")
    book.now_ms += 30 * MINUTE_MS
    book.note(client="192.0.2.1")
    book.note(ChecksumError(ChecksumReason.MISSING), client="192.0.2.3")
    for _ in range(3):
        book.note(client="192.0.2.2")
        book.now_ms += MINUTE_MS

    assert book.errors.last_hour() == [("192.0.2.2", 3), ("192.0.2.1", 1), ("192.0.2.9", 1)]
    book.now_ms += 30 * MINUTE_MS
    assert book.errors.last_hour() == [("192.0.2.2", 3), ("192.0.2.1", 1)]
    book.now_ms += 60 * MINUTE_MS
    assert book.errors.last_hour() == []


def test_number_of_remembered_clients_is_bounded() -> None:
    book = Book()
    book.note(client="first")
    for number in range(1500):
        book.note(client=f"192.0.2.{number}")

    found = dict(book.errors.last_hour())
    assert len(found) == 1000
    assert "first" not in found
