"""What may be stored of a server: its url, id, secret, tag, multiplier and limits.

Pure. Each check returns the value to store or raises UnacceptableValue with a reason for people
(Scalelite stores "not a url" and negative multipliers). No reason quotes a secret.
Truth: spec/balancing.md, A server; the key names that an id may not take: docs/stores.md.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urlsplit

from appliance.model import ServerChange, ServerId

MAX_TEXT = 255
MAX_URL = 2048
MAX_LIMIT = 10_000_000
LEAST_MULTIPLIER, MAX_MULTIPLIER = 1e-6, 1e6
"""Loads are products and quotients of it, and must stay numbers: 1e308 times 15 is infinite."""

_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?").fullmatch
_HOST = re.compile(
    r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\]"
).fullmatch

_TAKEN_IDS = frozenset(
    {
        *("servers", "server_enabled", "server_load", "cordoned_server_load"),
        *("meetings", "voice_bridges", "tenants"),
    }
)
"""A server's counters live under its bare id, so an id must not be the name of another key."""
_TAKEN_PREFIX = "protector_token_"


class UnacceptableValue(Exception):
    """A value cannot be stored; `str()` says why and is safe to show."""


@dataclass(frozen=True, slots=True)
class NewServer:
    """What is known of a server when it is added."""

    url: str
    secret: str = field(repr=False)
    id: str | None = None
    """None: a new UUID, or the host name with SERVER_ID_IS_HOSTNAME."""
    load_multiplier: float = 1.0
    tag: str = ""
    max_meetings: int = 0
    max_users: int = 0

    @property
    def change(self) -> ServerChange:
        """Return what is to be stored under the id."""
        return ServerChange(
            url=self.url,
            secret=self.secret,
            load_multiplier=self.load_multiplier,
            tag=self.tag,
            max_meetings=self.max_meetings,
            max_users=self.max_users,
        )


def check_change(change: ServerChange) -> ServerChange:
    """Check everything that a change names. Raises UnacceptableValue."""
    return replace(
        change,
        url=None if change.url is None else check_url(change.url),
        secret=None if change.secret is None else check_secret(change.secret),
        load_multiplier=(
            None if change.load_multiplier is None else check_multiplier(change.load_multiplier)
        ),
        tag=None if change.tag is None else check_tag(change.tag),
        max_meetings=_check_limit("max_meetings", change.max_meetings),
        max_users=_check_limit("max_users", change.max_users),
    )


def check_url(url: str) -> str:
    """Check the API endpoint of a server: http or https, a host, nothing behind the path."""
    # urlsplit drops line breaks and blanks silently: asked first.
    if not url or not url.isascii() or not url.isprintable() or " " in url:
        raise UnacceptableValue("the url must be plain ASCII text without blanks")
    if len(url) > MAX_URL:
        raise UnacceptableValue(f"the url must not be longer than {MAX_URL} characters")
    if not url.lower().startswith(("http://", "https://")):
        raise UnacceptableValue("the url must start with http:// or https://")
    if "?" in url or "#" in url or "\\" in url:
        raise UnacceptableValue("the url must end with its path: no ?, # or backslash")
    parts = _split(url)
    if "@" in parts.netloc:
        raise UnacceptableValue("the url must not hold a user name or password")
    host = parts.netloc.rsplit(":", 1)[0] if not parts.netloc.endswith("]") else parts.netloc
    if not _HOST(host):
        raise UnacceptableValue("the url must have a host")
    return url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError
    except ValueError:  # a port that is none, brackets that hold no address
        raise UnacceptableValue("the url has no valid host and port") from None
    return parts


def host_of(url: str) -> str:
    """Return the host name of a url in lower case, the url itself if it has none."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def host_labels(urls: Sequence[str]) -> list[str]:
    """Return what to call each of these servers: its host name, with the port where that is
    another's too."""
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


def check_id(server_id: str) -> ServerId:
    """Check an id given by the operator, or taken from the host name."""
    if not _ID(server_id):
        raise UnacceptableValue(
            "the id must be at most 128 letters, digits, dots, hyphens and underscores, "
            "and begin and end with a letter or digit"
        )
    if server_id in _TAKEN_IDS or server_id.startswith(_TAKEN_PREFIX):
        raise UnacceptableValue("this id is reserved")
    return ServerId(server_id)


def check_secret(secret: str) -> str:
    """Check a server's secret."""
    if not secret:
        raise UnacceptableValue("the secret must not be empty")
    if not secret.isprintable() or any(char.isspace() for char in secret):
        raise UnacceptableValue("the secret must not hold blanks or line breaks")
    if len(secret) > MAX_TEXT:
        raise UnacceptableValue(f"the secret must not be longer than {MAX_TEXT} characters")
    return secret


def check_tag(tag: str) -> str:
    """Check a tag; empty means none. `;`, `!` and `none` have a meaning in meta_server-tag."""
    if ";" in tag or "!" in tag:
        raise UnacceptableValue("the tag must not hold ';' or '!'")
    if tag != tag.strip() or not tag.isprintable():
        raise UnacceptableValue("the tag must not begin or end with blanks, or hold line breaks")
    if tag == "none":
        raise UnacceptableValue("the tag must not be 'none': that asks for an untagged server")
    if len(tag) > MAX_TEXT:
        raise UnacceptableValue(f"the tag must not be longer than {MAX_TEXT} characters")
    return tag


def check_multiplier(value: float) -> float:
    """Check a load multiplier."""
    if not math.isfinite(value) or value <= 0:
        raise UnacceptableValue("the load multiplier must be a number greater than 0")
    if not LEAST_MULTIPLIER <= value <= MAX_MULTIPLIER:
        raise UnacceptableValue("the load multiplier must be from 0.000001 to 1000000")
    return float(value)


def _check_limit(name: str, value: int | None) -> int | None:
    if value is not None and not 0 <= value <= MAX_LIMIT:
        raise UnacceptableValue(
            f"{name} must be a whole number from 1 to {MAX_LIMIT}, or 0 for no limit"
        )
    return value


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts bbb2 before bbb10."""
    parts = re.split(r"(\d{1,18})", text.lower())
    return tuple(
        (0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts)
    )
