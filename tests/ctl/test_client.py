"""The client of the control socket: requests, refusals, and errors of the connection."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.ctl.client import ControlClient, ControlError, NotRunning, Refusal, find_socket
from tests.doubles.redis_processes import short_directory


@pytest.fixture
def path() -> Iterator[Path]:
    """Return a path that is short enough for a socket."""
    with short_directory() as directory:
        yield directory / "ctl.sock"


def read_request(connection: socket.socket) -> bytes:
    """Read a request with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"content-length: (\d+)", head.lower())
    while length and len(body) < int(length[1]):
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Answer one connection with these bytes; yield the list of received requests."""
    received: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(40)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(40)
                received.append(read_request(connection))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield received
        thread.join(10)


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


def test_call_sends_query_and_returns_the_json(path: Path) -> None:
    with answering(path, http(200, b'{"a": [1]}')) as received:
        assert ControlClient(str(path)).get("getMeetingInfo", id="a&b c") == {"a": [1]}

    assert received[0].startswith(b"GET /scalelite/api/getMeetingInfo?id=a%26b+c HTTP/1.1\r\n")


def test_call_sends_a_body(path: Path) -> None:
    with answering(path, http(201, b"{}")) as received:
        ControlClient(str(path)).post("addServer", {"url": "x"})

    assert received[0].startswith(b"POST /scalelite/api/addServer HTTP/1.1\r\n")
    assert received[0].endswith(b'{"url": "x"}')


def test_refusal_has_reason_status_and_kind(path: Path) -> None:
    body = b'{"error": "no server with id x", "kind": "not_found"}'
    with answering(path, http(404, body)), pytest.raises(Refusal) as refused:
        ControlClient(str(path)).get("getServerInfo", id="x")

    assert str(refused.value) == "no server with id x"
    assert (refused.value.status, refused.value.kind) == (404, "not_found")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{", "closed the connection"),
        (b"SSH-2.0\r\n", "closed the connection"),
        (http(200, b"<html>"), "not JSON"),
        (http(400, b"Bad Request"), "refused the call: HTTP status 400"),
        (http(502, b"[]"), "HTTP status 502"),
    ],
)
def test_unusable_answer_is_a_clear_error(path: Path, answer: bytes, message: str) -> None:
    with answering(path, answer), pytest.raises(ControlError, match=message):
        ControlClient(str(path)).get("getStatus")


def test_missing_listener_means_not_running(path: Path) -> None:
    with pytest.raises(NotRunning, match="no socket"):
        ControlClient(str(path)).get("getStatus")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NotRunning, match="no process listens"):
        ControlClient(str(path)).get("getStatus")
    with pytest.raises(ControlError, match="cannot connect"):
        ControlClient("x" * 200).get("getStatus")


def test_slow_answer_is_a_timeout(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(ControlError, match=r"did not answer within 0.05 s"):
            ControlClient(str(path)).post("poll", {}, deadline_s=0.05)


def test_socket_is_the_configured_one_else_that_of_the_user(tmp_path: Path) -> None:
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}

    assert find_socket({"CTL_SOCKET": "/x/ctl.sock", **runtime}, is_root=False) == "/x/ctl.sock"
    assert find_socket({}, is_root=True) == "/run/scalelite-appliance/ctl.sock"
    own = tmp_path / "scalelite-appliance" / "ctl.sock"
    own.parent.mkdir()
    own.touch()
    assert find_socket(runtime, is_root=False) == os.fspath(own)
