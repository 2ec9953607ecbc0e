"""Validation of the URL and the secret of an endpoint, and readable names of hosts.

Pure. Each check returns the value to store or raises UnacceptableValue with a readable reason that
contains no secret.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

MAX_TEXT = 255
MAX_URL = 2048
_MAX_HOSTS = 8192
"""URLs whose host is remembered: those of a pool are asked for again and again."""

_UNSAFE = frozenset('"<>^`{|}')
"""Never part of a URL (RFC 3986)."""
_HOST = re.compile(
    r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\]"
).fullmatch


class UnacceptableValue(Exception):
    """A value cannot be stored; `str()` says why and is safe to show."""


def check_url(url: str) -> str:
    """Check the URL of an endpoint: http or https, a host, nothing after the path."""
    # Before urlsplit, which silently removes line breaks and blanks.
    if not url or not url.isascii() or not url.isprintable() or " " in url:
        raise UnacceptableValue("the url must be plain ASCII text without blanks")
    if len(url) > MAX_URL:
        raise UnacceptableValue(f"the url must not be longer than {MAX_URL} characters")
    if not url.lower().startswith(("http://", "https://")):
        raise UnacceptableValue("the url must start with http:// or https://")
    if "?" in url or "#" in url or "\\" in url:
        raise UnacceptableValue("the url must end with its path: no ?, # or backslash")
    if not _UNSAFE.isdisjoint(url):
        raise UnacceptableValue("the url must not hold quotation marks, <, >, ^, `, |, { or }")
    parts = _split(url)
    if "@" in parts.netloc:
        raise UnacceptableValue("the url must not hold a user name or password")
    host = parts.netloc.rsplit(":", 1)[0] if not parts.netloc.endswith("]") else parts.netloc
    if not _HOST(host):
        raise UnacceptableValue("the url must have a host")
    return url


def complete_api_url(url: str) -> str:
    """Complete the URL that `bbb-conf --secret` prints, or that of a host, to that of the API.

    Another path is kept.
    """
    scheme, separator, rest = url.partition("://")
    host, _, path = rest.partition("/")
    if separator and host and path.strip("/") in ("", "bigbluebutton", "bigbluebutton/api"):
        return f"{scheme}://{host}/bigbluebutton/api"
    return url


def url_key(url: str) -> str:
    """Return what two URLs of the same endpoint have in common."""
    scheme, separator, rest = url.rstrip("/").lower().partition("://")
    host, slash, path = rest.partition("/")
    usual_port = ":443" if scheme == "https" else ":80"
    return f"{scheme}{separator}{host.removesuffix(usual_port)}{slash}{path}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError
    except ValueError:  # invalid port, or brackets without an address
        raise UnacceptableValue("the url has no valid host and port") from None
    return parts


@lru_cache(_MAX_HOSTS)
def host_of(url: str) -> str:
    """Return the host name of a URL in lower case, the URL itself if it has none."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def host_labels(urls: Sequence[str]) -> list[str]:
    """Return a label for each URL: its host name, with the port if the host occurs twice."""
    hosts = [host_of(url) for url in urls]
    times = Counter(hosts)
    return [
        f"{host}:{_port_of(url)}" if times[host] > 1 else host
        for host, url in zip(hosts, urls, strict=True)
    ]


def _port_of(url: str) -> int:
    try:
        parts = urlsplit(url)
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return 0


def check_secret(secret: str) -> str:
    """Check a server's secret."""
    if not secret:
        raise UnacceptableValue("the secret must not be empty")
    if not secret.isprintable() or any(char.isspace() for char in secret):
        raise UnacceptableValue("the secret must not hold blanks or line breaks")
    if len(secret) > MAX_TEXT:
        raise UnacceptableValue(f"the secret must not be longer than {MAX_TEXT} characters")
    return secret
