"""Calls to real receivers, however they behave."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.callbacks.address_rules import is_public_address
from appliance.callbacks.client import OutboundClient, open_callback_pool
from appliance.callbacks.rules import host_of_url, refusal_of_url
from appliance.faults import CallFailed, CallRefused
from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from tests.doubles.callback_receiver import CallbackReceiver, open_receiver

RESPONSE_S = 40.0


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with open_receiver() as opened:
        yield opened


@asynccontextmanager
async def open_client(
    *, block_private: bool = False, response_s: float = RESPONSE_S
) -> AsyncIterator[OutboundClient]:
    async with aclosing(open_callback_pool(block_private=block_private)) as pool:
        yield OutboundClient(pool, connect_timeout_s=40.0, response_timeout_s=response_s)


@pytest.fixture
async def client() -> AsyncIterator[OutboundClient]:
    async with open_client() as opened:
        yield opened


async def test_call_sends_what_it_is_given(
    client: OutboundClient, receiver: CallbackReceiver
) -> None:
    headers = {"Content-Type": "text/plain", "Authorization": "Bearer x"}
    assert await client.send("POST", receiver.url("/a?b=%20c#d"), headers, b"body" * 9000) == 200
    assert await client.send("GET", receiver.url("/e"), {}, b"") == 200

    first, second = receiver.received
    assert (first.method, first.target, first.body) == ("POST", "/a?b=%20c", b"body" * 9000)
    assert first.headers["content-type"] == "text/plain"
    assert first.headers["authorization"] == "Bearer x"
    assert first.headers["user-agent"] == "scalelite-appliance"
    assert first.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert (second.method, second.body) == ("GET", b"")


@pytest.mark.parametrize("status", [200, 204, 299, 301, 400, 401, 403, 404, 410, 429, 500, 503])
async def test_status_is_returned(
    client: OutboundClient, receiver: CallbackReceiver, status: int
) -> None:
    assert await client.send("POST", receiver.url(f"/status/{status}"), {}, b"x") == status


@pytest.mark.parametrize("path", ["/endless", "/drip", "/huge", "/zip"])
async def test_status_counts_whatever_the_body_is(receiver: CallbackReceiver, path: str) -> None:
    async with open_client(response_s=1.0) as client:
        assert await client.send("POST", receiver.url(path), {}, b"x") == 200


@pytest.mark.parametrize("path", ["/hang", "/drop", "/garbage"])
async def test_call_without_an_answer_fails_in_time(receiver: CallbackReceiver, path: str) -> None:
    async with open_client(response_s=0.3) as client:
        with pytest.raises(CallFailed):
            await client.send("POST", receiver.url(path), {}, b"x")


async def test_call_fails_when_no_server_listens(client: OutboundClient) -> None:
    with pytest.raises(CallFailed, match="refused"):
        await client.send("POST", "http://127.0.0.1:9/?token=geheim", {}, b"")
    with pytest.raises(CallFailed, match="name look-up") as failed:
        await client.send("POST", "http://no-such-host.invalid/?token=geheim", {}, b"")
    assert "geheim" not in str(failed.value)


async def test_call_with_a_bad_certificate_fails(receiver: CallbackReceiver) -> None:
    async with open_client() as client:
        with pytest.raises(CallFailed, match="TLS"):
            await client.send("POST", receiver.url("/").replace("http:", "https:"), {}, b"")


async def test_redirect_to_the_same_host_is_followed_with_the_same_call(
    client: OutboundClient, receiver: CallbackReceiver
) -> None:
    assert await client.send("POST", receiver.url("/redirect/307?/a"), {"X": "y"}, b"body") == 200
    assert await client.send("GET", receiver.url("/redirect/302?/b"), {}, b"") == 200
    (posted,), (got,) = receiver.at("/a"), receiver.at("/b")
    assert (posted.method, posted.body, posted.headers["x"]) == ("POST", b"body", "y")
    assert got.method == "GET"


async def test_redirect_elsewhere_is_not_followed(
    client: OutboundClient, receiver: CallbackReceiver
) -> None:
    async with open_receiver() as other:
        for location in (other.url("/x"), f"http://localhost:{receiver.port}/x", "file:///x"):
            url = receiver.url(f"/redirect/307?{quote(location)}")
            assert await client.send("POST", url, {}, b"body") == 307
        assert other.received == []
    assert receiver.at("/x") == []


async def test_redirects_end(client: OutboundClient, receiver: CallbackReceiver) -> None:
    assert await client.send("GET", receiver.url("/redirect/302?"), {}, b"") == 302
    assert len(receiver.received) == 4


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"],
)
async def test_private_address_is_refused_on_wish(receiver: CallbackReceiver, host: str) -> None:
    async with open_client(block_private=True) as client:
        with pytest.raises(CallRefused, match="address"):
            await client.send("POST", f"http://{host}:{receiver.port}/", {}, b"")
    assert receiver.received == []
    assert receiver.most_under_way == 0


@pytest.mark.parametrize("url", ["ftp://h/", "http://", "http://[::1/", "http://h:99999/"])
async def test_url_that_cannot_be_called_is_refused(client: OutboundClient, url: str) -> None:
    with pytest.raises(CallRefused):
        await client.send("POST", url, {}, b"")


_ALPHABET = st.sampled_from(
    [
        "a",
        "b",
        "1",
        ".",
        "-",
        ":",
        "@",
        "/",
        "?",
        "#",
        "%",
        "[",
        "]",
        "\\",
        " ",
        "0",
        "2",
        "é",
        "。",
        "\t",
    ]
)


@given(st.lists(_ALPHABET, max_size=14).map("".join), st.sampled_from(["http://", "HTTPS://"]))
def test_accepted_url_has_the_same_host_for_every_reader(rest: str, scheme: str) -> None:
    url = scheme + rest
    if refusal_of_url(url) is not None:
        return
    try:
        called = httpx.URL(url)
    except httpx.InvalidURL:
        return  # not called at all
    authority = host_of_url(url).partition("://")[2]
    read = urlsplit(url)
    assert (called.userinfo, read.username) == (b"", None)
    assert authority.lower().startswith((read.hostname or "").strip("[]")) or "[" in authority
    assert (called.port or None) in (read.port, None)
    assert read.netloc.lower() == authority.lower()


async def test_name_is_resolved_once_for_the_question_and_the_connection(
    receiver: CallbackReceiver,
) -> None:
    """A name that is public when it is asked about and private a moment later (DNS rebinding)."""
    asked: list[str] = []

    def lookup(host: str, port: int) -> list[tuple[Any, ...]]:
        asked.append(host)
        address = "192.0.2.1" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    judged: list[str] = []

    def allows(address: str) -> bool:
        judged.append(address)
        return address == "192.0.2.1" or is_public_address(address)

    pool = PoolTransport(open_ssl_context(), lookup=lookup, allows=allows)
    async with aclosing(pool):
        client = OutboundClient(pool, connect_timeout_s=0.2, response_timeout_s=0.2)
        with pytest.raises(CallFailed):
            await client.send("POST", f"http://rebound.example:{receiver.port}/", {}, b"")
        assert (len(asked), judged) == (1, ["192.0.2.1"])
        with pytest.raises(CallRefused):
            await client.send("POST", f"http://rebound.example:{receiver.port}/", {}, b"")
    assert receiver.received == []


async def test_public_address_among_private_ones_is_taken(receiver: CallbackReceiver) -> None:
    def lookup(host: str, port: int) -> list[tuple[Any, ...]]:
        family, kind = socket.AF_INET, socket.SOCK_STREAM
        return [(family, kind, 6, "", (one, port)) for one in ("127.0.0.2", "127.0.0.1")]

    pool = PoolTransport(open_ssl_context(), lookup=lookup, allows=lambda one: one == "127.0.0.1")
    async with aclosing(pool):
        client = OutboundClient(pool, connect_timeout_s=40.0, response_timeout_s=40.0)
        assert await client.send("POST", f"http://x.example:{receiver.port}/", {}, b"") == 200
