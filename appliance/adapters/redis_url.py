"""Reads REDIS_URL: where one Redis is, and how to log in.

Pure but for the certificate files of its TLS options. The spelling is redis-py's (its `from_url`),
since that is what a Scalelite's own REDIS_URL and every guide follow.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

_STARTS = ("redis://", "rediss://", "unix://")
_NO_ADDRESS = "not a redis://, rediss:// or unix:// address"
_DEFAULT_PORT = 6379
_FALSE = frozenset({"false", "f", "no", "n", "0"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A parsed address: a Unix socket path, or host and port, and how to log in."""

    host: str
    port: int
    path: str | None
    db: int
    username: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None


def parse_redis_url(url: str) -> Endpoint:
    """Parse `redis://`, `rediss://` or `unix://`.

    Raises: ValueError, whose text does not hold the url; OSError: a file of `ssl_*` cannot be read.
    """
    if not url.startswith(_STARTS):
        raise ValueError(_NO_ADDRESS)
    try:
        parts = urlsplit(url)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        database = _database(parts, options)
        port = parts.port or int(options.get("port", _DEFAULT_PORT))
    except ValueError:
        raise ValueError(_NO_ADDRESS) from None
    unix = parts.scheme == "unix"
    if unix and not parts.path:
        raise ValueError("a unix:// address needs a path")
    host = options.get("host") if unix else parts.hostname or options.get("host")
    return Endpoint(
        host=unquote(host or "localhost"),
        port=port,
        path=unquote(parts.path) if unix else None,
        db=database,
        username=_unquoted(parts.username) or options.get("username"),
        password=_unquoted(parts.password) or options.get("password"),
        tls=_tls_context(options) if parts.scheme == "rediss" else None,
    )


def _database(parts: SplitResult, options: Mapping[str, str]) -> int:
    """Return the number of the database, from the query or the path; 0 where there is none."""
    if "db" in options:
        return int(options["db"])
    with suppress(ValueError):
        return 0 if parts.scheme == "unix" else int(unquote(parts.path).replace("/", ""))
    return 0


def _unquoted(text: str | None) -> str | None:
    return unquote(text) if text else None


def _tls_context(options: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if options.get("ssl_check_hostname", "").lower() in _FALSE:
        context.check_hostname = False
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate := options.get("ssl_certfile"):
        context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    return context
