"""The messages that are read and written without h11: they agree with h11."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.http.server.fast_path import (
    CLOSE,
    KEEP_ALIVE,
    SimpleRequest,
    for_h11,
    parse_request,
    parse_target,
    render_head,
)

HOST = b"Host: x\r\n"


def get(headers: bytes = HOST, target: bytes = b"/a?b=c", version: bytes = b"1.1") -> bytes:
    return b"GET " + target + b" HTTP/" + version + b"\r\n" + headers + b"\r\n"


def read_by_h11(data: bytes) -> tuple[bytes, str, list[tuple[bytes, bytes]], bool]:
    """Return target, version and headers of a GET without a body, and whether another follows."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    request: Any = connection.next_event()
    assert isinstance(request, h11.Request)
    assert request.method == b"GET"
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.next_event() is h11.NEED_DATA
    assert not connection.they_are_waiting_for_100_continue
    connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    stays = connection.our_state is h11.DONE
    return request.target, request.http_version.decode(), list(request.headers), stays


def assert_agrees_with_h11(simple: SimpleRequest, data: bytes) -> None:
    target, version, headers, stays = read_by_h11(for_h11(data))
    assert for_h11(simple.target) == target
    assert (simple.version, simple.headers) == (version, headers)
    if version == "1.1":
        assert simple.connection == (b"" if stays else CLOSE)
    else:  # h11 keeps no connection of these
        asked = (b"connection", KEEP_ALIVE) in [(name, value.lower()) for name, value in headers]
        assert simple.connection == KEEP_ALIVE if asked else CLOSE


# --- requests -------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *(b"GET ", b"get ", b"POST ", b"/", b"/a?b=%20", b"http://x/", b" HTTP/1.1\r\n"),
        *(b" HTTP/1.0\r\n", b" HTTP/1.1\n", b"Host: x\r\n", b"host:\t y \r\n", b"HOST: \r\n"),
        *(b"Accept: */*\r\n", b"A: \xff \x80\r\n", b"B : c\r\n", b" folded\r\n", b"C:\r\n"),
        *(b"Connection: keep-alive\r\n", b"Connection: close\r\n", b"Content-Length: 0\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n"),
        *(b"D: \x00\r\n", b"E: a\x0bb\r\n", b"F: a\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\xa0"),
    ]
)
LINES = st.lists(PIECES | st.binary(max_size=6), max_size=8).map(b"".join)
WHOLE = st.lists(PIECES, max_size=5).map(lambda lines: get(b"".join(lines)))


@given(LINES | WHOLE)
@example(get())
@example(get(b"host:x\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nCookie: a=b; c=d\r\n"))
@example(get(HOST, target="/a?b=ä&c=%20".encode()))
@example(get(b"Host:   x \t \r\nConnection: Keep-Alive\r\nEmpty:\r\nHigh: \xc3\xa4\r\n"))
def test_simple_request_is_what_h11_reads(data: bytes) -> None:
    simple = parse_request(data)

    if simple is not None:
        assert_agrees_with_h11(simple, data)


@pytest.mark.parametrize(
    "headers",
    [
        HOST,
        b"Host: bbb.example\r\nUser-Agent: PHP\r\nAccept: */*\r\nX-Request-ID: 4711\r\n",
        b"User-Agent: x\r\nAccept-Encoding: gzip, deflate, br\r\nhost: x\r\n",
        b"Connection: keep-alive\r\nHost: x\r\n",
    ],
)
def test_requests_of_front_ends_are_simple(headers: bytes) -> None:
    simple = parse_request(get(headers))

    assert simple is not None
    assert_agrees_with_h11(simple, get(headers))


@pytest.mark.parametrize(
    ("version", "headers", "connection"),
    [
        (b"1.1", HOST, b""),
        (b"1.1", HOST + b"Connection: Keep-Alive\r\n", b""),
        (b"1.1", HOST + b"Connection: Close\r\n", b"close"),
        (b"1.0", HOST, b"close"),
        (b"1.0", b"Accept: */*\r\n", b"close"),
        (b"1.0", HOST + b"Connection: close\r\n", b"close"),
        (b"1.0", HOST + b"Connection: Keep-Alive\r\n", b"keep-alive"),
    ],
)
def test_answer_says_whether_the_connection_is_kept(
    version: bytes, headers: bytes, connection: bytes
) -> None:
    simple = parse_request(get(headers, version=version))

    assert simple is not None
    assert simple.connection == connection
    assert_agrees_with_h11(simple, get(headers, version=version))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        get()[:-1],
        get() + b"G",
        get() + get(),
        get(version=b"0.9"),
        get(version=b"2.0"),
        get(HOST * 2, version=b"1.0"),
        get(b"", version=b"1.0"),
        get(target=b"/\xc3\xa4"),
        get(target=b"/\xc3\xa4?a"),
        get(target=b"/a?\xc3"),
        get(target=b"?a"),
        get(target=b"/a b"),
        get(target=b""),
        get().replace(b"GET", b"HEAD"),
        get().replace(b"\r\n", b"\n"),
        b"\r\n" + get(),
        get(b""),
        get(HOST * 2),
        get(HOST + b"host: y\r\n"),
        get(HOST + b"Connection: close\r\nConnection: keep-alive\r\n"),
        get(HOST + b"Connection: keep-alive\r\nConnection: close\r\n"),
        get(HOST + b"Connection: keep-alive, Upgrade\r\n"),
        get(HOST + b"Upgrade: h2c\r\n"),
        get(HOST + b"Content-Length: 0\r\n"),
        get(HOST + b"content-length: 5\r\n"),
        get(HOST + b"Transfer-Encoding: chunked\r\n"),
        get(HOST + b"Expect: 100-continue\r\n"),
        get(HOST + b" folded\r\n"),
        get(b" folded\r\n" + HOST),
        get(HOST + b"Name : x\r\n"),
        get(HOST + b"A: \x00\r\n"),
        get(HOST + b"A: b\rc\r\n"),
        get(HOST + b"no colon\r\n"),
    ],
)
def test_every_other_request_is_left_to_h11(data: bytes) -> None:
    assert parse_request(data) is None


