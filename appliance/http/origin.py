"""Where a request came from and for which host: proxies, the host check, the tenant's label.

X-Forwarded-* count only from trusted peers, or anybody could name another host or address.
Truth: docs/configuration.md (TRUSTED_PROXIES, URL_HOST, BASE_URL).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

from appliance.http.messages import Request

Network = IPv4Network | IPv6Network

# A name or an address, and a port: what may stand in a URL. Clients write what they like.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._=+/:-]{1,128}").fullmatch


@dataclass(frozen=True, slots=True)
class Origin:
    """What the client asked for, as the last trusted proxy tells it."""

    host: str
    """Host name in lower case, without port; '' if the request names none."""
    request_id: bytes | None
    """As the client sent it, for the answer."""
    trusted_id: str | None = None
    """The same, if a trusted proxy sent it: for the log and the servers."""
    authority: str = ""
    """Host and, if it was named, port, as the client wrote them."""
    scheme: str = "http"

    @property
    def base_url(self) -> str:
        """Return scheme and host, with which URLs that lead to us begin; '' if no host is named."""
        return f"{self.scheme}://{self.authority}" if _AUTHORITY(self.authority) else ""


class OriginReader:
    """Reads the origin of requests by the settings."""

    def __init__(
        self,
        trusted: Sequence[Network],
        *,
        url_host: str | None,
        base_url: str | None,
        multitenancy: bool,
    ) -> None:
        self._is_trusted = _trust(tuple(trusted))
        # BASE_URL says whose the hosts are, too, where the host says who is asking.
        self._check = url_host is not None or (multitenancy and base_url is not None)
        self._allowed = frozenset(host.lower() for host in (url_host, base_url) if host)
        self._multitenancy = multitenancy

    def read(self, request: Request) -> Origin:
        """Return the origin of a request."""
        headers = request.headers
        host = headers.get(b"host", b"")
        forwarded = headers.get(b"x-forwarded-host")
        scheme = headers.get(b"x-forwarded-proto", b"").rpartition(b",")[2].strip().lower()
        if (forwarded or scheme) and not self._is_trusted(request.peer):
            forwarded, scheme = None, b""
        if forwarded:
            # The last one is what the proxy next to us was asked for; Rails reads it so too.
            host = forwarded.rpartition(b",")[2]
        request_id = headers.get(b"x-request-id")
        if request_id is not None and not _REQUEST_ID(request_id):
            request_id = None
        trusted = request_id is not None and self._is_trusted(request.peer)
        authority = host.decode("latin-1").strip()
        known = scheme in (b"http", b"https")
        return Origin(
            strip_port(authority).lower(),
            request_id,
            request_id.decode() if request_id is not None and trusted else None,
            authority,
            scheme.decode() if known else request.scheme,
        )

    def client_address(self, request: Request) -> str:
        """Return the address that a request came from, as far as trusted proxies tell; '' if none.

        Each proxy adds the address it was called from at the end, so what stands before the last
        untrusted one may be anything.
        """
        client = request.peer
        hops = request.headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        for hop in reversed(hops):
            if not self._is_trusted(client) or not hop.strip():
                break
            client = strip_port(hop) if hop.count(":") == 1 else hop.strip()
        return client or ""

    def allows(self, host: str) -> bool:
        """Whether requests for a host are answered (protects against DNS rebinding)."""
        if not self._check or host in self._allowed:
            return True
        return self._multitenancy and any(host.endswith(f".{base}") for base in self._allowed)


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
        """Whether a peer is one of our proxies; on a Unix socket it always is."""
        if peer is None:
            return True
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped.version == net.version and mapped in net for net in networks)

    return is_trusted
