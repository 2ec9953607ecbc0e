"""The client of OAuth token endpoints (Keycloak).

Error texts contain nothing of a request or an answer, since both contain secrets. lrs_rules.py
interprets the answers. Source: RFC 6749, section 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import trio

from appliance.bbb.params import encode_query
from appliance.http.client.dial import parse_origin
from appliance.http.client.pool import ExchangeLimits, PoolTransport
from appliance.model import Keycloak
from appliance.tenants.lrs_rules import LrsToken, TokenUnavailable, read_token, token_request

_MAX_ANSWER_BYTES = 64 * 1024
_HEADERS = [
    (b"User-Agent", b"scalelite-appliance"),
    (b"Content-Type", b"application/x-www-form-urlencoded"),
    (b"Accept", b"application/json"),
]


@dataclass(frozen=True, slots=True)
class TokenClient:
    """Requests access tokens over a connection pool."""

    pool: PoolTransport
    deadline_s: float
    """For one request, including connecting."""

    async def fetch(self, keycloak: Keycloak) -> LrsToken:
        """Return a new token. Raises TokenUnavailable."""
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
            raise TokenUnavailable("kc_token_url is not a URL") from None
        except httpx.HTTPError as error:
            # The exception chain is cut, since it may contain the request.
            raise TokenUnavailable(str(error) or type(error).__name__) from None
        return read_token(answer.status, answer.body)
