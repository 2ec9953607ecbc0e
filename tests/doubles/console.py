"""The console for tests: served with made-up servers, and a client that logs in with a token.

The servers are records without a server behind them; `open_console` has no poller.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import trio

from appliance.admin_calls.actors import Role
from appliance.bbb.listed_meeting import ListedMeeting
from appliance.console.core import Console
from appliance.console.routes import make_console
from appliance.features import Features
from appliance.model import ServerId, ServerState, TenantId
from appliance.public.app import PublicApp
from appliance.servers.load import make_observation
from appliance.servers.values import ServerChange
from appliance.settings import Bind
from appliance.tokens.rules import Token, digest_of
from tests.doubles.features import open_features
from tests.doubles.public import Answer, Public, read_answer, request, serving

FORM = "Content-Type: application/x-www-form-urlencoded"
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass
class ConsoleClient:
    """A browser without scripts: cookies and forms."""

    public: Public
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The origin of the console."""
        return f"http://127.0.0.1:{self.public.port}"

    @property
    def host(self) -> str:
        """The Host header."""
        return f"127.0.0.1:{self.public.port}"

    async def ask(
        self, method: str, path: str, *headers: str, body: bytes = b"", host: str = ""
    ) -> Answer:
        """Make a request with the cookies, and keep those of the answer."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = [*headers, *([f"Cookie: {cookie}"] if cookie else [])]
        raw = request(method, path, host=host or self.host, headers=given, body=body)
        async with await self.public.connect() as stream:
            await stream.send_all(raw)
            answer = await read_answer(stream)
        set_cookie = answer.headers.get("set-cookie", "")
        if set_cookie:
            name, _, value = set_cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    async def get(self, path: str, *headers: str) -> str:
        """Return a page, which must be there."""
        answer = await self.ask("GET", path, *headers)
        assert answer.status == 200, answer
        return answer.body.decode()

    async def post(
        self, path: str, *headers: str, csrf: str | None = None, **fields: str
    ) -> Answer:
        """Send a form as the console's own page would; `csrf`: another token than its."""
        token = await self.csrf() if csrf is None else csrf
        body = urlencode({"csrf_token": token, **fields}).encode()
        own = (
            () if any(one.startswith("Origin:") for one in headers) else (f"Origin: {self.origin}",)
        )
        return await self.ask("POST", path, FORM, *own, *headers, body=body)

    async def csrf(self) -> str:
        """Return the token of the session."""
        found = _CSRF.search((await self.ask("GET", "/scalelite/doctor")).body.decode())
        return found[1] if found else ""

    async def log_in(self, secret: str, *headers: str) -> Answer:
        """Send the form of the login."""
        body = urlencode({"token": secret}).encode()
        return await self.ask(
            "POST", "/scalelite/", FORM, f"Origin: {self.origin}", *headers, body=body
        )

    @asynccontextmanager
    async def stream(self, query: str) -> AsyncIterator[EventStream]:
        """Open a stream of changes."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        async with await self.public.connect() as stream:
            await stream.send_all(
                request(
                    "GET",
                    f"/scalelite/stream?{query}",
                    host=self.host,
                    headers=[f"Cookie: {cookie}"],
                )
            )
            yield EventStream(stream)


class EventStream:
    """The events of a stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = b""

    async def next(self, within_s: float = 20.0) -> tuple[str, Any]:
        """Return the next event. Raises EOFError, TooSlowError."""
        with trio.fail_after(within_s):
            while True:
                found = re.search(rb"event: (\w+)\ndata: (.*?)\n\n", self._data, re.DOTALL)
                if found:
                    self._data = self._data[found.end() :]
                    text = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", found[2])
                    return found[1].decode(), json.loads(text)
                if self._data.endswith(b"\r\n0\r\n\r\n"):
                    raise EOFError  # the end of the response
                more = await self._stream.receive_some()
                if not more:
                    raise EOFError
                self._data += more


@dataclass(frozen=True)
class OpenConsole:
    """A console that is served."""

    features: Features
    console: Console
    public: Public

    def client(self) -> ConsoleClient:
        """Return a client that is not logged in."""
        return ConsoleClient(self.public)

    async def make_token(
        self, role: str, *, tenant: str | None = None, expires_ms: int | None = None
    ) -> str:
        """Add a token that is called as its role, and return its secret."""
        secret = f"sla_{role}-{tenant}-{expires_ms}"
        name = f"{role}{'-' + tenant if tenant else ''}{'-old' if expires_ms else ''}"
        owner = TenantId(tenant) if tenant else None
        token = Token(name, Role(role), owner, self.features.now_ms(), expires_ms)
        assert await self.features.tokens.store.add(token, digest_of(secret))
        return secret

    async def log_in(self, role: str, **options: Any) -> ConsoleClient:
        """Return a client that has logged in with a token of a role."""
        client = self.client()
        answer = await client.log_in(await self.make_token(role, **options))
        assert answer.status == 303, answer
        return client

    async def add_server(self, server_id: str, *, users: int = 0, **options: Any) -> None:
        """Add a server as `add_server` does."""
        await add_server(self.features, server_id, users=users, **options)
        self.console.live.forget()


async def add_server(
    features: Features,
    server_id: str,
    *,
    users: int = 0,
    meetings: int = 1,
    state: ServerState = ServerState.ENABLED,
    answers: bool = True,
    **values: Any,
) -> None:
    """Add a server that has answered one poll, or none; without users it has no meetings."""
    store, one = features.servers.store, ServerId(server_id)
    url = f"https://{server_id}.example.org/bigbluebutton/api"
    await store.add_server(one, ServerChange(**{"url": url, "secret": "bbb-secret-5b1", **values}))
    await store.set_server_state(one, ServerState.ENABLED)
    if answers:
        await observe(features, server_id, users, meetings if users else 0)
    if state is not ServerState.ENABLED:
        await store.set_server_state(one, state)


async def observe(features: Features, server_id: str, users: int, count: int) -> None:
    """Record a poll that found so many users in `count` meetings."""
    store, now_ms = features.servers.store, features.now_ms()
    one = ServerId(server_id)
    created_ms = now_ms - 20 * 60_000  # nobody is expected to join any more
    seen = [
        ListedMeeting(f"{server_id}-{number}", created_ms, users // count, 0, 0, False)
        for number in range(count)
    ]
    start = await store.begin_poll(one)
    assert start is not None
    observation = make_observation(
        one, seen, began_ms=now_ms, now_ms=now_ms, joins_before=start.joins
    )
    observation = replace(observation, users=users, bbb_version="3.0.10")
    await store.observe_server(observation, healthy_threshold=1)


@asynccontextmanager
async def open_console(
    redis_url: str, namespace: str, **variables: Any
) -> AsyncIterator[OpenConsole]:
    """Serve the console of an appliance without servers."""
    async with (
        open_features(redis_url, namespace, **variables) as features,
        open_console_of(features) as opened,
    ):
        yield opened


@asynccontextmanager
async def open_console_of(features: Features) -> AsyncIterator[OpenConsole]:
    """Serve the console of an appliance."""
    console = make_console(features)
    web = replace(features.settings.web, binds=(Bind("tcp", "127.0.0.1", 0),))
    app = PublicApp(features, console=console)
    async with serving(app, web, features.log) as (_, urls, _), trio.open_nursery() as nursery:
        nursery.start_soon(console.live.run)
        port = int(urls[0].rpartition(":")[2])
        yield OpenConsole(features, console, Public(features, port))
        console.live.stopping.set()
        nursery.cancel_scope.cancel()
