"""The faults of the simulated BBB server."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.doubles.bbb_calls import TIMEOUT_S, call, fetch, open_socket, peak_memory_mb
from tests.doubles.bbb_process import BbbProcess


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        ("hang", {}, TimeoutError),
        ("close", {}, http.client.RemoteDisconnected),
        ("reset", {}, ConnectionResetError),
        ("half", {}, http.client.IncompleteRead),
        ("not_http", {}, http.client.BadStatusLine),
        ("slow_drip", {"seconds": 3}, TimeoutError),
        ("delay", {"seconds": 3}, TimeoutError),
        ("refuse", {}, (ConnectionRefusedError, urllib.error.URLError)),
        ("hang_accept", {}, TimeoutError),
    ],
)
def test_fault_leaves_the_caller_without_an_answer(
    bbb: BbbProcess, kind: str, options: dict[str, Any], error: Any
) -> None:
    with bbb.fault(kind, **options), pytest.raises(error):
        fetch(bbb.url, timeout_s=0.5 if error is TimeoutError else TIMEOUT_S)
    assert fetch(bbb.url)[0] == 200


@pytest.mark.parametrize(
    ("kind", "options", "status", "content"),
    [
        ("status", {"status": 503}, 503, b"<h1>"),
        ("garbage", {}, 200, b"\x00\x01"),
        ("empty", {}, 200, b""),
        ("truncated", {}, 200, b"<response>"),
        ("bomb", {}, 200, b"<!ENTITY a9"),
        ("external_entity", {}, 200, b"SYSTEM"),
        ("wrong_content_type", {}, 200, b"bbbVersion"),
        ("wrong_content_type", {"executed": False}, 200, b"<h1>"),
        ("redirect_loop", {}, 302, b""),
        ("no_returncode", {}, 200, b"<version>"),
        ("failed", {"key": "k1"}, 200, b"<messageKey>k1</messageKey>"),
        ("delay", {"seconds": 0.1}, 200, b"bbbVersion"),
        ("big", {"size": 5_000_000}, 200, b"a" * 4_900_000),
    ],
)
def test_fault_alters_the_answer(
    bbb: BbbProcess, kind: str, options: dict[str, Any], status: int, content: bytes
) -> None:
    bbb.add_fault(kind, "index", times=1, **options)
    answer = fetch(bbb.url)
    assert answer[0] == status
    assert content in answer[2]
    assert b"bbbVersion" in fetch(bbb.url)[2]


def test_gzip_answer_is_compressed(bbb: BbbProcess) -> None:
    with bbb.fault("gzip"):
        _status, headers, body = fetch(bbb.url)
    assert headers["content-encoding"] == "gzip"
    assert b"bbbVersion" in gzip.decompress(body)


def test_endless_answer_is_sent_no_faster_than_it_is_read(bbb: BbbProcess) -> None:
    bbb.add_fault("big", size=0)
    with open_socket(bbb) as client:
        client.sendall(b"GET /bigbluebutton/api HTTP/1.1\r\n\r\n")
        received = 0
        while received < 100_000_000:
            received += len(client.recv(1 << 20))
    assert peak_memory_mb(bbb) < 100


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("kind", ["status", "close", "hang", "half"])
def test_fault_executes_the_call_only_when_it_is_executed(
    bbb: BbbProcess, kind: str, executed: bool
) -> None:
    bbb.add_fault(kind, "create", executed=executed)
    with contextlib.suppress(OSError, http.client.HTTPException):
        limit_s = 1.0 if kind == "hang" else TIMEOUT_S
        fetch(bbb.sign("create", {"meetingID": "m1"}), timeout_s=limit_s)
    assert ("m1" in bbb.meetings()) is executed


def test_fault_strikes_only_matching_requests(bbb: BbbProcess) -> None:
    bbb.add_fault("failed", "create", match="meetingID=m2", times=2)
    keys = [call(bbb, "create", meetingID=name)["returncode"] for name in ("m1", "m2", "m2", "m2")]
    assert keys == ["SUCCESS", "FAILED", "FAILED", "SUCCESS"]


def test_early_fault_strikes_before_the_body_is_read(bbb: BbbProcess) -> None:
    bbb.add_fault("status", "create", early=True, status=503)
    with open_socket(bbb) as client:
        client.sendall(b"POST /bigbluebutton/api/create HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        assert client.recv(4096).split()[1] == b"503"


def test_unknown_fault_is_refused(bbb: BbbProcess) -> None:
    with pytest.raises(RuntimeError, match="not a fault"):
        bbb.add_fault("nonsense")


def test_open_connections_are_reset_before_the_fault_is_confirmed(
    bbb: BbbProcess,
) -> None:
    # Repeated, because the race would show only sometimes.
    for _ in range(50):
        with open_socket(bbb) as client:
            client.sendall(b"GET /bigbluebutton/api HTTP/1.1\r\n\r\n")
            client.recv(4096)
            client.setblocking(False)
            with bbb.fault("refuse"), pytest.raises(ConnectionResetError):
                client.recv(1)
