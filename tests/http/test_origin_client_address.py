"""The address that a request came from, behind proxies that are trusted and ones that are not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from appliance.http.messages import Body, Patience, Request
from appliance.http.origin import OriginReader
from appliance.settings.addresses import PRIVATE_NETWORKS


async def receive() -> dict[str, object]:
    raise AssertionError("no body is read")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.10", None, "203.0.113.10"),
        ("203.0.113.10", "198.51.100.7", "203.0.113.10"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.10", "203.0.113.10"),
        ("127.0.0.1", "198.51.100.7, 203.0.113.10", "203.0.113.10"),
        ("127.0.0.1", "198.51.100.7, 203.0.113.10, 10.0.0.2", "203.0.113.10"),
        ("127.0.0.1", "10.0.0.7", "10.0.0.7"),
        ("127.0.0.1", "10.0.0.7:5060", "10.0.0.7"),
        ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "198.51.100.7, nonsense", "nonsense"),
        ("127.0.0.1", ",", "127.0.0.1"),
        ("::1", "203.0.113.10", "203.0.113.10"),
        (None, "203.0.113.10", "203.0.113.10"),
        (None, None, ""),
    ],
)
def test_address_is_the_last_that_a_trusted_proxy_names(
    peer: str | None, forwarded: str | None, address: str
) -> None:
    reader = OriginReader(PRIVATE_NETWORKS, url_host=None, base_url=None, multitenancy=False)
    headers = {} if forwarded is None else {b"x-forwarded-for": forwarded.encode()}
    request = Request("POST", "/", b"", headers, Body(receive, Patience()), peer)

    assert reader.client_address(request) == address


def test_address_is_the_peers_when_nobody_is_trusted() -> None:
    networks = (ip_network("192.0.2.0/24"),)
    reader = OriginReader(networks, url_host=None, base_url=None, multitenancy=False)
    headers = {b"x-forwarded-for": b"203.0.113.10"}
    request = Request("POST", "/", b"", headers, Body(receive, Patience()), "127.0.0.1")

    assert reader.client_address(request) == "127.0.0.1"
