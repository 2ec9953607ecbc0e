"""A token endpoint like Keycloak's: an HTTP server that checks the password grant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import trio

from appliance.model import Keycloak, Lrs
from tests.doubles.raw_http import Peer, RawServer, Received, open_raw_server
from tests.doubles.raw_http import answer as render

PATH = "/realms/school/protocol/openid-connect/token"
JSON = b"Content-Type: application/json\r\n"


@dataclass
class TokenEndpoint:
    """A running endpoint, with its settings and its requests."""

    server: RawServer = field(repr=False)
    expires_in: object = 300
    status: int = 200
    body: bytes | None = None
    """Body to answer with instead of a token."""
    gate: trio.Event = field(default_factory=trio.Event, repr=False)
    """Answers wait for this event."""

    @property
    def keycloak(self) -> Keycloak:
        """Return the address and the accepted credentials."""
        url = f"{self.server.url}{PATH}"
        return Keycloak(url, "bbb", "client secret", "lrs-user", "pass word&")

    @property
    def lrs(self) -> Lrs:
        """Return an LRS that uses this endpoint."""
        return Lrs("https://lrs.example/xapi", keycloak=self.keycloak)

    @property
    def asked(self) -> Sequence[Received]:
        """Return the received requests."""
        return self.server.requests

    def answer(self, request: Received) -> bytes:
        """Return the answer to a request."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if self.body is not None:
            return render(self.body, self.status, JSON)
        if (request.method, request.target) != ("POST", PATH):
            return render(b"{}", 404, JSON)
        accepted = {
            "client_id": "bbb",
            "client_secret": "client secret",
            "username": "lrs-user",
            "password": "pass word&",
            "grant_type": "password",
        }
        if form != accepted or self.status != 200:
            status = self.status if self.status != 200 else 401
            refused = {"error": "invalid_grant", "error_description": f"no {form.get('password')}"}
            return render(json.dumps(refused).encode(), status, JSON)
        token: dict[str, object] = {
            "access_token": f"token-{len(self.asked)}",
            "expires_in": self.expires_in,
        }
        return render(json.dumps(token).encode(), 200, JSON)


@asynccontextmanager
async def open_token_endpoint() -> AsyncIterator[TokenEndpoint]:
    """Serve a token endpoint whose gate is open."""
    endpoint: TokenEndpoint | None = None

    async def handle(peer: Peer) -> None:
        while (request := await peer.read()) is not None:
            assert endpoint is not None
            await endpoint.gate.wait()
            await peer.send(endpoint.answer(request))

    async with open_raw_server(handle) as server:
        endpoint = TokenEndpoint(server)
        endpoint.gate.set()
        yield endpoint
