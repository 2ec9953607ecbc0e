"""benchmarks/scenarios.py: shares, signatures, ids of new meetings."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from benchmarks.scenarios import MIX_SHARES, SCENARIOS, Exchange, Workload, exchanges
from tests.doubles.signing import checksum

WORK = Workload("secret", ("one", "two"), "new-1")


def target(exchange: Exchange) -> str:
    method, path, version = exchange.request.split(b"\r\n")[0].decode().split(" ")
    assert (method, version) == ("GET", "HTTP/1.1")
    return path


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "fsapi"])
def test_requests_are_complete_and_signed(scenario: str) -> None:
    for exchange in islice(exchanges(scenario, WORK), 200):
        path, _, query = target(exchange).partition("?")
        call = path.removeprefix("/bigbluebutton/api").removeprefix("/")
        assert exchange.request.endswith(b"\r\n\r\n")
        if call:
            covered, _, signed = query.rpartition("checksum=")
            assert signed == checksum(call, covered.rstrip("&"), "secret")


def test_fsapi_posts_a_complete_authenticated_form() -> None:
    for exchange in islice(exchanges("fsapi", WORK), 3):
        head, _, body = exchange.request.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        assert lines[0] == b"post /fsapi http/1.1"
        assert b"content-length: %d" % len(body) in lines
        assert any(line.startswith(b"authorization: basic ") for line in lines)
        assert b"section=dialplan" in body


def test_mix_has_its_shares_in_each_hundred() -> None:

    calls = [
        target(each).split("/api/")[1].split("?")[0] for each in islice(exchanges("mix", WORK), 200)
    ]

    assert Counter(calls[:100]) == Counter(calls[100:]) == MIX_SHARES


def test_create_never_repeats_a_meeting() -> None:
    names = [each.creates for each in islice(exchanges("create", WORK), 100)]

    assert len(set(names)) == 100
    assert all(name.startswith("new-1-") for name in names)


def test_read_calls_cycle_through_the_meetings() -> None:
    found = [target(each) for each in islice(exchanges("join", WORK), 4)]

    assert ["meetingID=one" in path for path in found] == [True, False, True, False]
    assert found[:2] == found[2:]
