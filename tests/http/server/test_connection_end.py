"""The end of a connection: which requests are still served, and none is half answered."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from trio.testing import wait_all_tasks_blocked

from appliance.http.server.accept import AcceptedStream
from appliance.http.server.connection import TunedConnection
from appliance.http.server.interface import ListenerTimeouts
from tests.doubles.features import EventBook
from tests.doubles.public import ended, read_answer, receive
from tests.doubles.served import GET, LAST, body, echo, open_served, start


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("last", "rest"),
    [
        (b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n%b\r\na=b", b"\r\n"),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n%b\r\n", GET),
        (b"HEAD / HTTP/1.0\r\n%b\r\n", b"\n"),
        (b"GET / HTTP/1.1\r\n%bConnection: keep-alive, close\r\n\r\n", b"\x00" * 300_000),
    ],
)
async def test_last_request_is_answered_when_bytes_follow_it(
    last: bytes, rest: bytes, apart: bool
) -> None:
    """Some clients end a form with one empty line too many (RFC 9112, 2.2)."""
    at_work, go_on = trio.Event(), trio.Event()
    asked = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        at_work.set()
        await go_on.wait()
        await echo(scope, receive, send)

    async with open_served(app) as served, await served.connect() as stream:
        request = last % b"Host: x\r\n"
        with trio.fail_after(60):
            await stream.send_all(request if apart else request + rest)
            await at_work.wait()
            if apart:
                await stream.send_all(rest)
            await wait_all_tasks_blocked(0.01)
            go_on.set()
            answer = await read_answer(stream, head_only=last.startswith(b"HEAD"))
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await ended(stream)
    assert asked == 1


async def test_answer_arrives_though_the_body_of_its_request_was_not_read() -> None:
    head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
    async with open_served() as served:
        answer = await served.all_of(head + b"x" * 5_000_000)

    assert answer.endswith(b"http POST /unread ")


async def test_request_is_not_carried_out_when_the_answer_before_it_ends_the_connection() -> None:
    sent, go_on = trio.Event(), trio.Event()
    asked = 0

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        await send(start(4))
        await send(body(b"0123", more=True))
        sent.set()
        await go_on.wait()
        await send(body(b"more than was announced"))

    async with open_served(app) as served, await served.connect() as stream:
        await stream.send_all(GET)
        with trio.fail_after(60):
            await sent.wait()
        await stream.send_all(GET)
        await wait_all_tasks_blocked(0.01)
        go_on.set()
        assert (await read_answer(stream)).body == b"0123"
        assert await ended(stream)
        await wait_all_tasks_blocked(0.01)
    assert served.log.named("request_not_answered")
    assert asked == 1


async def test_request_is_not_carried_out_when_the_last_answer_is_being_sent() -> None:
    size = 30_000_000  # more than the sockets hold
    asked = 0

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        await send(start(size))
        await send(body(b"x" * size))

    async with open_served(app) as served, await served.connect() as stream:
        await stream.send_all(LAST)
        head, _, begun = (await receive(stream)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        missing = size - len(begun)
        await stream.send_all(GET)
        await wait_all_tasks_blocked(0.01)
        with trio.fail_after(60):
            while missing:
                missing -= len(await receive(stream))
        assert await ended(stream)
        await wait_all_tasks_blocked(0.01)
    assert asked == 1


async def test_request_is_answered_wholly_or_not_at_all_when_its_connection_closes() -> None:
    """In each round the request arrives while the connection is closed; either may be first."""
    whole = b"0123" * 2
    begun = False

    async def watch(receive: Any, work: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        work.cancel()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        """Stop, as playback does, when the client has gone."""
        nonlocal begun
        begun = True
        await send(start(8))
        await send(body(b"0123", more=True))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, receive, nursery.cancel_scope)
            for _ in range(20):
                await trio.lowlevel.checkpoint()
            await send(body(b"0123"))
            nursery.cancel_scope.cancel()

    for _ in range(40):
        begun = False
        client, accepted = socket.socketpair()
        connection = TunedConnection(
            app,
            Config(),
            WorkerContext(None),
            AcceptedStream(accepted),
            ListenerTimeouts(),
            EventBook(),
        )
        with client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.run)
                await wait_all_tasks_blocked()
                client.send(GET)
                await trio.lowlevel.checkpoint()  # the reader and this task run next
                connection.close_if_idle()
                await wait_all_tasks_blocked()
                connection.close_if_idle()
            accepted.close()
            client.settimeout(60)
            answer = b""
            while part := client.recv(65536):
                answer += part
        assert answer.endswith(whole) if begun else not answer
