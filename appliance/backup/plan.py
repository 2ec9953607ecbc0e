"""Decides what a restore writes to Redis, and what speaks against it. Pure.

An object that Redis has already (a server, a tenant, a token, a meeting) is kept whole, with all
that belongs to it; what is missing is added. To replace, everything is removed first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from appliance.backup.keys import Entry, KeyKind, Value, classify
from appliance.bbb.endpoint import url_key

MAX_CONFLICTS = 20
"""How many are shown."""
_SERVER_FIELDS = ("url", "secret", "tag", "load_multiplier", "state")
_LIMIT_FIELDS = ("max_meetings", "max_users")


class Mode(StrEnum):
    """How a restore treats objects that the stores have already."""

    EMPTY = "empty"
    """It refuses if they have anything else than the backup."""
    MERGE = "merge"
    REPLACE = "replace"


@dataclass(slots=True)
class Count:
    """How many objects of one kind a restore adds, keeps and replaces."""

    total: int = 0
    """In the backup."""
    added: int = 0
    kept: int = 0
    """The stores have them already."""
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """The commands of a restore; keys, their second words, are without the namespace."""

    commands: Sequence[Sequence[str | int]]
    counts: Mapping[str, Count]
    """By section."""
    conflicts: Sequence[str]


@dataclass(slots=True)
class _Objects:
    """The ids of the objects that are added, by kind."""

    added: dict[str, set[str]] = field(default_factory=dict)

    def has(self, kind: str, id: str) -> bool:
        # "" is the pool without tenants, whose limits have an empty id.
        return id in self.added.get(kind, ()) or (kind == "tenant" and not id)


def plan_restore(
    entries: Sequence[Entry], existing: Mapping[str, Entry], mode: Mode, now_ms: int
) -> RestorePlan:
    """Return the commands that restore entries into a Redis that has `existing`, by key."""
    living = {one.key: one for one in entries if one.expires_ms is None or one.expires_ms > now_ms}
    before = {} if mode is Mode.REPLACE else existing
    objects = _find_objects(living, before)
    conflicts = list(_find_conflicts(living, existing)) if mode is Mode.EMPTY else []
    commands: list[Sequence[str | int]] = []
    if mode is Mode.REPLACE and existing:
        commands += (("DEL", key) for key in existing)
    for entry in living.values():
        commands += _write(entry, before.get(entry.key), objects)
    if added := objects.added.get("server"):
        commands += [("DEL", "appliance:emptied"), ("HDEL", "appliance:retired", *sorted(added))]
    if commands:
        commands += (("HINCRBY", "appliance:changes", name, 1) for name in ("servers", "tenants"))
    return RestorePlan(commands, _count(living, existing, objects, mode), conflicts)


def _find_objects(living: Mapping[str, Entry], before: Mapping[str, Entry]) -> _Objects:
    """Return the objects of the backup that are not there yet."""
    found, urls = _Objects(), set(map(_server_url, before.values())) - {""}
    absent = {
        key.removeprefix("server:")
        for key, entry in living.items()
        if key not in before and _server_url(entry) in urls
    }
    for key, entry in living.items():
        kind, id = classify(key)
        is_new = key not in before and not _is_name_taken(entry, before)
        # Of a server that the pool has under another id there is nothing, nor of its meetings.
        server = _fields(entry).get("server_id", "") if kind.owner == "meeting" else id
        if server in absent:
            continue
        if is_new and _is_record(kind, key, id):
            found.added.setdefault(kind.owner, set()).add(id)
    known = _fields(before.get("appliance:tokens"))
    for name, digest in _fields(living.get("appliance:tokens")).items():
        if name not in known:
            found.added.setdefault("token", set()).add(name)
            found.added.setdefault("digest", set()).add(digest)
    for key, entry in living.items():
        kind, id = classify(key)
        if kind.owner == "setting" and found.has("tenant", _fields(entry).get("tenant_id", "-")):
            found.added.setdefault("setting", set()).add(id)
    return found


def _is_record(kind: KeyKind, key: str, id: str) -> bool:
    """Return whether a key is the record of its object, not something beside it."""
    if kind.owner in ("server", "tenant", "meeting"):
        return key == f"{kind.owner}:{id}"
    return kind.owner == "claim"


def _is_name_taken(entry: Entry, before: Mapping[str, Entry]) -> bool:
    """Return whether another tenant has the name of this one."""
    name = _fields(entry).get("name") if entry.key.startswith("tenant:") else None
    return name is not None and f"tenant_name:{name}" in before


def _server_url(entry: Entry) -> str:
    """Return what the URLs of a server have in common; empty: it is no server's record."""
    url = _fields(entry).get("url") if entry.key.startswith("server:") else None
    return url_key(url) if url else ""


def _write(entry: Entry, before: Entry | None, objects: _Objects) -> Iterator[Sequence[str | int]]:
    kind, id = classify(entry.key)
    if entry.key.startswith("tenant_name:"):
        kind, id = replace(kind, owner="tenant"), str(_fields(entry).get("id"))
    if kind.owner and not objects.has(kind.owner, id):
        return
    value = _select(entry, kind, objects)
    if kind.counter and before is not None:
        yield from _raise_counter(entry, before)
    elif value:
        yield from _add(entry, value, is_new=before is None)


