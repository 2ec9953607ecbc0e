"""Queries in UTF-8 that is not percent-encoded, as curl sends what was typed."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.doubles.public import ended, read_answer, receive
from tests.doubles.served import LAST, body, open_served, start

UNENCODED = [
    b"GET /a?b=%b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a?b=%b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"GET /a?b=%b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"GET http://y/a?b=%b HTTP/1.1\r\nHost: x\r\nA: \xe4\r\nExpect: z\r\n\r\n",
    b"POST /a?b=%b HTTP/1.1\nHost: x\nContent-Length: 4\n\n\xc3\xa4\n\xe4",
    b"\r\nPOST /a?b=%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]
"""Requests whose query is still to be filled in."""
QUERY = "Größe&ß=é".encode()


async def targets(scope: Any, receive: Any, send: Any) -> None:
    """Respond with what was requested."""
    content = b""
    while (message := await receive())["type"] == "http.request":
        content += message["body"]
        if not message["more_body"]:
            break
    found = b"%b %b?%b %b" % (
        scope["method"].encode(),
        scope["path"].encode(),
        scope["query_string"],
        content,
    )
    await send(start(len(found)))
    await send(body(found))


async def send_split(stream: trio.SocketStream, data: bytes, size: int) -> None:
    for begin in range(0, len(data), size):
        await stream.send_all(data[begin : begin + size])
        await wait_all_tasks_blocked()


@pytest.mark.parametrize("request_", UNENCODED)
@pytest.mark.parametrize("size", [1, 15, 10_000])
async def test_query_in_unencoded_utf8_is_understood_in_any_request(
    request_: bytes, size: int
) -> None:
    """However it arrives, and after a request that h11 had to read, too."""
    content = b"\xc3\xa4\n\xe4" if b"Content-Length: 4" in request_ else b""
    method = request_.split()[0]
    async with open_served(targets) as served, await served.connect() as stream:
        for _ in range(3):
            await send_split(stream, request_ % QUERY, size)
            answer = await read_answer(stream)
            assert (answer.status, answer.body) == (200, b"%b /a?%b %b" % (
                method, b"b=" + QUERY, content
            ))  # fmt: skip
        await send_split(stream, LAST, size)
        assert (await read_answer(stream)).body == b"GET /? "


async def test_query_of_a_head_request_may_be_unencoded_utf8() -> None:
    async with open_served(targets) as served:
        request = b"HEAD /a?%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % QUERY
        answer = await served.all_of(request)

    length = len(b"HEAD /a? ") + len(QUERY)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: %d\r\n" % length in answer.lower()


@pytest.mark.parametrize("size", [1, 15, 10_000])
async def test_queries_in_unencoded_utf8_are_understood_when_requests_arrive_together(
    size: int,
) -> None:
    together = b"".join(request % QUERY for request in UNENCODED)
    async with open_served(targets) as served, await served.connect() as stream:
        await send_split(stream, together + LAST, size)
        answers = b""
        with trio.fail_after(60), suppress(EOFError):
            while True:
                answers += await receive(stream)

    lines = [b"%b /a?b=%b" % (request.split()[0], QUERY) for request in UNENCODED]
    assert re.findall(rb"(?:GET|POST) /[^ ]*", answers) == [*lines, b"GET /?"]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("target", ["/ä?a=b".encode(), "/ä".encode(), b"/?a=\xe4", b"/?a=\xc3 "])
@pytest.mark.parametrize("size", [1, 10_000])
async def test_other_target_that_is_not_ascii_is_refused(
    method: bytes, target: bytes, size: int
) -> None:
    async with open_served(targets) as served, await served.connect() as stream:
        head = b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        await send_split(stream, head % (method, target), size)
        answer = await read_answer(stream)
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert await ended(stream)
