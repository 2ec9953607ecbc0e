"""Parse REDIS_URL with the redis library, whose spelling Scalelite's REDIS_URL follows, too.

Does no I/O, except that it reads the certificate files of the TLS options. A plain path, as the
package and the embedded Redis have it, does without the library, which takes 6 MB and 0.1 s.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

_NO_ADDRESS = "not a redis://, rediss:// or unix:// address"
_DEFAULT_PORT = 6379
_PLAIN_PATH = re.compile(r"unix://(?:/[\w.-]+)+").fullmatch


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address of a Redis: a Unix socket, or host and port, and credentials."""

    host: str
    port: int
    path: str | None
    db: int
    username: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None


def parse_redis_url(url: str) -> Endpoint:
    """Parse a URL with the scheme `redis`, `rediss` or `unix`.

    Raises ValueError: not such a URL (the text does not quote it); OSError: a file of `ssl_*`
    cannot be read.
    """
    if _PLAIN_PATH(url):
        path = url.removeprefix("unix://")
        return Endpoint("localhost", _DEFAULT_PORT, path, 0, None, None, None)
    try:
        found = _parse_url(url)
        database = int(found.get("db") or 0)
        port = int(found.get("port") or _DEFAULT_PORT)
    except (ValueError, TypeError):
        raise ValueError(_NO_ADDRESS) from None
    unix = url.startswith("unix://")
    if unix and not found.get("path"):
        raise ValueError("a unix:// address needs a path")
    return Endpoint(
        host=found.get("host") or "localhost",
        port=port,
        path=found["path"] if unix else None,
        db=database,
        username=found.get("username"),
        password=found.get("password"),
        tls=_tls_context(found) if url.startswith("rediss://") else None,
    )


def _parse_url(url: str) -> dict[str, Any]:
    from redis.connection import parse_url

    return cast("Callable[[str], dict[str, Any]]", parse_url)(url)


def _tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if str(options.get("ssl_check_hostname", "")).lower() in ("false", "f", "no", "n", "0"):
        context.check_hostname = False
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate := options.get("ssl_certfile"):
        context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    return context
