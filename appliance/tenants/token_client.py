"""Asks OAuth token endpoints (Keycloak) for access tokens, over the pool of HTTP connections.

Nothing of a request or an answer gets into an error's text, since both hold secrets.
Truth: RFC 6749, section 4.3; what an answer means is tenants/lrs_rules.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import trio

from appliance.bbb.params import encode_query
from appliance.http.client.dial import parse_origin
from appliance.http.client.pool import ExchangeLimits, PoolTransport
from appliance.model import Keycloak
from appliance.tenants.lrs_rules import Token, TokenUnavailable, read_token, token_request

_MAX_ANSWER_BYTES = 64 * 1024
_HEADERS = [
    (b"User-Agent", b"scalelite-appliance"),
    (b"Content-Type", b"application/x-www-form-urlencoded"),
    (b"Accept", b"application/json"),
]


@dataclass(frozen=True, slots=True)
class TokenClient:
    """Asks for tokens."""

    pool: PoolTransport
    deadline_s: float
    """For one request, connecting included."""

    async def fetch(self, keycloak: Keycloak) -> Token:
        """Return a fresh token. Raises TokenUnavailable."""
        form = encode_query(token_request(keycloak)).encode()
        try:
            url = httpx.URL(keycloak.token_url)
            answer = await self.pool.exchange(
                parse_origin(url),
                "POST",
                url.raw_path,
                ExchangeLimits(self.deadline_s, self.deadline_s, _MAX_ANSWER_BYTES),
                headers=_HEADERS,
                body=form,
                deadline=trio.current_time() + self.deadline_s,
            )
        except httpx.InvalidURL:
            raise TokenUnavailable("kc_token_url is no URL") from None
        except httpx.HTTPError as error:
            # The chain is cut: it may hold what was sent.
            raise TokenUnavailable(str(error) or type(error).__name__) from None
        return read_token(answer.status, answer.body)
