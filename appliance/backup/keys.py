"""The keys of Redis that belong to a backup: their sections and owners. Pure.

Every key below REDIS_NAMESPACE is taken whole, also one that this table does not know (section
`other`), unless it is only of the moment (TRANSIENT). Source: docs/stores.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from appliance.redaction import is_secret_name

SECTIONS = (
    *("servers", "tenants", "settings", "limits", "tokens", "hooks", "meetings", "callbacks"),
    *("usage_state", "other"),
)
SECRET = "$secret"
"""Key of an object that stands for a secret in a line; ctl encrypts it."""
TYPES = ("hash", "set", "sorted_set", "list", "string")
_REDIS_TYPES = {"zset": "sorted_set"}

Value: TypeAlias = dict[str, Any] | list[str] | str


@dataclass(frozen=True, slots=True)
class KeyKind:
    """A kind of keys."""

    section: str
    pattern: str
    """Of the key after the namespace; its group is the id of an object."""
    owner: str = ""
    """The kind of that object, which the key is a part of."""
    members: str = ""
    """The members of the collection, or fields of the hash, are the ids of such objects."""
    values: str = ""
    """The values of the hash are."""
    counted: bool = False
    """Each key is one object in the report."""
    counter: bool = False
    """A number that must never fall."""
    sealed: bool = False
    """Everything may hold a secret, also fields of the hash: URLs of callbacks, for example."""


_APPLIANCE_SERVER = "appliance:(?:server|load|doubles):(.+)"
KINDS = (
    KeyKind("servers", "servers|server_enabled|appliance:servers", members="server"),
    KeyKind("servers", "server_load|cordoned_server_load", members="server"),
    KeyKind("servers", "server:(.+)", owner="server", counted=True),
    KeyKind("servers", _APPLIANCE_SERVER, owner="server"),
    KeyKind("servers", "appliance:detached:(.+)", owner="server", sealed=True),
    KeyKind("servers", "appliance:retired", sealed=True),
    KeyKind("tenants", "tenants", members="tenant"),
    KeyKind("tenants", "tenant:(.+)", owner="tenant", counted=True),
    KeyKind("tenants", "tenant_name:.+"),
    KeyKind("settings", "tenant_settings:(.+)", owner="tenant"),
    KeyKind("settings", "tenant_setting:(.+)", owner="setting", counted=True),
    KeyKind("settings", "appliance:setting_calls", members="setting"),
    KeyKind("settings", "appliance:param_rules:(.*)", owner="tenant", counted=True),
    KeyKind("limits", "appliance:limits:(.*)", owner="tenant", counted=True),
    KeyKind("limits", "appliance:limited", members="tenant"),
    KeyKind("tokens", "appliance:tokens", members="token"),
    KeyKind("tokens", "appliance:token:(.+)", owner="digest", counted=True),
    KeyKind("hooks", "appliance:hook_ids", counter=True),
    KeyKind("hooks", "appliance:hooks_of:.+"),
    KeyKind("hooks", "appliance:hooks_on:(.+)", owner="server", sealed=True),
    KeyKind("hooks", "appliance:hooks", sealed=True),
    KeyKind("meetings", "meetings", members="meeting"),
    KeyKind("meetings", "meeting:(.+)", owner="meeting", counted=True),
    KeyKind("meetings", "voice_bridges", values="meeting"),
    KeyKind("meetings", "appliance:meeting:(.+)", owner="meeting"),
    KeyKind("meetings", "appliance:meetings_of(?:_tenant)?:.+", members="meeting"),
    KeyKind("meetings", "appliance:detached_meeting:(.+)", owner="claim"),
    KeyKind("meetings", "appliance:size:.+"),
    KeyKind("meetings", "appliance:placements", counter=True),
    KeyKind("callbacks", "appliance:callback:.+", counted=True, sealed=True),
    KeyKind("callbacks", "appliance:callbacks(?:_due)?|appliance:ended_due"),
    KeyKind("callbacks", "appliance:(?:ended|callback_urls|callback_urls_of:.+)", sealed=True),
    KeyKind("usage_state", "appliance:usage_of:(.+)", owner="server"),
    KeyKind("usage_state", "appliance:usage_.+"),
    KeyKind("usage_state", "appliance:owed(?::.+)?"),
    KeyKind("other", "appliance:.+"),
    KeyKind("other", ".+"),
)
_CALLBACK_URLS = ("ended_url", "wanted_url")
"""Fields of a meeting."""
TRANSIENT = re.compile(
    r"protector_token_.+|appliance:(?:"
    r"lease[:-].+|leases|pollers|poller:.+|changes|instances|events|doctor|audit|emptied|handback|replicated|stale_.+"
    r"|(?:console_ended|console_undo|wrong_pins|ending|suspect|avoid|strays|breakout|limit_warned|creates"
    r"|users_of|same_server):.*)",
    re.DOTALL,
)
"""Keys that are of the moment, or of these stores alone. The audit trail stays where it was
written."""
_MATCHERS: tuple[tuple[KeyKind, Callable[[str], re.Match[str] | None]], ...] = tuple(
    (kind, re.compile(kind.pattern, re.DOTALL).fullmatch) for kind in KINDS
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of Redis, without the namespace, and its value.

    A hash is a dict, a sorted set a dict of scores (as texts), set and list are lists.
    """

    key: str
    type: str
    """One of TYPES."""
    value: Value
    expires_ms: int | None = None
    """Since the epoch; None: never."""


