"""The public listener for tests: the real application behind the real server, and a raw client.

The client sends bytes as they are and reads whole answers, so that a test sees what is on the wire.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import trio
from lxml import etree

from appliance.features import Features
from appliance.http.messages import AsgiApp, ClientTimeouts
from appliance.http.server.interface import ListenerTimeouts
from appliance.http.server.server import HttpServer
from appliance.public.app import PublicApp
from appliance.public.errors import refuse_large_head
from appliance.settings import Bind, WebSettings
from tests.doubles.features import EventBook, open_features
from tests.doubles.settings import SECRET
from tests.doubles.signing import ParamsLike, sign_form, sign_url

API = "/bigbluebutton/api"
HOST = "bbb.example"
ANSWER_S = 40.0
LINGER = ClientTimeouts(linger_s=2.0)


@dataclass(frozen=True)
class Answer:
    """One answer, read wholly."""

    status: int
    headers: dict[str, str]
    body: bytes

    def text(self, name: str) -> str | None:
        """Return the text of an element of an XML answer, at any depth."""
        return etree.fromstring(self.body).findtext(f".//{name}")

    @property
    def key(self) -> str | None:
        """Return the messageKey."""
        return self.text("messageKey")

    @property
    def returncode(self) -> str | None:
        """Return SUCCESS or FAILED."""
        return self.text("returncode")


async def read_answer(stream: trio.abc.ReceiveStream, *, head_only: bool = False) -> Answer:
    """Read one answer. Raises EOFError: the connection ended before."""
    data = b""
    with trio.fail_after(ANSWER_S):
        while b"\r\n\r\n" not in data:
            data += await receive(stream)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines[1:]]
        headers = {name.lower(): value for name, value in pairs}
        length = 0 if head_only else int(headers["content-length"])
        content = bytearray(body)  # bytes would be copied with every piece
        while len(content) < length:
            content += await receive(stream)
    assert len(content) == length
    return Answer(int(lines[0].split()[1]), headers, bytes(content))


async def receive(stream: trio.abc.ReceiveStream) -> bytes:
    """Return what comes next. Raises EOFError: the connection has ended."""
    try:
        data = bytes(await stream.receive_some())
    except trio.BrokenResourceError:
        data = b""
    if not data:
        raise EOFError("the connection has ended")
    return data


async def ended(stream: trio.abc.ReceiveStream, within_s: float = ANSWER_S) -> bool:
    """Wait for the end of a connection, and say whether it came without another byte."""
    with trio.fail_after(within_s):
        try:
            return not await stream.receive_some()
        except trio.BrokenResourceError:
            return True


def request(
    method: str, target: str, *, host: str = HOST, headers: Iterable[str] = (), body: bytes = b""
) -> bytes:
    """Render a request; Content-Length is added for a body."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


FORM_TYPE = "Content-Type: application/x-www-form-urlencoded"
XML_TYPE = "Content-Type: application/xml"


@dataclass(frozen=True)
class Public:
    """A listener that answers, and what is behind it."""

    res: Features
    port: int

    @property
    def log(self) -> EventBook:
        """What was logged."""
        assert isinstance(self.res.log, EventBook)
        return self.res.log

    async def connect(self) -> trio.SocketStream:
        """Open a connection."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def raw(self, data: bytes, *, head_only: bool = False) -> Answer:
        """Send bytes over a new connection and read one answer."""
        async with await self.connect() as stream:
            await stream.send_all(data)
            return await read_answer(stream, head_only=head_only)

    async def ask(self, method: str, target: str, **parts: Any) -> Answer:
        """Make a request; `parts` are those of `request`."""
        return await self.raw(request(method, target, **parts), head_only=method == "HEAD")

    async def call(
        self, call: str, params: ParamsLike = "", *, secret: str = SECRET, **parts: Any
    ) -> Answer:
        """Make a signed call with GET."""
        return await self.ask("GET", sign_url(API, call, params, secret), **parts)

    async def post_form(self, call: str, params: ParamsLike, *, secret: str = SECRET) -> Answer:
        """Make a call with a signed form."""
        body = sign_form(call, params, secret).encode()
        return await self.ask("POST", f"{API}/{call}", headers=[FORM_TYPE], body=body)

    async def post_xml(self, call: str, params: ParamsLike, document: bytes) -> Answer:
        """Make a signed call with a document."""
        target = sign_url(API, call, params, SECRET)
        return await self.ask("POST", target, headers=[XML_TYPE], body=document)


@asynccontextmanager
async def serving(
    app: AsgiApp,
    web: WebSettings,
    log: Any,
    listener_timeouts: ListenerTimeouts | None = None,
    tuned: bool = True,
    max_connections: float = math.inf,
) -> AsyncIterator[tuple[HttpServer, list[str], trio.Event]]:
    """Serve any application; gives the server, its URLs and what stops it."""
    server = HttpServer(
        app,
        web,
        log,
        timeouts=listener_timeouts or ListenerTimeouts(drain_s=5.0),
        max_connections=max_connections,
        tuned=tuned,
        refuse_large_head=refuse_large_head,
    )
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        urls: list[str] = await nursery.start(partial(server.run, stop))
        yield server, urls, stop
        stop.set()


@asynccontextmanager
async def serve_public(
    res: Features,
    timeouts: ClientTimeouts = LINGER,
    listener_timeouts: ListenerTimeouts | None = None,
) -> AsyncIterator[Public]:
    """Serve the appliance's application on these Resources, on a loopback port."""
    web = replace(res.settings.web, binds=(Bind("tcp", "127.0.0.1", 0),))
    async with serving(PublicApp(res, timeouts), web, res.log, listener_timeouts) as (_, urls, _):
        yield Public(res, int(urls[0].rpartition(":")[2]))


@asynccontextmanager
async def open_public(
    redis_url: str,
    namespace: str,
    *,
    timeouts: ClientTimeouts = LINGER,
    listener_timeouts: ListenerTimeouts | None = None,
    **variables: str,
) -> AsyncIterator[Public]:
    """Serve an appliance without BBB servers; `variables` are the environment's."""
    async with (
        open_features(redis_url, namespace, log=None, **variables) as res,
        serve_public(res, timeouts, listener_timeouts) as public,
    ):
        yield public
