"""A client of one Quart view that runs in an Exchange, without a network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from quart import Response

from appliance.http.messages import ClientTimeouts, read_request
from appliance.http.origin import RequestOrigin
from appliance.http.quart_app import make_quart_app
from appliance.http.quart_exchange import Exchange

Message = dict[str, Any]
TIMEOUTS = ClientTimeouts(rate_s=10.0, linger_s=5.0)


def part(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


class QuartClient:
    """Sends a body part by part, and takes the response until it leaves."""

    def __init__(self, *parts: Message, method: str = "GET", headers: Any = ()) -> None:
        self.left = list(parts)
        self.method = method
        self.headers = list(headers)
        self.gone = trio.Event()
        self.sent: list[Message] = []
        self.reports: list[tuple[int, bytes]] = []

    async def request(self, view: Callable[[], Awaitable[Response]]) -> None:
        """Make one request. Raises what the exchange raises."""
        app = make_quart_app(__name__)
        app.add_url_rule("/view", "view", view, methods=["GET", "HEAD", "POST"])
        scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": self.method,
            "path": "/view",
            "query_string": b"",
            "headers": self.headers,
        }
        request = read_request(scope, self._receive, TIMEOUTS)
        origin = RequestOrigin("", b"id-1")
        await Exchange(request, origin, self.send, self._report).run(app, scope)

    async def _receive(self) -> Message:
        await trio.lowlevel.checkpoint()
        if not self.left:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        return self.left.pop(0)

    async def send(self, message: Message) -> None:
        """Take a part of the response."""
        await trio.lowlevel.checkpoint()
        self.sent.append(message)

    def _report(self, status: int, body: bytes) -> None:
        self.reports.append((status, body))

    @property
    def head(self) -> dict[bytes, bytes]:
        """The headers of the response."""
        assert self.sent[0]["type"] == "http.response.start"
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        """The body of the response, as far as it was sent."""
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def is_complete(self) -> bool:
        """Whether the end of the response was sent."""
        return bool(self.sent) and self.sent[-1].get("more_body") is False
