"""A listener with a small application, for tests of the listener."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from appliance.http.server.interface import ListenerTimeouts
from appliance.http.server.server import HttpServer
from appliance.settings import Bind, WebSettings
from tests.doubles.features import EventBook
from tests.doubles.public import request, serving
from tests.doubles.settings import settings_of

TCP = "tcp://127.0.0.1:0"
WEB = WebSettings((Bind("tcp", "127.0.0.1", 0),), None, None, ())
GET = request("GET", "/")
TIMEOUTS = ListenerTimeouts(drain_s=1.0)


class App:
    """Answer with the scheme and the peer; `/slow` waits for `go_on`, `/big` never ends."""

    def __init__(self) -> None:
        self.go_on = trio.Event()
        self.under_way = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.under_way += 1
        try:
            if scope["path"] == "/slow":
                await self.go_on.wait()
            peer = scope["client"][0] if scope["client"] else None
            content = f"{scope['scheme']} {peer}".encode()
            big = scope["path"] == "/big"
            length = b"%d" % (10**12 if big else len(content))
            head = [(b"content-length", length)]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            if big:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_endlessly, send)
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    nursery.cancel_scope.cancel()
            await send({"type": "http.response.body", "body": content, "more_body": False})
        finally:
            self.under_way -= 1

    async def _send_endlessly(self, send: Any) -> None:
        while True:
            part = b"x" * 1_000_000
            await send({"type": "http.response.body", "body": part, "more_body": True})


@asynccontextmanager
async def open_listener(
    web: WebSettings = WEB,
    timeouts: ListenerTimeouts = TIMEOUTS,
    max_connections: float = math.inf,
) -> AsyncIterator[tuple[App, HttpServer, list[str], EventBook]]:
    app, log = App(), EventBook()
    opened = serving(app, web, log, timeouts, max_connections=max_connections)
    async with opened as (server, urls, _):
        yield app, server, urls, log


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def connect(url: str) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port_of(url))


def tls_settings(folder: Path, bind: str = "") -> WebSettings:
    files = {"TLS_CERT_FILE": f"{folder}/server.pem", "TLS_KEY_FILE": f"{folder}/server.key"}
    return settings_of(BIND=bind, PORT="3000", **files).web
