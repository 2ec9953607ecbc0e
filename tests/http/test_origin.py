"""The host and the client address of requests behind proxies, and the host check."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
import trio

from appliance.http.messages import Body, ClientTimeouts, Request
from appliance.http.origin import OriginReader, strip_port
from appliance.settings.addresses import PRIVATE_NETWORKS


def reader(
    *,
    url_host: str | None = None,
    base_url: str | None = None,
    multitenancy: bool = False,
    trusted: tuple[str, ...] | None = None,
) -> OriginReader:
    networks = PRIVATE_NETWORKS if trusted is None else tuple(map(ip_network, trusted))
    return OriginReader(networks, url_host=url_host, base_url=base_url, multitenancy=multitenancy)


def request_from(peer: str | None, *headers: tuple[bytes, bytes]) -> Request:
    async def receive() -> dict[str, object]:
        await trio.sleep_forever()

    # As read_request does: of several headers of one name the last counts.
    return Request("GET", "/", b"", dict(headers), Body(receive, ClientTimeouts()), peer)


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("bbb.example", "bbb.example"),
        ("BBB.Example:443", "bbb.example"),
        (" bbb.example ", "bbb.example"),
        ("[::1]:3000", "::1"),
        ("[::1]", "::1"),
        ("bbb.example:", "bbb.example"),
        ("", ""),
        ("\xe9.example", "\xe9.example"),
    ],
)
def test_host_has_no_port_and_is_lower_case(header: str, host: str) -> None:
    request = request_from("127.0.0.1", (b"host", header.encode("latin-1")))

    assert reader().read(request).host == host
    assert strip_port(header).lower() == host


def test_request_without_a_host_has_none() -> None:
    assert reader().read(request_from("127.0.0.1")).host == ""


@pytest.mark.parametrize(
    ("header", "base_url"),
    [
        ("bbb.example", "http://bbb.example"),
        ("BBB_1.example:8443", "http://BBB_1.example:8443"),
        ("[::1]:3000", "http://[::1]:3000"),
        ("", ""),
        ("bbb.example:", ""),
        ("a b", ""),
        ("user@bbb.example", ""),
        ("bbb.example/x?y=", ""),
        ("<bbb>", ""),
        ("\xe9.example", ""),
    ],
)
def test_base_url_is_made_of_a_valid_host_only(header: str, base_url: str) -> None:
    request = request_from("127.0.0.1", (b"host", header.encode("latin-1")))
    assert reader().read(request).base_url == base_url


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("172.31.255.255", True),
        ("192.168.0.1", True),
        ("fd00::1", True),
        ("fd00::1%eth0", True),
        ("::ffff:10.0.0.1", True),
        (None, True),  # on a Unix socket
        ("172.32.0.1", False),
        ("198.51.100.1", False),
        ("2001:db8::1", False),
        ("::ffff:198.51.100.1", False),
        ("not an address", False),
        ("", False),
    ],
)
def test_forwarded_host_counts_from_trusted_peers_only(peer: str | None, trusted: bool) -> None:
    request = request_from(peer, (b"host", b"own.example"), (b"x-forwarded-host", b"a.example:1"))

    assert reader().read(request).host == ("a.example" if trusted else "own.example")


def test_trusted_networks_are_those_of_the_setting() -> None:
    only = reader(trusted=("198.51.100.0/24",))
    none = reader(trusted=())
    headers = ((b"host", b"own.example"), (b"x-forwarded-host", b"a.example"))

    assert only.read(request_from("198.51.100.7", *headers)).host == "a.example"
    assert only.read(request_from("127.0.0.1", *headers)).host == "own.example"
    assert none.read(request_from("127.0.0.1", *headers)).host == "own.example"


@pytest.mark.parametrize(
    ("values", "host"),
    [
        ([b"evil.example, bbb.example"], "bbb.example"),
        ([b"evil.example,bbb.example:8443"], "bbb.example"),
        # A proxy may add a header of its own instead of extending the client's.
        ([b"evil.example", b"bbb.example"], "bbb.example"),
        ([b""], "own.example"),
        ([b"evil.example,"], ""),
    ],
)
def test_last_forwarded_host_counts(values: list[bytes], host: str) -> None:
    forwarded = [(b"x-forwarded-host", value) for value in values]
    request = request_from("127.0.0.1", (b"host", b"own.example"), *forwarded)

    assert reader().read(request).host == host


@pytest.mark.parametrize(
    ("value", "echoed"),
    [
        (b"a1b2-c3_d4.e5=/+:", True),
        (b"x" * 128, True),
        (b"x" * 129, False),
        (b"", False),
        (b"two words", False),
        (b"a\nSet-Cookie:b", False),
        (b"a\r\n", False),
        (b"<script>", False),
        (b"\xff", False),
    ],
)
def test_request_id_is_repeated_only_when_it_is_harmless(value: bytes, echoed: bool) -> None:
    origin = reader().read(request_from("198.51.100.1", (b"x-request-id", value)))

    assert origin.request_id == (value if echoed else None)
    assert origin.trusted_id is None


def test_request_id_of_a_trusted_proxy_is_passed_on() -> None:
    origin = reader().read(request_from("10.0.0.1", (b"x-request-id", b"r-1")))

    assert (origin.request_id, origin.trusted_id) == (b"r-1", "r-1")


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        (reader(), ["", "anything", "1.2.3.4"], []),
        (
            reader(url_host="bbb.example"),
            ["bbb.example"],
            ["", "a.bbb.example", "xbbb.example", "bbb.example.evil", "1.2.3.4", "example"],
        ),
        (
            reader(url_host="BBB.example", base_url="Tenants.example"),
            ["bbb.example", "tenants.example"],
            ["a.tenants.example", "other.example"],
        ),
        (
            reader(url_host="bbb.example", base_url="tenants.example", multitenancy=True),
            ["bbb.example", "a.bbb.example", "a.tenants.example"],
            ["", "a.b.tenants.example", "xtenants.example", "a.example", "tenants.example.evil"],
        ),
        (
            reader(base_url="tenants.example", multitenancy=True),
            ["a.tenants.example", "tenants.example"],
            # A tenant is one label: `a.b.tenants.example` is not the tenant `a`.
            ["", "a.evil.example", "1.2.3.4", "a.b.tenants.example", ".tenants.example"],
        ),
        (reader(base_url="tenants.example"), ["anything"], []),
    ],
)
def test_hosts_are_allowed_by_the_settings(
    rules: OriginReader, allowed: list[str], refused: list[str]
) -> None:
    assert [host for host in allowed if not rules.allows(host)] == []
    assert [host for host in refused if rules.allows(host)] == []


# --- the client's address -------------------------------------------------------------------------


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
    headers = () if forwarded is None else ((b"x-forwarded-for", forwarded.encode()),)

    assert reader().client_address(request_from(peer, *headers)) == address


def test_address_is_the_peers_when_it_is_not_trusted() -> None:
    request = request_from("127.0.0.1", (b"x-forwarded-for", b"203.0.113.10"))

    assert reader(trusted=("192.0.2.0/24",)).client_address(request) == "127.0.0.1"