def classify(key: str) -> tuple[KeyKind, str]:
    """Return the kind of a key, and the id in it."""
    for kind, match in _MATCHERS:
        if found := match(key):
            return kind, found[1] if found.re.groups else ""
    return KINDS[-1], ""


def is_taken(key: str, server_ids: Collection[str]) -> bool:
    """Return whether a key belongs to a backup. A bare id has counters of the server's health."""
    return key not in server_ids and TRANSIENT.fullmatch(key) is None


def to_type(redis_type: str) -> str:
    """Return the name of a type in a backup; one that is not in TYPES is not taken."""
    return _REDIS_TYPES.get(redis_type, redis_type)


def render_entry(entry: Entry) -> str:
    """Return an entry as a line of JSON, its secrets marked."""
    document: dict[str, Any] = {"key": entry.key, entry.type: _mark_secrets(entry)}
    if entry.expires_ms is not None:
        document["expires_ms"] = entry.expires_ms
    text = json.dumps(document, ensure_ascii=False)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # bytes of a front-end that are not UTF-8
            return json.dumps(document)
    return text


def _mark_secrets(entry: Entry) -> Any:
    kind, _ = classify(entry.key)
    value = entry.value
    if isinstance(value, str):
        return {SECRET: value} if kind.sealed or is_secret_name(entry.key) else value
    if isinstance(value, list):
        return [{SECRET: one} for one in value] if kind.sealed and entry.type == "list" else value
    if entry.type != "hash":
        return value
    if kind.sealed:
        return {SECRET: json.dumps(value)}
    # A parameter's name tells whether its value is one: moderatorPW. So may a JSON that only its
    # feature knows.
    named = is_secret_name(str(value.get("param", "")))
    return {
        field: {SECRET: text}
        if is_secret_name(field)
        or field in _CALLBACK_URLS
        or (named and field == "value")
        or (":param_rules:" in entry.key and is_secret_name(_param_of(text)))
        or (kind.section == "other" and is_secret_name(text))
        else text
        for field, text in value.items()
    }


def _param_of(rule: str) -> str:
    try:
        found = json.loads(rule)
    except ValueError:
        return ""
    return str(found.get("param", "")) if isinstance(found, dict) else ""


def parse_entry(document: Mapping[str, Any]) -> Entry:
    """Return the entry of a line whose secrets are texts. Raises ValueError."""
    key, expires_ms = document.get("key"), document.get("expires_ms")
    types = [name for name in TYPES if name in document]
    if not isinstance(key, str) or len(types) != 1 or not isinstance(expires_ms, int | None):
        raise ValueError("an entry has no key, or not one value")
    value = document[types[0]]
    if types[0] == "hash" and isinstance(value, str):  # it was sealed
        value = json.loads(value)
    if not _fits(types[0], value):
        raise ValueError(f"the value of {key} is not a {types[0]}")
    return Entry(key, types[0], value, expires_ms)


def _fits(type_: str, value: Any) -> bool:
    if type_ == "string":
        return isinstance(value, str)
    if type_ in ("hash", "sorted_set"):
        return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
