"""The origin of a request: the client's address, the requested host and scheme, behind proxies.

X-Forwarded-* count only from trusted peers; otherwise any client could claim another host or
address. Source: docs/configuration.md (TRUSTED_PROXIES, URL_HOST, BASE_URL).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from appliance.http.messages import Request

Network = IPv4Network | IPv6Network

CLIENT_KEY = "appliance.client"
"""Scope key of blueprints: the client's address, as trusted proxies report it."""
_MAX_ADDRESS = 64
"""A proxy may have written it; no address is longer."""

# A name or an address, and a port, that may stand in a URL. The Host header may hold anything.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._=+/:-]{1,128}").fullmatch


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The request as the client made it, according to the last trusted proxy."""

    host: str
    """Host name in lower case, without port; '' if the request names none."""
    request_id: bytes | None
    """X-Request-ID as the client sent it, to be repeated in the response."""
    trusted_id: str | None = None
    """The same if a trusted proxy sent it: for the log and the BBB servers."""
    authority: str = ""
    """Host and, if given, port, as the client wrote them."""
    scheme: str = "http"

    @property
    def base_url(self) -> str:
        """Return scheme and host for URLs that lead back here; '' if no valid host is named."""
        return _base_url(self.scheme, self.authority)


@lru_cache(maxsize=64)
def _base_url(scheme: str, authority: str) -> str:
    return f"{scheme}://{authority}" if _AUTHORITY(authority) else ""


class OriginReader:
    """Reads the origin of requests, and checks their host, according to the settings."""

    def __init__(
        self,
        trusted: Sequence[Network],
        *,
        url_host: str | None,
        base_url: str | None,
        multitenancy: bool,
    ) -> None:
        self._is_trusted = _trust(tuple(trusted))
        # With tenants, whose hosts are below BASE_URL, that setting alone enables the check.
        self._check = url_host is not None or (multitenancy and base_url is not None)
        self._allowed = frozenset(host.lower() for host in (url_host, base_url) if host)
        self._multitenancy = multitenancy

    def read(self, request: Request) -> RequestOrigin:
        """Return the origin of a request."""
        headers = request.headers
        host, scheme = headers.get(b"host", b""), request.scheme
        forwarded, protocol = headers.get(b"x-forwarded-host"), headers.get(b"x-forwarded-proto")
        if (forwarded or protocol) and self._is_trusted(request.peer):
            # The last entry is the host that the nearest proxy received; Rails reads it so too.
            host = forwarded.rpartition(b",")[2] if forwarded else host
            last = (protocol or b"").rpartition(b",")[2].strip().lower()
            scheme = last.decode() if last in (b"http", b"https") else scheme
        request_id = headers.get(b"x-request-id")
        if request_id is not None and not _REQUEST_ID(request_id):
            request_id = None
        trusted = request_id is not None and self._is_trusted(request.peer)
        authority, name = _parse_host(host)
        trusted_id = request_id.decode() if request_id is not None and trusted else None
        return RequestOrigin(name, request_id, trusted_id, authority, scheme)

    def client_address(self, request: Request) -> str:
        """Return the client's address as far as trusted proxies name it; '' if none is known.

        Each proxy appends the address that connected to it, so only the entries after the last
        untrusted one are reliable.
        """
        client = request.peer
        hops = request.headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        for hop in reversed(hops):
            if not self._is_trusted(client) or not hop.strip():
                break
            client = strip_port(hop) if hop.count(":") == 1 else hop.strip()
        return client or ""

    def allows(self, host: str) -> bool:
        """Return whether requests for a host are served (protects against DNS rebinding).

        The host of a tenant is one label below URL_HOST or BASE_URL.
        """
        if not self._check or host in self._allowed:
            return True
        label, _, base = host.partition(".")
        return self._multitenancy and bool(label) and base in self._allowed


@lru_cache(maxsize=64)
def _parse_host(host: bytes) -> tuple[str, str]:
    """Return the authority and the name of a Host field; few hosts are asked for."""
    authority = host.decode("latin-1").strip()
    return authority, strip_port(authority).lower()


def client_of(scope: Any) -> str:
    """Return the address of the client of a request, for the log; "unknown" if none is known."""
    return shown_address(str(scope.get(CLIENT_KEY, "")))


def shown_address(address: str) -> str:
    """Return a client's address for the log, cut to a sensible length."""
    return address[:_MAX_ADDRESS] or "unknown"


def strip_port(host: str) -> str:
    """Return the host of a Host header: `[::1]:3000` -> `::1`."""
    host = host.strip()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, _ = host.rpartition(":")
    return name if colon else host


def _trust(networks: tuple[Network, ...]) -> Callable[[str | None], bool]:
    @lru_cache(maxsize=4096)
    def is_trusted(peer: str | None) -> bool:
        """Return whether a peer is a trusted proxy; a peer on a Unix socket always is."""
        if peer is None:
            return True
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped.version == net.version and mapped in net for net in networks)

    return is_trusted
