"""Quart-Trio under the real hypercorn.trio: connections close when they must."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

from appliance.http.messages import read_body
from appliance.http.quart_app import make_quart_app
from appliance.http.quart_exchange import current_exchange, serve_quart

KEEP_ALIVE_S = 0.4
WITHIN_S = 40.0


def make_app() -> QuartTrio:
    app = make_quart_app(__name__)
    app.add_url_rule("/", "hello", hello)
    app.add_url_rule("/echo", "echo", echo, methods=["POST"])
    app.add_url_rule("/slow", "slow", slow)
    return app


async def hello() -> str:
    return "hello"


async def echo() -> Any:
    return await read_body(current_exchange().request, 1000)


async def slow() -> str:
    current_exchange().watch_client()
    await trio.sleep_forever()
    raise AssertionError("not expected")


@asynccontextmanager
async def serving(app: Any, keep_alive_s: float = 600.0) -> AsyncIterator[int]:
    """Serve on a loopback port and yield the port."""
    config = Config()
    config.errorlog = logging.getLogger("hypercorn.error")
    config.bind = ["127.0.0.1:0"]
    config.keep_alive_timeout = keep_alive_s
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        run = partial(serve, partial(with_lifespan, app), config, shutdown_trigger=stop.wait)
        urls: list[str] = await nursery.start(run)
        yield int(urls[0].rsplit(":", 1)[1])
        began_s = time.monotonic()
        stop.set()
    assert time.monotonic() - began_s < 40


async def with_lifespan(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """Answer what Hypercorn's `serve` asks, and the listeners of the appliance do not."""
    message = {"type": ""}
    while scope["type"] == "lifespan" and message["type"] != "lifespan.shutdown":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
    await app(scope, receive, send)


async def read_all(stream: trio.SocketStream) -> bytes:
    answer = b""
    with trio.fail_after(WITHIN_S):
        while chunk := await stream.receive_some():
            answer += chunk
    return answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",  # closed when it has been idle for long enough
        b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_connection_is_closed_after_the_answer(head: bytes) -> None:
    async with serving(serve_quart(make_app()), KEEP_ALIVE_S) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(head)

        answer = await read_all(stream)

        assert answer.endswith(b"hello")
        await stream.aclose()


async def test_connection_serves_many_requests() -> None:
    async with serving(serve_quart(make_app())) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        for _ in range(20):
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            with trio.fail_after(WITHIN_S):
                while not answer.endswith(b"hello"):
                    answer += await stream.receive_some()
        await stream.aclose()


async def test_client_that_goes_away_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with serving(serve_quart(make_app())) as port:
            for head in (
                b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n",
                b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf",
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            ):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                await stream.send_all(head)
                await trio.testing.wait_all_tasks_blocked(0.02)
                await stream.aclose()

            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
            assert (await read_all(stream)).endswith(b"hello")
            await stream.aclose()
    assert not caplog.records


async def test_other_scopes_are_ignored() -> None:
    async def unexpected(*_: Any) -> Any:
        raise AssertionError("not expected")

    await serve_quart(unexpected)({"type": "lifespan"}, unexpected, unexpected)