def _raise_counter(entry: Entry, before: Entry) -> Iterator[Sequence[str | int]]:
    missing = _number(entry.value) - _number(before.value)
    if missing > 0:
        yield ("INCRBY", entry.key, missing)


def _add(entry: Entry, value: Value, *, is_new: bool) -> Iterator[Sequence[str | int]]:
    """Yield commands that add what is missing in a key."""
    key = entry.key
    if isinstance(value, dict) and entry.type == "sorted_set":
        yield ("ZADD", key, "NX", *(word for one, score in value.items() for word in (score, one)))
    elif isinstance(value, dict):
        yield from (("HSETNX", key, name, text) for name, text in value.items())
    elif isinstance(value, list) and entry.type == "set":
        yield ("SADD", key, *value)
    elif is_new:
        yield ("RPUSH", key, *value) if isinstance(value, list) else ("SET", key, value, "NX")
    if is_new and entry.expires_ms is not None:
        yield ("PEXPIREAT", key, entry.expires_ms)


def _select(entry: Entry, kind: KeyKind, objects: _Objects) -> Value:
    """Return what of a value is of the objects that are added."""
    value = entry.value
    if kind.members and isinstance(value, list):
        return [one for one in value if objects.has(kind.members, one)]
    if kind.members and isinstance(value, dict):
        return {one: text for one, text in value.items() if objects.has(kind.members, one)}
    if kind.values and isinstance(value, dict):
        # A number is reserved for a meeting, or for one that its server may take back.
        return {
            name: id
            for name, id in value.items()
            if objects.has(kind.values, id) or objects.has("claim", id)
        }
    return value


def _find_conflicts(living: Mapping[str, Entry], existing: Mapping[str, Entry]) -> Iterator[str]:
    """Yield what the stores have and the backup has not, or has otherwise."""
    for key, entry in existing.items():
        if found := _conflict_of(entry, living.get(key)):
            yield found
    named = {_fields(one)["name"]: key for key, one in living.items() if _is_tenant(key, one)}
    for key, entry in existing.items():
        if _is_tenant(key, entry) and named.get(_fields(entry)["name"], key) != key:
            yield f"tenant {_fields(entry)['name']} has another id"
    tokens = _fields(living.get("appliance:tokens"))
    for name, digest in _fields(existing.get("appliance:tokens")).items():
        if tokens.get(name, digest) != digest:
            yield f"token {name} has another secret"


def _conflict_of(entry: Entry, other: Entry | None) -> str:
    """Return what speaks against the backup's entry of the same key; empty: nothing."""
    kind, id = classify(entry.key)
    if kind.counted and kind.section in ("servers", "tenants"):
        if other is None:
            return f"{kind.owner} {_name(entry, id)} is not in the backup"
        changed = _changed(entry, other, kind)
        return f"{kind.owner} {_name(entry, id)} has another {changed}" if changed else ""
    if other is None:
        return ""
    if entry.key.startswith("appliance:server:"):
        return f"server {id} has other limits" if _differ(entry, other, _LIMIT_FIELDS) else ""
    is_setting = kind.counted and kind.section in ("settings", "limits")
    return f"{kind.section} {id or 'of the pool'} differ" if is_setting and entry != other else ""


def _is_tenant(key: str, entry: Entry) -> bool:
    return key.startswith("tenant:") and bool(_fields(entry).get("name"))


def _changed(entry: Entry, other: Entry, kind: KeyKind) -> str:
    """Return the first field in which two records differ; of servers only what is configured."""
    one, two = _fields(entry), _fields(other)
    names: Collection[str] = _SERVER_FIELDS if kind.owner == "server" else sorted({*one, *two})
    return next((name for name in names if one.get(name) != two.get(name)), "")


def _differ(entry: Entry, other: Entry, names: Collection[str]) -> bool:
    one, two = _fields(entry), _fields(other)
    return any(one.get(name) != two.get(name) for name in names)


def _name(entry: Entry, id: str) -> str:
    return _fields(entry).get("name") or id


def _count(
    living: Mapping[str, Entry], existing: Mapping[str, Entry], objects: _Objects, mode: Mode
) -> dict[str, Count]:
    counts: dict[str, Count] = {}
    for key, entry in living.items():
        kind, id = classify(key)
        if key == "appliance:hooks":
            known = {} if mode is Mode.REPLACE else _fields(existing.get(key))
            count = counts.setdefault(kind.section, Count())
            count.total += len(entry.value)
            count.kept += len(_fields(entry).keys() & known)
            count.added = count.total - count.kept
        if not kind.counted:
            continue
        count = counts.setdefault(kind.section, Count())
        count.total += 1
        if key in existing and mode is Mode.REPLACE:
            count.replaced += 1
        elif key in existing or (kind.owner and not objects.has(kind.owner, id)):
            count.kept += 1
        else:
            count.added += 1
    return counts


def _fields(entry: Entry | None) -> dict[str, Any]:
    return entry.value if entry is not None and isinstance(entry.value, dict) else {}


def _number(value: Value) -> int:
    is_number = isinstance(value, str) and value.isascii() and value.isdigit()
    return int(str(value)) if is_number else 0
