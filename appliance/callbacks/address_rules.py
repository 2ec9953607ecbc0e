"""Distinguishes public addresses of the Internet from addresses of private networks.

Pure. Source: IANA's special-purpose address registries (RFC 6890), as implemented by `ipaddress`;
RFC 6052 and RFC 3056 for IPv6 addresses that contain an IPv4 address.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

_NOT_PUBLIC_V4 = (IPv4Network("168.63.129.16/32"), IPv4Network("192.88.99.0/24"))
"""Azure's host agent, a public address that is only reachable from virtual machines; the deprecated
relays of 6to4 (RFC 7526), which `ipaddress` calls global."""
_NOT_PUBLIC_V6 = (IPv6Network("5f00::/16"),)
"""Segment identifiers of SRv6 (RFC 9602), which not every release of `ipaddress` knows."""
_TAIL_IS_V4 = (
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0/96"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("64:ff9b::/96"),
)
"""Mapped, compatible and translated addresses: the last 32 bits are an IPv4 address."""
_SIX_TO_FOUR = IPv6Network("2002::/16")


def is_public_address(text: str) -> bool:
    """Whether an address, as returned by a resolver, is a public address of the Internet.

    Not public: private, shared, loopback, link-local (which includes the metadata services of
    clouds), multicast and reserved addresses, also inside an IPv6 address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is None:
            return (
                address.is_global
                and not (address.is_multicast or address.is_site_local)
                and not any(address in network for network in _NOT_PUBLIC_V6)
            )
        address = inner
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved)
        and not any(address in network for network in _NOT_PUBLIC_V4)
    )


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address contains, None if there is none."""
    plain = IPv6Address(int(address))  # without a zone
    if any(plain in network for network in _TAIL_IS_V4):
        return IPv4Address(int(plain) & 0xFFFFFFFF)
    if plain in _SIX_TO_FOUR:
        return IPv4Address((int(plain) >> 80) & 0xFFFFFFFF)
    return plain.teredo[1] if plain.teredo else None
