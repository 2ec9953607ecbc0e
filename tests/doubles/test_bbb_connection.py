"""The HTTP of the simulated BBB server: framing, large bodies, the recorded requests."""

from __future__ import annotations

import hashlib
import http.client
import os

import pytest

from tests.doubles.bbb_calls import fetch, open_socket, parsed, peak_memory_mb
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.signing import encode_params


def test_connection_is_kept_alive_and_pipelined_requests_are_answered(bbb: BbbProcess) -> None:
    bbb.add_fault("delay", "index", times=1, seconds=0.05)
    request = b"GET /bigbluebutton/api HTTP/1.1\r\nHost: x\r\n\r\n"
    last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with open_socket(bbb) as client:
        client.sendall(request[:20])
        client.sendall(request[20:] + request + last)
        answers = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answers.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
    ],
)
def test_malformed_request_is_refused(bbb: BbbProcess, sent: bytes, status: bytes) -> None:
    with open_socket(bbb) as client:
        client.sendall(sent)
        assert client.recv(4096).split()[1] == status


@pytest.mark.parametrize("chunked", [False, True])
def test_large_body_is_counted_and_not_kept(bbb: BbbProcess, chunked: bool) -> None:
    block, count = os.urandom(1 << 20), 300
    expected = hashlib.sha256()
    connection = http.client.HTTPConnection("127.0.0.1", bbb.port, timeout=60)
    headers = {"Content-Type": "application/xml"}
    if not chunked:
        headers["Content-Length"] = str(len(block) * count)
    url = bbb.sign("create", {"meetingID": "m1"})
    connection.request(
        "POST",
        url[url.index("/", 8) :],
        (block for _ in range(count)),
        headers,
        encode_chunked=chunked,
    )
    assert parsed(connection.getresponse().read())["returncode"] == "SUCCESS"
    connection.close()
    for _ in range(count):
        expected.update(block)
    (request,) = bbb.requests("create")
    assert request["body_size"] == len(block) * count
    assert request["body_sha256"] == expected.hexdigest()
    assert peak_memory_mb(bbb) < 100


def test_requests_are_recorded_as_received(bbb: BbbProcess) -> None:
    query = encode_params([("meetingID", "m1"), ("name", "a b")])
    fetch(f"{bbb.url}/create?{query}", b"a=1", "text/plain")
    (request,) = bbb.requests("create")
    assert (request["method"], request["query"]) == ("POST", query)
    assert request["headers"]["content-type"] == "text/plain"
    assert request["body_start"] == "a=1"
    bbb.clear_requests()
    assert bbb.requests() == []
