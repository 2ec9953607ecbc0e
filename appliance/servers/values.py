"""Validation of a server's values: URL, id, secret, tag, load multiplier, limits and dial-in.

Pure. Each check returns the value to store or raises UnacceptableValue with a readable reason that
contains no secret. Source: docs/stores.md (fields of a server; key names that an id must not use).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace

from appliance.bbb.endpoint import MAX_TEXT, UnacceptableValue, check_secret, check_url
from appliance.model import ServerId, ServerState
from appliance.settings.dial_string import check_dial_string

MAX_LIMIT = 10_000_000
MAX_PORT = 65_535
MIN_MULTIPLIER, MAX_MULTIPLIER = 1e-6, 1e6
"""Loads are products and quotients of it, and must stay finite: 1e308 times 15 is infinite."""

_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?").fullmatch

_RESERVED_IDS = frozenset(
    {
        *("servers", "server_enabled", "server_load", "cordoned_server_load"),
        *("meetings", "voice_bridges", "tenants"),
    }
)
"""A server's counters have its id as key, so an id must not be the name of another key."""
_RESERVED_PREFIX = "protector_token_"


@dataclass(frozen=True, slots=True)
class ServerChange:
    """New values of a server; None keeps a value, an empty text or a limit of 0 removes it."""

    url: str | None = None
    secret: str | None = field(default=None, repr=False)
    load_multiplier: float | None = None
    tag: str | None = None
    max_meetings: int | None = None
    max_users: int | None = None
    dial_in: str | None = None
    dial_in_port: int | None = None
    state: ServerState | None = None


@dataclass(frozen=True, slots=True)
class NewServer:
    """Values of a server that is to be added."""

    url: str
    secret: str = field(repr=False)
    id: str | None = None
    """None: a new UUID, or the host name with SERVER_ID_IS_HOSTNAME."""
    load_multiplier: float = 1.0
    tag: str = ""
    max_meetings: int = 0
    max_users: int = 0
    dial_in: str = ""
    dial_in_port: int = 0

    @property
    def change(self) -> ServerChange:
        """Return the values to be stored under the id."""
        return ServerChange(
            url=self.url,
            secret=self.secret,
            load_multiplier=self.load_multiplier,
            tag=self.tag,
            max_meetings=self.max_meetings,
            max_users=self.max_users,
            dial_in=self.dial_in,
            dial_in_port=self.dial_in_port,
        )


def check_change(change: ServerChange) -> ServerChange:
    """Check all values of a change. Raises UnacceptableValue."""
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
        dial_in=None if change.dial_in is None else check_dial_in(change.dial_in),
        dial_in_port=None if change.dial_in_port is None else check_port(change.dial_in_port),
    )


def check_id(server_id: str) -> ServerId:
    """Check an id given by the operator or derived from the host name."""
    if not _ID(server_id):
        raise UnacceptableValue(
            "the id must be at most 128 letters, digits, dots, hyphens and underscores, "
            "and begin and end with a letter or digit"
        )
    if server_id in _RESERVED_IDS or server_id.startswith(_RESERVED_PREFIX):
        raise UnacceptableValue("this id is reserved")
    return ServerId(server_id)


def check_tag(tag: str) -> str:
    """Check a tag; empty means none. `;`, `!` and `none` have special meanings in requests."""
    if ";" in tag or "!" in tag:
        raise UnacceptableValue("the tag must not hold ';' or '!'")
    if tag != tag.strip() or not tag.isprintable():
        raise UnacceptableValue("the tag must not begin or end with blanks, or hold line breaks")
    if tag == "none":
        raise UnacceptableValue("the tag must not be 'none': that asks for an untagged server")
    if len(tag) > MAX_TEXT:
        raise UnacceptableValue(f"the tag must not be longer than {MAX_TEXT} characters")
    return tag


def check_dial_in(template: str) -> str:
    """Check the template of dial strings; empty means none."""
    try:
        return check_dial_string(template) if template.strip(" ") else ""
    except ValueError as error:
        raise UnacceptableValue(str(error)) from None


def check_port(port: int) -> int:
    """Check the port for dial-in; 0 means none."""
    if not 0 <= port <= MAX_PORT:
        raise UnacceptableValue(f"dial_in_port must be from 1 to {MAX_PORT}, or 0 for the default")
    return port


def check_multiplier(value: float) -> float:
    """Check a load multiplier."""
    if not math.isfinite(value) or value <= 0:
        raise UnacceptableValue("the load multiplier must be a number greater than 0")
    if not MIN_MULTIPLIER <= value <= MAX_MULTIPLIER:
        raise UnacceptableValue("the load multiplier must be from 0.000001 to 1000000")
    return float(value)


def _check_limit(name: str, value: int | None) -> int | None:
    if value is not None and not 0 <= value <= MAX_LIMIT:
        raise UnacceptableValue(
            f"{name} must be a whole number from 1 to {MAX_LIMIT}, or 0 for no limit"
        )
    return value
