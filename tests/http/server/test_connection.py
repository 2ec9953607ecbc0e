"""A tuned connection: its changes fit Hypercorn's internals, and no connection ends another.

Over real sockets, with small ASGI applications in place of the appliance's.
"""

from __future__ import annotations

import gc
import logging
import resource
import time
import weakref
from typing import Any

import pytest
import trio

from tests.doubles.features import EventBook
from tests.doubles.public import ended, read_answer, receive, serving
from tests.doubles.served import GET, LAST, WEB, body, echo, open_served, start


async def send_forever(stream: trio.SocketStream, data: bytes, pause_s: float = 0.0) -> None:
    """Send until the connection is cut. Raises trio.BrokenResourceError."""
    with trio.fail_after(40):
        while True:
            await stream.send_all(data)
            await trio.sleep(pause_s)


# --- HTTP/1.1 ------------------------------------------------------------------------------------


async def test_connection_serves_many_requests_and_closes_when_asked() -> None:
    async with open_served() as served, await served.connect() as stream:
        for _ in range(20):
            await stream.send_all(GET)
            assert (await read_answer(stream)).body == b"http GET / "
        await stream.send_all(LAST)
        answer = await read_answer(stream)

        assert answer.headers["connection"].lower() == "close"
        assert await ended(stream)


async def test_http_1_0_is_closed_after_the_answer() -> None:
    async with open_served() as served:
        answer = await served.all_of(b"GET / HTTP/1.0\r\n\r\n")

    assert answer.endswith(b"\r\n\r\nhttp GET / ")


async def test_pipelined_requests_are_answered_in_order() -> None:
    paths = [b"/%d" % number for number in range(5)]
    data = b"".join(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in paths)
    async with open_served() as served, await served.connect() as stream:
        await stream.send_all(data)
        answers = b""
        with trio.fail_after(40):
            while answers.count(b"http GET") < 5:
                answers += await receive(stream)

    bodies = [part.split(b"HTTP/")[0] for part in answers.split(b"\r\n\r\n")[1:]]
    assert bodies == [b"http GET %b " % path for path in paths]