def test_query_in_unencoded_utf8_is_left_as_it_is() -> None:
    target = "/a?b=Mathe-Ä&c=é".encode()

    simple = parse_request(get(HOST, target=target))

    assert simple is not None
    assert simple.target == target
    assert for_h11(get(HOST, target=target)) == get(HOST, target=b"/a?b=Mathe-??&c=??")
    assert for_h11(b"GET /?\xc3\nA: \xc3\n") == b"GET /??\nA: \xc3\n"


@pytest.mark.parametrize(
    ("target", "is_understood"),
    [
        ("/a?b=ä".encode(), True),
        ("http://x/a?b=ä?".encode(), True),
        ("/ä?b=ä".encode(), False),
        ("/ä".encode(), False),
        (b"/a?b=\xe4", False),
    ],
)
def test_target_that_is_not_ascii_is_understood_in_a_query_of_utf8(
    target: bytes, is_understood: bool
) -> None:
    line = b"HEAD " + target + b" HTTP/1.1\r\n"

    assert parse_target(line) == (target if is_understood else None)


# --- answers --------------------------------------------------------------------------------------


def written_by_h11(
    status: int, headers: list[tuple[bytes, bytes]], size: int, extra: bytes = b""
) -> bytes:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(get(HOST + extra))
    connection.next_event()
    connection.next_event()
    head = connection.send(h11.Response(status_code=status, headers=headers))
    connection.send(h11.Data(data=bytes(size)))
    connection.send(h11.EndOfMessage())
    assert head is not None
    return head


NAMES = st.sampled_from([b"location", b"x-request-id", b"content-length", b"connection", b"X-A"])
VALUES = st.sampled_from([b"", b"0", b"7", b"a b", b" a", b"a ", b"a\r\nb: c", b"a\tb", b"\xff"])


@given(
    st.integers(199, 600), st.lists(st.tuples(NAMES, VALUES), max_size=4), st.sampled_from([0, 7])
)
@example(200, [(b"content-type", b"text/xml; charset=utf-8"), (b"content-length", b"7")], 7)
@example(302, [(b"location", b"https://bbb/join?a=%20&b=c"), (b"content-length", b"0")], 0)
def test_head_is_what_h11_writes(
    status: int, headers: list[tuple[bytes, bytes]], size: int
) -> None:
    head = render_head(status, headers, size)

    assert head is None or head == written_by_h11(status, headers, size)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, [(b"content-length", b"7"), (b"date", b"Wed, 25 Nov 2026 14:00:00 GMT")]),
        (404, [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"7")]),
    ],
)
def test_heads_of_whole_answers_are_simple(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    assert render_head(status, headers, 7) == written_by_h11(status, headers, 7)
    closing = written_by_h11(status, headers, 7, b"Connection: close\r\n")
    assert render_head(status, headers, 7, CLOSE) == closing


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, []),
        (200, [(b"content-length", b"8")]),
        (200, [(b"content-length", b"07")]),
        (200, [(b"content-length", b"7"), (b"content-length", b"7")]),
        (200, [(b"Content-Length", b"7")]),
        (200, [(b"content-length", b"7"), (b"connection", b"close")]),
        (200, [(b"content-length", b"7"), (b"transfer-encoding", b"chunked")]),
        (200, [(b"content-length", b"7"), (b"location", b"/\r\nset-cookie: a=b")]),
        (200, [(b"content-length", b"7"), (b"a b", b"c")]),
        (200, [(b"content-length", b"7"), (b"", b"c")]),
        (103, [(b"content-length", b"7")]),
        (204, [(b"content-length", b"7")]),
        (304, [(b"content-length", b"7")]),
        (1000, [(b"content-length", b"7")]),
    ],
)
def test_heads_of_other_answers_are_left_to_h11(
    status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    assert render_head(status, headers, 7) is None
