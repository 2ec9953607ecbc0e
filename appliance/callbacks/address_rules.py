"""Tells addresses of the Internet from those that only something inside a network may call.

Pure. Source: the special-purpose registries of IANA (RFC 6890), as `ipaddress` has them; RFC 6052
and RFC 3056 for the IPv6 addresses that carry one of IPv4.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

_CLOUD_HOSTS = (IPv4Network("168.63.129.16/32"),)
"""Azure's host agent: a public address by number, an inner one by meaning."""
_TAIL_IS_V4 = (
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0/96"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("64:ff9b::/96"),
)
"""Mapped, compatible and translated addresses: the last 32 bits are an address of IPv4."""
_SIX_TO_FOUR = IPv6Network("2002::/16")


def is_public_address(text: str) -> bool:
    """Whether an address, as a resolver gives it, is one of the Internet.

    Not public: private, shared, loopback, link-local (with the metadata services of clouds),
    multicast, reserved, and all of these wrapped in an address of IPv6.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is None:
            return address.is_global and not (address.is_multicast or address.is_site_local)
        address = inner
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved)
        and not any(address in network for network in _CLOUD_HOSTS)
    )


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Return the address of IPv4 that one of IPv6 stands for."""
    plain = IPv6Address(int(address))  # without a zone
    if any(plain in network for network in _TAIL_IS_V4):
        return IPv4Address(int(plain) & 0xFFFFFFFF)
    if plain in _SIX_TO_FOUR:
        return IPv4Address((int(plain) >> 80) & 0xFFFFFFFF)
    return plain.teredo[1] if plain.teredo else None
