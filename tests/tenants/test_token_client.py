"""Tokens over real HTTP: what is asked, and what each failure becomes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio

from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from appliance.tenants.lrs_rules import TokenUnavailable
from appliance.tenants.token_client import TokenClient
from tests.doubles.keycloak import TokenEndpoint, open_token_endpoint

SSL_CONTEXT = open_ssl_context(None)


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    """Give a token endpoint."""
    async with open_token_endpoint() as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[TokenClient]:
    """Give a client."""
    async with PoolTransport(SSL_CONTEXT) as pool:
        yield TokenClient(pool, 5.0)


async def test_token_is_fetched(client: TokenClient, endpoint: TokenEndpoint) -> None:
    token = await client.fetch(endpoint.keycloak)
    assert (token.text, token.keep_s) == ("token-1", 270)
    (request,) = endpoint.asked
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "client secret" not in request.target


async def test_refusal_says_why_without_secrets(
    client: TokenClient, endpoint: TokenEndpoint
) -> None:
    wrong = replace(endpoint.keycloak, password="wrong-password")
    with pytest.raises(TokenUnavailable) as caught:
        await client.fetch(wrong)
    assert str(caught.value) == "HTTP status 401, invalid_grant"


async def test_large_answer_is_refused(client: TokenClient, endpoint: TokenEndpoint) -> None:
    endpoint.body = b'{"access_token": "t", "x": "%s"}' % (b"x" * 100_000)
    with pytest.raises(TokenUnavailable, match=r"large|more than"):
        await client.fetch(endpoint.keycloak)


async def test_silent_endpoint_is_given_up(endpoint: TokenEndpoint) -> None:
    endpoint.gate = trio.Event()
    async with PoolTransport(SSL_CONTEXT) as pool:
        with trio.fail_after(40), pytest.raises(TokenUnavailable):
            await TokenClient(pool, 0.1).fetch(endpoint.keycloak)


@pytest.mark.parametrize(
    "url",
    ["", "kc", "ftp://kc/token", "http://", "http://[::1", "http://127.0.0.1:1/token", "http://\0"],
)
async def test_url_that_leads_nowhere_is_told(
    client: TokenClient, endpoint: TokenEndpoint, url: str
) -> None:
    with pytest.raises(TokenUnavailable) as caught:
        await client.fetch(replace(endpoint.keycloak, token_url=url))
    assert "client secret" not in str(caught.value)
