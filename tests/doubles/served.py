"""The public listener with a small application instead of the appliance's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from appliance.http.server.interface import ListenerTimeouts
from appliance.settings import Bind, WebSettings
from tests.doubles.features import EventBook
from tests.doubles.public import receive, serving

WEB = WebSettings((Bind("tcp", "127.0.0.1", 0),), None, None, ())
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def start(length: int, *headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    head = [(b"content-length", b"%d" % length), *headers]
    return {"type": "http.response.start", "status": status, "headers": head}


def body(content: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the method, the path and the body; `/unread` does not read the body."""
    content = f"{scope['type']} {scope['method']} {scope['path']} ".encode()
    while scope["path"] != "/unread":
        message = await receive()
        content += message.get("body", b"")
        if not message.get("more_body"):
            break
    await send(start(len(content)))
    await send(body(content))


class Served:
    """A running server of a small application."""

    def __init__(self, port: int, log: EventBook) -> None:
        self.port = port
        self.log = log

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def all_of(self, data: bytes, within_s: float = 40) -> bytes:
        """Send bytes and return everything received until the server closes."""
        answer = b""
        async with await self.connect() as stream:
            with trio.fail_after(within_s):
                await stream.send_all(data)
                try:
                    while True:
                        answer += await receive(stream)
                except EOFError:
                    return answer


@asynccontextmanager
async def open_served(app: Any = echo, **timeouts: float) -> AsyncIterator[Served]:
    log = EventBook()
    async with serving(app, WEB, log, ListenerTimeouts(drain_s=60.0, **timeouts)) as (_, urls, _):
        yield Served(int(urls[0].rpartition(":")[2]), log)
