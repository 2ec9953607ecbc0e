"""Connections on which h11 reads some requests and not others, over real sockets."""

from __future__ import annotations

import re
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from appliance.http.server.fast_path import MAX_FIELDS, MAX_HEAD_BYTES
from tests.doubles.public import ended, read_answer, receive
from tests.doubles.served import GET, LAST, Served, body, echo, open_served, start


def head(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


CLOSE = (b"connection", b"close")
WAYS: dict[str, list[dict[str, Any]]] = {
    "plain": [start(4), body(b"0123")],
    "redirect": [start(0, (b"location", b"https://x/join?a=b"), status=302), body(b"")],
    "pieces": [start(10), body(b"0123", more=True), body(b"456789")],
    "chunked": [head(), body(b"0123", more=True), body(b"456789")],
    "more": [start(4), body(b"0123", more=True), body(b"456789")],
    "less": [start(20), body(b"0123")],
    "half": [start(4)],
    "closes": [start(4, CLOSE), body(b"0123")],
    "no-content": [head(204), body(b"")],
    "injection": [start(4, (b"location", b"/\r\nset-cookie: a=b")), body(b"0123")],
    "nothing": [],
}


async def answers_as(scope: Any, receive: Any, send: Any) -> None:
    """Respond in the way that the path names."""
    for message in WAYS.get(scope["path"][1:], WAYS["plain"]):
        await send(message)


REQUEST = b"GET /%b HTTP/1.1\r\nHost: x\r\n%b\r\n"
NOT_SIMPLE = b"Connection: keep-alive, x\r\n"


@pytest.mark.parametrize("way", WAYS)
async def test_every_answer_is_the_same_whether_h11_has_read_the_request(way: str) -> None:
    """Each is followed by a request that closes the connection, unless it is closed already."""

    async def all_answers(served: Served, extra: bytes) -> bytes:
        async with await served.connect() as stream:
            answers = b""
            with trio.fail_after(60):
                try:
                    await stream.send_all(REQUEST % (way.encode(), extra))
                    answers += await receive(stream)
                    await stream.send_all(LAST)
                    while True:
                        answers += await receive(stream)
                except (EOFError, trio.BrokenResourceError):
                    return re.sub(rb"date: [^\r]*", b"date:", answers)

    async with open_served(answers_as) as served:
        simple = await all_answers(served, b"")
        by_h11 = await all_answers(served, NOT_SIMPLE)
        assert simple == by_h11
        events = [event for event, _ in served.log.errors]
        assert events[: len(events) // 2] == events[len(events) // 2 :]


@pytest.mark.parametrize("way", [way for way in WAYS if way != "closes"])
async def test_last_answer_is_the_same_whether_h11_has_read_the_request(way: str) -> None:
    async with open_served(answers_as) as served:
        answers = [
            await served.all_of(REQUEST % (way.encode(), option) + GET)
            for option in (b"Connection: close\r\n", b"Connection: close, x\r\n")
        ]
    simple, by_h11 = (re.sub(rb"date: [^\r]*", b"date:", answer) for answer in answers)
    assert simple == by_h11


@pytest.mark.parametrize("way", WAYS)
async def test_every_answer_is_the_same_when_the_query_is_unencoded_utf8(way: str) -> None:
    async with open_served(answers_as) as served:
        answers = [
            await served.all_of(REQUEST % (f"{way}?{query}".encode(), b"Connection: close\r\n"))
            for query in ("a=%C3%A4", "a=ä")
        ]
    encoded, unencoded = (re.sub(rb"date: [^\r]*", b"date:", answer) for answer in answers)
    assert unencoded == encoded


async def test_http_1_0_connection_is_kept_only_when_its_client_asks_for_it() -> None:
    old = b"GET /a HTTP/1.0\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n"
    async with open_served() as served, await served.connect() as stream:
        for _ in range(3):
            await stream.send_all(old)
            answer = await read_answer(stream)
            assert (answer.body, answer.headers["connection"]) == (b"http GET /a ", "keep-alive")
        await stream.send_all(b"GET /b HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = await read_answer(stream)
        assert (answer.body, answer.headers["connection"]) == (b"http GET /b ", "close")
        assert await ended(stream)


async def test_http_1_0_connection_is_closed_when_the_answer_has_no_length() -> None:
    async with open_served(answers_as) as served:
        old = b"GET /chunked HTTP/1.0\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n"
        answer = await served.all_of(old)

    assert answer.endswith(b"\r\n\r\n0123456789")
    assert b"connection: close\r\n" in answer.lower()


async def test_request_waits_when_another_is_running() -> None:
    at_work, go_on = trio.Event(), trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/first":
            at_work.set()
            await go_on.wait()
        await echo(scope, receive, send)

    async with open_served(app) as served, await served.connect() as stream:
        await stream.send_all(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(60):
            await at_work.wait()
        await stream.send_all(GET * 2)
        await wait_all_tasks_blocked(0.01)
        go_on.set()
        got = b""
        with trio.fail_after(60):
            while got.count(b"http GET") < 3:
                got += await receive(stream)
        assert got.index(b"http GET /first") < got.index(b"http GET / ")
        await stream.send_all(LAST)
        assert (await read_answer(stream)).body == b"http GET / "
        assert await ended(stream)


async def test_request_waits_when_an_answer_is_being_sent() -> None:
    size = 30_000_000  # more than the sockets hold

    async def app(scope: Any, receive: Any, send: Any) -> None:
        content = b"x" * size if scope["path"] == "/first" else b"second"
        await send(start(len(content)))
        await send(body(content))

    async with open_served(app) as served, await served.connect() as stream:
        await stream.send_all(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
        got = bytearray(await receive(stream))
        await stream.send_all(GET)
        await wait_all_tasks_blocked(0.01)
        with trio.fail_after(60):
            while not got.endswith(b"second"):
                got += await receive(stream)
        _, _, rest = got.partition(b"\r\n\r\n")
        assert rest.startswith(b"x" * size + b"HTTP/1.1 200 ")
        await stream.send_all(LAST)
        assert (await read_answer(stream)).body == b"second"


# --- heads ----------------------------------------------------------------------------------------


def head_of(fields: int, size: int = 0, method: bytes = b"GET") -> bytes:
    """Return a request with so many fields; the last is as long as the head needs to be."""
    begin = method + b" /a HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * (fields - 2) + b"b: "
    return begin + b"x" * (size - len(begin) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize(
    ("fields", "size", "accepted"),
    [
        (MAX_FIELDS, 0, True),
        (MAX_FIELDS + 1, 0, False),
        (20_000, 0, False),
        (20, MAX_HEAD_BYTES, True),
        (20, MAX_HEAD_BYTES + 1, False),
        (20, 3 * MAX_HEAD_BYTES, False),
    ],
)
async def test_head_over_a_limit_is_refused(
    method: bytes, pieces: int, fields: int, size: int, accepted: bool
) -> None:
    data = head_of(fields, size, method)
    step = -(-len(data) // pieces)
    async with open_served() as served, await served.connect() as stream:
        for start_at in range(0, len(data), step):
            await stream.send_all(data[start_at : start_at + step])
            await wait_all_tasks_blocked(0.002)
        answer = await read_answer(stream)
        if accepted:
            assert (answer.status, answer.body) == (200, b"http %b /a " % method)
        else:
            assert (answer.status, answer.headers["connection"]) == (431, "close")
            assert await ended(stream)


async def send_forever(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(b"a: b\r\n" * 100_000)


async def test_refused_client_is_cut_off_when_it_sends_on() -> None:
    async with open_served() as served, await served.connect() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with trio.fail_after(60), pytest.raises(trio.BrokenResourceError):
            await send_forever(stream)


FORM = b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b"


@pytest.mark.parametrize("request_head", [GET, REQUEST % (b"", NOT_SIMPLE), FORM])
async def test_empty_line_before_a_request_is_ignored(request_head: bytes) -> None:
    wanted = b"http POST /form a=b" if request_head is FORM else b"http GET / "
    async with open_served() as served, await served.connect() as stream:
        for pieces in (
            *([b"\r\n" + request_head], [b"\r\n", request_head], [request_head + b"\r\n"]),
            *([b"\r", b"\n" + request_head], [b"\r", b"\n", request_head]),
            *([request_head + b"\r"], [b"\n" + request_head]),
        ):
            for piece in pieces:
                await stream.send_all(piece)
                await wait_all_tasks_blocked(0.002)
            assert (await read_answer(stream)).body == wanted
        await stream.send_all(LAST)
        assert (await read_answer(stream)).body == b"http GET / "


@pytest.mark.parametrize("extra", [b"", NOT_SIMPLE])
@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        (b"http://y.example/a/b?c=%20d", "/a/b", "c=%20d", "y.example"),
        (b"HTTPS://y.example:8443", "/", "", "y.example:8443"),
        (b"http://y.example?a", "/", "a", "y.example"),
        (b"http://user@y.example/a", "http://user@y.example/a", "", "x"),
        (b"http:/a", "http:/a", "", "x"),
        (b"//y.example/a", "//y.example/a", "", "x"),
    ],
)
async def test_whole_url_is_a_target(
    extra: bytes, target: bytes, path: str, query: str, host: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        hosts = [value.decode() for name, value in scope["headers"] if name == b"host"]
        content = f"{scope['path']} {scope['query_string'].decode()} {hosts}".encode()
        await send(start(len(content)))
        await send(body(content))

    async with open_served(app) as served, await served.connect() as stream:
        await stream.send_all(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (target, extra))
        assert (await read_answer(stream)).body == f"{path} {query} {[host]}".encode()
