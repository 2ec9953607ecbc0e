"""A token endpoint as Keycloak has it: a real HTTP server that checks the password grant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import trio

from appliance.model import Keycloak, Lrs
from tests.doubles.raw_http import Peer, RawServer, Received, answer, open_raw_server

PATH = "/realms/school/protocol/openid-connect/token"
JSON = b"Content-Type: application/json\r\n"


@dataclass
class TokenEndpoint:
    """What a test sees and steers."""

    server: RawServer = field(repr=False)
    expires_in: object = 300
    status: int = 200
    body: bytes | None = None
    """Said instead of a token."""
    gate: trio.Event = field(default_factory=trio.Event, repr=False)
    """Answers wait for it."""

    @property
    def keycloak(self) -> Keycloak:
        """Where it is, with what it accepts."""
        url = f"{self.server.url}{PATH}"
        return Keycloak(url, "bbb", "client secret", "lrs-user", "pass word&")

    @property
    def lrs(self) -> Lrs:
        """An LRS that takes its tokens."""
        return Lrs("https://lrs.example/xapi", keycloak=self.keycloak)

    @property
    def asked(self) -> Sequence[Received]:
        """The requests it got."""
        return self.server.requests

    def say(self, request: Received) -> bytes:
        """Return the answer to a request."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if self.body is not None:
            return answer(self.body, self.status, JSON)
        if (request.method, request.target) != ("POST", PATH):
            return answer(b"{}", 404, JSON)
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
            return answer(json.dumps(refused).encode(), status, JSON)
        said: dict[str, object] = {
            "access_token": f"token-{len(self.asked)}",
            "expires_in": self.expires_in,
        }
        return answer(json.dumps(said).encode(), 200, JSON)


@asynccontextmanager
async def open_token_endpoint() -> AsyncIterator[TokenEndpoint]:
    """Serve one; its gate is open."""
    endpoint: TokenEndpoint | None = None

    async def handle(peer: Peer) -> None:
        while (request := await peer.read()) is not None:
            assert endpoint is not None
            await endpoint.gate.wait()
            await peer.send(endpoint.say(request))

    async with open_raw_server(handle) as server:
        endpoint = TokenEndpoint(server)
        endpoint.gate.set()
        yield endpoint