async def test_connection_closes_when_a_second_request_is_in_its_buffer() -> None:
    """Hypercorn itself waits forever for a first request that has ended."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(2, (b"connection", b"close")))
        await send(body(b"ok"))

    began_s = time.monotonic()
    async with open_served(app) as served:
        assert (await served.all_of(GET * 3)).count(b"HTTP/1.1 200") == 1
    assert time.monotonic() - began_s < 40  # nothing is left for the stop to wait for


async def test_body_is_passed_on_with_a_length_and_with_chunks() -> None:
    head = b"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    async with open_served() as served:
        plain = await served.all_of(head + b"Content-Length: 5\r\n\r\nhello")
        chunked = await served.all_of(
            head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: u\r\n\r\n"
        )

    assert plain.endswith(b"http POST /p hello")
    assert chunked.endswith(b"http POST /p hello")


async def test_client_gets_100_continue_when_it_asks_for_it() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    async with open_served() as served, await served.connect() as stream:
        await stream.send_all(head)
        with trio.fail_after(40):
            assert (await receive(stream)).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"hello")

        assert (await read_answer(stream)).body == b"http POST / hello"


async def test_answer_is_whole_whatever_its_size() -> None:
    sizes = [0, 1, 65_536, 65_537, 3_000_000]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        size = int(scope["path"][1:])
        await send(start(size))
        await send(body(b"x" * (size // 2), more=True))
        await send(body(b"x" * (size - size // 2)))

    async with open_served(app) as served, await served.connect() as stream:
        for size in sizes:
            await stream.send_all(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % size)
            assert (await read_answer(stream)).body == b"x" * size


# --- other protocols ------------------------------------------------------------------------------

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %b\r\n"
SOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        H2C % b"AAMAAABkAAQAAP__",
        H2C % b"%%%not base64",
        H2C % b"",
        SOCKET + KEY,
        SOCKET,
        SOCKET + KEY + b"Sec-WebSocket-Protocol: \xff\r\nSec-WebSocket-Extensions: \xff;;=,\r\n",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.0, h2c, \xff\r\n",
    ],
)
async def test_request_for_another_protocol_is_ignored(headers: bytes) -> None:
    async with open_served() as served, await served.connect() as stream:
        for _ in range(2):
            await stream.send_all(b"GET /up HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
            answer = await read_answer(stream)
            assert (answer.status, answer.body) == (200, b"http GET /up ")
        assert not served.log.errors


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 100 + b"\r\n\r\n",
        b"\0\1\2",
        b"\r\n" * 10 + b"nonsense\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G\xc3\x89T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 300_000,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_request_end_only_their_own_connection(data: bytes) -> None:
    async with open_served() as served, await served.connect() as other:
        await other.send_all(GET[:10])
        answer = await served.all_of(data)

        # an error at most, and never a second request out of the bytes of the first
        assert answer.count(b"http GET") == 0
        await other.send_all(GET[10:])
        assert (await read_answer(other)).body == b"http GET / "


async def test_no_second_request_is_read_when_one_has_a_length_and_chunks() -> None:
    """Request smuggling: chunks win over a length, and nothing follows (RFC 9112, section 6.1)."""
    data = (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    async with open_served() as served:
        answer = await served.all_of(data)

    assert answer.endswith(b"\r\n\r\nhttp POST / ")
    assert answer.lower().count(b"connection: close") == 1


# --- applications that misbehave ------------------------------------------------------------------


async def test_defect_of_an_application_is_a_500_and_is_logged() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/broken":
            raise RuntimeError("a defect")
        await echo(scope, receive, send)

    async with open_served(app) as served:
        answer = await served.all_of(b"GET /broken?checksum=x HTTP/1.1\r\nHost: x\r\n\r\n")
        fine = await served.all_of(LAST)

    ((name, fields),) = served.log.errors
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert (name, fields["path"]) == ("request_not_answered", "/broken")
    assert "checksum" not in str(fields)
    assert fine.endswith(b"http GET / ")


@pytest.mark.parametrize("length", [100, 3])
async def test_answer_of_another_length_than_announced_ends_the_connection(length: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(length))
        await send(body(b"hello"))

    async with open_served(app) as served:
        await served.all_of(GET)

        assert [name for name, _ in served.log.errors] == ["request_not_answered"]


async def test_application_that_sends_nothing_is_a_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    async with open_served(app) as served:
        assert (await served.all_of(GET)).startswith(b"HTTP/1.1 500 ")


# --- bodies that are not read ---------------------------------------------------------------------


async def test_body_that_is_not_read_does_not_keep_the_connection() -> None:
    head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    async with open_served() as served, await served.connect() as stream:
        await stream.send_all(head)
        assert (await read_answer(stream)).body == b"http POST /unread "

        with pytest.raises(trio.BrokenResourceError):
            await send_forever(stream, b"x" * 100_000)
        assert not served.log.errors


async def test_application_can_answer_when_the_queue_of_its_body_is_full() -> None:
    full = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await full.wait()
        await send(start(2))
        await send(body(b"ok"))

    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with open_served(app) as served, await served.connect() as stream:
        await stream.send_all(head + b"1\r\nx\r\n" * 100)
        await trio.testing.wait_all_tasks_blocked(0.05)
        full.set()

        assert (await read_answer(stream)).body == b"ok"
        assert await ended(stream)


async def test_body_is_read_no_faster_than_the_application_reads_it() -> None:
    go_on = trio.Event()
    seen = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal seen
        await go_on.wait()
        while (message := await receive()).get("more_body"):
            seen += len(message["body"])
        await send(start(2))
        await send(body(b"ok"))

    size = 60_000_000
    sent = 0
    async with open_served(app) as served, await served.connect() as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        with trio.move_on_after(0.5):
            while True:
                sent += await stream.socket.send(b"x" * 1_000_000)
        assert sent < 30_000_000  # the rest waits in the client: kernel buffers are what was taken

        go_on.set()
        while sent < size:
            sent += await stream.socket.send(b"x" * min(1_000_000, size - sent))
        assert (await read_answer(stream)).body == b"ok"
    assert seen == size


# --- clients that leave or stall ------------------------------------------------------------------


async def test_application_continues_when_its_client_leaves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    began, finished, gone = trio.Event(), trio.Event(), trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["more_body"] is False
        began.set()
        assert (await receive())["type"] == "http.disconnect"
        gone.set()
        await trio.sleep(0.05)
        await send(start(5))
        await send(body(b"hello"))
        finished.set()

    async with open_served(app) as served:
        async with await served.connect() as stream:
            await stream.send_all(GET)
            await began.wait()
        with trio.fail_after(40):
            await gone.wait()
            await finished.wait()
        assert not served.log.errors
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_idle_connection_is_closed_after_its_time() -> None:
    async with open_served(keep_alive_s=0.5) as served:
        began_s = time.monotonic()
        assert await served.all_of(b"") == b""
        assert await served.all_of(GET) != b""  # closed when it has been idle for as long again
        took_s = time.monotonic() - began_s

    assert took_s > 0.95


async def test_connection_is_cut_off_when_a_request_head_drips() -> None:
    async with open_served(keep_alive_s=0.3) as served, await served.connect() as stream:
        await stream.send_all(b"GET /")
        with pytest.raises(trio.BrokenResourceError):
            await send_forever(stream, b"a", pause_s=0.01)


async def test_connection_with_a_running_request_is_not_idle() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(1.0)
        await echo(scope, receive, send)

    async with open_served(app, keep_alive_s=0.5) as served:
        assert (await served.all_of(LAST)).endswith(b"http GET / ")


async def test_requests_are_served_while_many_others_are_unfinished() -> None:
    async with open_served() as served:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4  # both ends are in this process
        silent = [await served.connect() for _ in range(min(500, most))]
        for number, stream in enumerate(silent):
            await stream.send_all(GET[: number % len(GET)])
        began_s = time.monotonic()
        for _ in range(20):
            assert (await served.all_of(LAST)).endswith(b"http GET / ")
        took_s = time.monotonic() - began_s
        for stream in silent:
            await stream.aclose()

    assert took_s < 40


class Content:
    """An object that an application holds while it answers."""


async def test_memory_of_an_answer_is_freed_when_its_client_left() -> None:
    held: list[weakref.ref[Content]] = []
    sending = trio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        content = Content()
        held.append(weakref.ref(content))
        await send(start(10**9))
        sending.set()
        while True:  # until the client is gone, and then this request is over
            await send(body(b"x" * 1_000_000, more=True))
            if held and gone.is_set():
                break

    gone = trio.Event()
    gc.collect()
    gc.disable()
    try:
        async with serving(app, WEB, EventBook()) as (_, urls, _):
            stream = await trio.open_tcp_stream("127.0.0.1", int(urls[0].rpartition(":")[2]))
            await stream.send_all(GET)
            await sending.wait()
            gone.set()
            await trio.aclose_forcefully(stream)
            with trio.fail_after(40):
                while held[0]() is not None:
                    await trio.lowlevel.checkpoint()
    finally:
        gc.enable()
