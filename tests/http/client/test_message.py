from __future__ import annotations

from collections.abc import AsyncIterator

import h11
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.http.client.message import (
    Headers,
    ResponseHead,
    StreamedBody,
    UnusableResponseError,
    make_head,
    parse_simple,
)
from tests.doubles.raw_http import answer

# --- requests -------------------------------------------------------------------------------------


class NoChunks:
    """A stream that must not be read."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError


@pytest.mark.parametrize(
    ("length", "header"),
    [(5, (b"Content-Length", b"5")), (None, (b"Transfer-Encoding", b"chunked"))],
)
def test_head_announces_how_a_stream_ends(length: int | None, header: tuple[bytes, bytes]) -> None:
    assert make_head("POST", b"/", b"h", [], StreamedBody(NoChunks(), length)).headers[-1] == header


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("GET", None, None), ("POST", None, b"0"), ("POST", b"ab", b"2"), ("GET", b"ab", b"2")],
)
def test_head_announces_the_length_of_a_body(
    method: str, body: bytes | None, length: bytes | None
) -> None:
    head = make_head(method, b"/", b"h", [], body)

    assert dict(head.headers).get(b"Content-Length") == length


def test_head_renders_as_it_was_made() -> None:
    head = make_head("POST", b"/a?b=c", b"h:1", [(b"X-Y", b" z ")], b"four")

    assert head.render() == (
        b"POST /a?b=c HTTP/1.1\r\nHost: h:1\r\nAccept-Encoding: identity\r\nX-Y: z\r\n"
        b"Content-Length: 4\r\n\r\n"
    )


@given(
    method=st.one_of(st.sampled_from(["GET", "POST"]), st.text(max_size=5)),
    target=st.one_of(st.just(b"/"), st.binary(max_size=20)),
    headers=st.lists(
        st.tuples(
            st.one_of(st.sampled_from([b"X-A", b"Host", b"Content-Length"]), st.binary(max_size=8)),
            st.binary(max_size=12),
        ),
        max_size=3,
    ),
    body=st.one_of(st.none(), st.binary(max_size=30)),
)
@example("GET", b"/a\r\nX: y", [], None)
@example("GET", b"/", [(b"X-A", b"b\r\n\r\nGET /other HTTP/1.1")], None)
@example("GET", b"/", [(b"X-A", b"b\x0bc")], None)
def test_head_is_refused_or_read_by_h11_as_it_was_meant(
    method: str, target: bytes, headers: Headers, body: bytes | None
) -> None:
    try:
        head = make_head(method, target, b"h", headers, body)
    except httpx.LocalProtocolError:
        return

    server = h11.Connection(h11.SERVER)
    server.receive_data(head.render() + (body or b""))
    seen = server.next_event()
    assert isinstance(seen, h11.Request)
    assert (seen.method, seen.target) == (method.encode(), target)
    assert list(seen.headers) == [(name.lower(), value) for name, value in head.headers]
    received = b""
    while isinstance(event := server.next_event(), h11.Data):
        received += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert received == (body or b"")
    assert server.trailing_data[0] == b""
    # h11 takes over where an answer is not simple, so it must accept what was sent.
    assert head.to_h11().target == target


# --- answers --------------------------------------------------------------------------------------


def by_h11(data: bytes) -> tuple[int, Headers, bytes] | None:
    """Read an answer with h11; None: it is not whole, or the connection is not reusable."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    try:
        head = client.next_event()
        if not isinstance(head, h11.Response):
            return None
        body = b""
        while isinstance(event := client.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError:
        return None
    if client.their_state is not h11.DONE or client.trailing_data[0]:
        return None
    return head.status_code, list(head.headers), body


SIMPLE = answer(b"<response/>", headers=b"Server: nginx\r\nContent-Type: text/xml\r\n")

LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 503 ",
    b"HTTP/1.1 999 x",
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"content-length:5",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Content-Length: 05",
    b"Content-Length : 5",
    b"Content-Length: " + b"9" * 5000,
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: Keep-Alive",
    b"Connection: keep-alive, close",
    b"X: y",
    b"X:",
    b"X: \t y \t",
    b"X: y\x00",
    b"X: y\x0b",
    b"X: y\xff",
    b" folded",
    b": no name",
    b"no colon",
    b"",
    b"hello",
    b"hello\r\n\r\n",
]


@given(
    lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=6),
    ends=st.lists(
        st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"]), min_size=6, max_size=6
    ),
    body=st.sampled_from([b"", b"hello", b"hello!", b"0\r\n\r\n"]),
)
def test_simple_answer_made_of_odd_lines_is_what_h11_reads(
    lines: list[bytes], ends: list[bytes], body: bytes
) -> None:
    head = b"".join(line + end for line, end in zip([LINES[0], *lines], ends, strict=False))
    for data in (head + b"\r\n" + body, b"".join(lines) + body):
        assert_agrees_with_h11(data)


@given(
    position=st.integers(0, len(SIMPLE)),
    removed=st.integers(0, 3),
    inserted=st.one_of(st.binary(max_size=3), st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n", b":"])),
)
def test_simple_answer_with_changed_bytes_is_what_h11_reads(
    position: int, removed: int, inserted: bytes
) -> None:
    assert_agrees_with_h11(SIMPLE[:position] + inserted + SIMPLE[position + removed :])


def assert_agrees_with_h11(data: bytes) -> None:
    simple = parse_simple(data)
    if simple is not None:
        head, begun, missing = simple
        rest = b"z" * missing if missing < 10_000 else b""
        found = by_h11(data + rest)
        assert found == (head.status, list(head.headers), begun + rest) or missing >= 10_000


@pytest.mark.parametrize(
    "data",
    [
        SIMPLE,
        SIMPLE[:-1],
        SIMPLE[: -len(b"<response/>")],
        answer(b""),
        answer(b"down", 503),
        answer(b"x\r\n\r\ny"),
        answer(b"ok", headers=b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"),
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_simple_answer_is_taken(data: bytes) -> None:
    assert parse_simple(data) is not None
    assert_agrees_with_h11(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SIMPLE + b"x",
        SIMPLE[:20],
        answer(b"ok", headers=b"Connection: close\r\n"),
        answer(b"ok", headers=b"Content-Length: 2\r\n"),
        answer(b"ok", headers=b"Transfer-Encoding: chunked\r\n"),
        answer(b"ok", headers=b"Content-Encoding: gzip\r\n"),
        answer(b"ok", headers=b"X: " + b"y" * 17_000 + b"\r\n"),
        answer(b"", 204),
        answer(b"", 304),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_answer_that_is_not_simple_is_left_to_h11(data: bytes) -> None:
    assert parse_simple(data) is None


@pytest.mark.parametrize(("announced", "refused"), [(b"100", False), (b"101", True)])
def test_answer_is_refused_by_the_length_it_announces(announced: bytes, refused: bool) -> None:
    head = ResponseHead(503, [(b"content-length", announced)])

    if not refused:
        head.check_length(100)
        return
    with pytest.raises(UnusableResponseError, match="larger than 100 bytes") as caught:
        head.check_length(100)
    assert caught.value.status == 503


@pytest.mark.parametrize(
    ("encoding", "refused"), [(b"gzip", True), (b"br", True), (b"Identity", False), (b"", False)]
)
def test_answer_is_refused_when_compressed(encoding: bytes, refused: bool) -> None:
    head = ResponseHead(200, [(b"content-encoding", encoding)])

    if not refused:
        head.check_encoding()
        return
    with pytest.raises(UnusableResponseError, match="compressed"):
        head.check_encoding()
