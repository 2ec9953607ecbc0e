"""Check that Redis holds only the keys of docs/stores.md.

A Scalelite on the same Redis, or one that takes over later, must find nothing unknown, and no key
of the appliance may stay without limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from appliance.redis.client import RedisClient

_STATES = {"enabled", "cordoned", "disabled"}
_LRS = ("lrs_endpoint", "lrs_username", "lrs_password")
_KC = ("kc_token_url", "kc_client_id", "kc_client_secret", "kc_username", "kc_password")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of key, with the type and fields of its value."""

    name: str
    pattern: str
    type: str
    fields: frozenset[str] | None = None
    """Allowed fields of a hash; None: any."""
    expires: bool = False
    """True if the key must have a time to live, False if it must not."""
    of: str = ""
    """With "server" the group of the pattern must be a server of the pool: this bounds the keys."""


def _kind(name: str, pattern: str, type_: str, *fields: str, **more: Any) -> Kind:
    return Kind(name, pattern, type_, frozenset(fields) or None, **more)


_COUNTS = ("meetings", "users", "largest_meeting", "videos")
_SERVER = ("url", "secret", "tag", "online", "load_multiplier", "state", *_COUNTS, "bbb_version")
_OWN = ("placement", "creating", "confirmed_ms", "placed_ms", "run_ms", "created", "own_passwords")
_SEEN = ("users", "moderators", "videos", "seen_created", "seen_ms")
_SEATS = (
    "expected",
    "expected_videos",
    "expected_voice",
    "unknown_cameras",
    "joins",
    "reserved",
    "pending",
    "counted",
    "create_counted",
)
_LIMITS = (
    *("max_meetings", "max_users", "max_users_per_meeting", "max_duration"),
    *("max_recordings_gb", "max_creates_per_minute"),
)
_CALLBACK = (
    *("host", "data", "state", "attempts", "created", "since", "due", "status", "error"),
    *("owner", "till"),
)
_MEETING = ("server_id", "moderator_pw", "voice_bridge", "tenant_id")

KINDS = (
    _kind("servers", "servers", "set"),
    _kind("server", "server:(.+)", "hash", *_SERVER),
    _kind("enabled", "server_enabled", "set"),
    _kind("load", "server_load", "zset"),
    _kind("cordoned", "cordoned_server_load", "zset"),
    _kind("meetings", "meetings", "set"),
    _kind("meeting", "meeting:(.+)", "hash", *_MEETING, expires=True),
    _kind("bridges", "voice_bridges", "hash"),
    _kind("tenants", "tenants", "set"),
    _kind("tenant", "tenant:(.+)", "hash", "name", "secrets", *_LRS, *_KC),
    _kind("tenant name", "tenant_name:(.+)", "hash", "id"),
    _kind("tenant settings", "tenant_settings:(.+)", "set"),
    _kind(
        "tenant setting", "tenant_setting:(.+)", "hash", "param", "value", "override", "tenant_id"
    ),
    _kind("token", "protector_token_(.+)", "string", expires=True),
    _kind(
        "our server",
        "appliance:server:(.+)",
        "hash",
        *("max_meetings", "max_users", "dial_in", "dial_in_port"),
        of="server",
    ),
    _kind(
        "our load",
        "appliance:load:(.+)",
        "hash",
        *("joins", "pending_meetings", "pending_users", "doubts"),
        of="server",
    ),
    _kind("unseen load", "appliance:unseen_load", "hash", expires=True),
    _kind("our servers", "appliance:servers", "set"),
    _kind("maintenance", "appliance:maintenance", "hash"),
    _kind("version shares", "appliance:version_(?:shares|notes|credits)", "hash"),
    _kind("version trial", "appliance:version_trial", "hash", expires=True),
    _kind("version creates", "appliance:version_creates:(.+)", "hash", expires=True),
    _kind("version ends", "appliance:version_ends", "list", expires=True),
    _kind("version lease", "appliance:lease-versions", "string", expires=True),
    _kind("maintained", "appliance:maintained", "hash"),
    _kind(
        "hook of the autoscaler",
        "appliance:autoscale:(.+)",
        "hash",
        *("desired", "safe", "online", "told_ms", "failures", "error"),
    ),
    _kind("autoscaler lease", "appliance:lease-autoscale", "string", expires=True),
    _kind("handback", "appliance:handback", "string"),
    _kind("emptied", "appliance:emptied", "string"),
    _kind("doctor", "appliance:doctor", "string", expires=True),
    _kind("console session", "appliance:console_ended:(.+)", "string", expires=True),
    _kind("undo", "appliance:console_undo:(.+)", "string", expires=True),
    _kind("audit", "appliance:audit", "list"),
    _kind("tokens", "appliance:tokens", "hash"),
    _kind(
        "access token",
        "appliance:token:(.+)",
        "hash",
        *("name", "role", "tenant_id", "created", "expires", "last_used"),
    ),
    _kind("index", "appliance:meetings_of:(.+)", "set", of="server"),
    _kind(
        "our meeting",
        "appliance:meeting:(.+)",
        "hash",
        *(
            *_OWN,
            *_SEATS,
            *_SEEN,
            "ended_url",
            "wanted_url",
            "name",
            "logout_url",
            "logout_tenant",
            "original_id",
            "moved_from",
            "joining",
            "watched",
            "recorded",
        ),
        expires=True,
    ),
    _kind("index of tenant", "appliance:meetings_of_tenant:(.+)", "set", expires=True),
    _kind("tenants indexed", "appliance:tenants_indexed", "string"),
    _kind("strays", "appliance:strays:(.+)", "set", expires=True, of="server"),
    _kind("limits", "appliance:limits:(.*)", "hash", *_LIMITS),
    _kind("limited", "appliance:limited", "set"),
    _kind("limit warned", "appliance:limit_warned:(.+)", "string", expires=True),
    _kind("creates", "appliance:creates:(.*)", "list", expires=True),
    _kind(
        "users of",
        "appliance:users_of:(.*)",
        "hash",
        *("users", "counted_ms", "meetings"),
        expires=True,
    ),
    _kind("recording bytes", "appliance:recording_bytes", "hash"),
    _kind("param rules", "appliance:param_rules:(.+)", "hash"),
    _kind("hooks", "appliance:hooks", "hash"),
    _kind("hook ids", "appliance:hook_ids", "string"),
    _kind("hooks of meeting", "appliance:hooks_of:(.+)", "set"),
    _kind("hooks of server", "appliance:hooks_on:(.+)", "hash", of="server"),
    _kind("ended", "appliance:ended", "hash"),
    _kind("ended due", "appliance:ended_due", "zset"),
    _kind("events", "appliance:events", "stream"),
    _kind("setting calls", "appliance:setting_calls", "hash"),
    _kind("detached", "appliance:detached:(.+)", "hash", expires=True),
    _kind(
        "claim", "appliance:detached_meeting:(.+)", "hash", *_MEETING, "logout_url", expires=True
    ),
    _kind("size", "appliance:size:(.+)", "hash", "run", "peak", "videos", "voice", expires=True),
    _kind("doubles", "appliance:doubles:(.+)", "hash", expires=True),
    _kind("same server", "appliance:same_server:(.+)", "string", expires=True),
    _kind("breakout", "appliance:breakout:(.+)", "hash", "server_id", "tenant_id", expires=True),
    _kind("ending", "appliance:ending:(.+)", "zset", expires=True),
    _kind("avoid", "appliance:avoid:(.+)", "string", expires=True),
    _kind("suspect", "appliance:suspect:(.+)", "string", expires=True),
    _kind("wrong pins", "appliance:wrong_pins:(.+)", "string", expires=True),
    _kind("callback", "appliance:callback:(.+)", "hash", *_CALLBACK, expires=True),
    _kind("callback urls", "appliance:callback_urls", "list"),
    _kind("callback urls of", "appliance:callback_urls_of:(.+)", "string", expires=True),
    _kind("callbacks", "appliance:callbacks", "zset"),
    _kind("callbacks due", "appliance:callbacks_due", "zset"),
    _kind("usage", "appliance:usage_of:(.+)", "hash", "version", "state"),
    _kind("usage of servers", "appliance:usage_servers", "set"),
    _kind("usage runs", "appliance:usage_(?:runs|minutes)", "list"),
    _kind("usage ends", "appliance:usage_ended", "list", expires=True),
    _kind("usage settled", "appliance:usage_settled", "set"),
    _kind("removed tenants", "appliance:usage_removed_tenants", "hash", expires=True),
    _kind("owed", "appliance:owed:(.+)", "zset"),
    _kind("dismissed", "appliance:dismissed", "zset", expires=True),
    _kind("retired", "appliance:retired", "hash"),
    _kind("registering", "appliance:registering", "hash"),
    _kind("refused uploads", "appliance:refused_uploads", "hash", expires=True),
    _kind("owing servers", "appliance:owed", "set"),
    _kind("usage dropped", "appliance:usage_dropped", "hash"),
    _kind("usage lease", "appliance:lease-usage", "string", expires=True),
    _kind("leases", "appliance:leases", "hash", expires=True),
    _kind("sweep", "appliance:lease-sweep", "string", expires=True),
    _kind("pollers", "appliance:pollers", "set", expires=True),
    _kind("poller", "appliance:poller:(.+)", "string", expires=True),
    _kind("changes", "appliance:changes", "hash", "servers", "leases", "tenants"),
    _kind("placements", "appliance:placements", "string"),
    _kind("stale", "appliance:stale_(?:meetings|voice_bridges)", "zset", expires=True),
    _kind("health", "(.+)", "hash", "healthy_counter", "unhealthy_counter", of="server"),
)

_NUMBER = re.compile(r"-?\d+(\.\d+)?").fullmatch
_NUMBERS = {
    *(*_OWN, *_SEATS, *_SEEN, *_COUNTS),
    *("max_meetings", "max_users", "pending_meetings", "peak", "voice", "dial_in_port"),
}


@dataclass(slots=True)
class Snapshot:
    """All keys of a namespace: (kind, the pattern's group, value, seconds to live or -1)."""

    found: dict[str, tuple[Kind, str, Any, int]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def value(self, key: str) -> Any:
        """Return the value of a key, an empty dict if there is none."""
        return self.found[key][2] if key in self.found else {}

    def of_kind(self, name: str) -> dict[str, Any]:
        """Return the values of one kind by the text of the pattern's group."""
        return {part: value for kind, part, value, _ in self.found.values() if kind.name == name}


GONE = -2
"""The answer of TTL for a key that does not exist, here since it has just expired."""


async def take_snapshot(client: RedisClient, namespace: str) -> Snapshot:
    """Read all keys of the namespace."""
    snapshot = Snapshot()
    for key in sorted(await _keys(client, f"{namespace}:*")):
        name = key.removeprefix(f"{namespace}:")
        matches = ((kind, re.fullmatch(kind.pattern, name, re.DOTALL)) for kind in KINDS)
        kind, match = next(found for found in matches if found[1])
        assert match is not None
        type_ = await client.command("TYPE", key)
        if type_ == "none":
            continue  # it has expired since it was listed
        if type_ != kind.type:
            snapshot.unknown.append(f"{name} is a {type_}")
            continue
        part = match[1] if match.re.groups else ""
        value = await _read(client, type_, key)
        ttl_s = await client.command("TTL", key)
        if ttl_s != GONE:
            snapshot.found[name] = kind, part, value, ttl_s
    return snapshot


async def _keys(client: RedisClient, pattern: str) -> set[str]:
    keys: set[str] = set()
    cursor = "0"
    while True:
        cursor, chunk = await client.command("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        keys.update(chunk)
        if cursor == "0":
            return keys


async def _read(client: RedisClient, type_: str, key: str) -> Any:
    if type_ == "set":
        return set(await client.command("SMEMBERS", key))
    if type_ == "list":
        return await client.command("LRANGE", key, 0, -1)
    if type_ == "stream":
        return await client.command("XRANGE", key, "-", "+")
    if type_ == "string":
        return await client.command("GET", key)
    scores = ("ZRANGE", key, 0, -1, "WITHSCORES")
    flat = await client.command(*(scores if type_ == "zset" else ("HGETALL", key)))
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def layout_faults(
    client: RedisClient, namespace: str, *, loose_ends: bool = False
) -> list[str]:
    """Return the deviations; `loose_ends`: members without their hash are allowed."""
    snapshot = await take_snapshot(client, namespace)
    checks: list[Callable[[Snapshot], Iterator[str]]] = [
        _keys_as_known,
        _values_well_formed,
        _records_well_formed,
    ]
    if not loose_ends:
        checks += [_members_have_hashes, _bridges_consistent]
        checks += [_servers_well_formed, _load_sets_consistent, _tenants_consistent]
    return [*snapshot.unknown, *(fault for check in checks for fault in check(snapshot))]


def _keys_as_known(snapshot: Snapshot) -> Iterator[str]:
    servers = snapshot.value("servers") or set()
    for key, (kind, part, value, ttl_s) in snapshot.found.items():
        if kind.of == "server" and part not in servers:
            yield f"{key}: no such server"
        if kind.expires != (ttl_s >= 0):
            yield f"{key}: time to live is {ttl_s}"
        if kind.type == "hash" and kind.fields is not None and not set(value) <= kind.fields:
            yield f"{key}: unknown fields {set(value) - kind.fields}"


def _values_well_formed(snapshot: Snapshot) -> Iterator[str]:
    for key, (kind, _, value, _) in snapshot.found.items():
        if kind.type == "hash" and kind.name != "bridges":
            for name in _NUMBERS.intersection(value):
                if not _NUMBER(value[name]):
                    yield f"{key}: {name} is {value[name]!r}"
        if kind.type == "zset":
            for member, score in value.items():
                if not _NUMBER(score) or float(score) < 0:
                    yield f"{key}: {member} has score {score}"
        if kind.name in ("detached", "ended", "hooks", "hooks of server"):
            for text in value.values():
                json.loads(text)


def _records_well_formed(snapshot: Snapshot) -> Iterator[str]:
    for kind in ("meeting", "claim"):
        for part, value in snapshot.of_kind(kind).items():
            if not {"server_id", "moderator_pw", "voice_bridge"} <= set(value):
                yield f"{kind} {part}: incomplete"
    for part, value in snapshot.of_kind("meeting").items():
        if value.get("tenant_id") == "":
            yield f"meeting:{part}: an empty tenant_id is no tenant to Scalelite"


def _members_have_hashes(snapshot: Snapshot) -> Iterator[str]:
    for holder, kind in (
        *(("servers", "server"), ("server_enabled", "server"), ("server_load", "server")),
        *(("cordoned_server_load", "server"), ("meetings", "meeting"), ("tenants", "tenant")),
        ("appliance:servers", "server"),
    ):
        for member in set(snapshot.value(holder)) - set(snapshot.of_kind(kind)):
            yield f"{holder}: {member} has no hash"
    for member in set(snapshot.of_kind("server")) - set(snapshot.value("servers")):
        yield f"server:{member} is not in servers"
    for member in set(snapshot.of_kind("meeting")) ^ set(snapshot.value("meetings")):
        yield f"meeting:{member} is not in meetings, or the other way round"
    for member in set(snapshot.of_kind("our meeting")) - set(snapshot.of_kind("meeting")):
        yield f"appliance:meeting:{member} belongs to no record"


def _bridges_consistent(snapshot: Snapshot) -> Iterator[str]:
    bridges = snapshot.value("voice_bridges")
    meetings, claims = snapshot.of_kind("meeting"), snapshot.of_kind("claim")
    for number, owner in bridges.items():
        holders = [kept.get(owner, {}).get("voice_bridge") for kept in (meetings, claims)]
        if number not in holders:
            yield f"voice_bridges: {number} of {owner} belongs to no meeting"
    for meeting_id, record in meetings.items():
        if bridges.get(record["voice_bridge"]) != meeting_id:
            yield f"meeting:{meeting_id}: number {record['voice_bridge']} is not reserved"


def _servers_well_formed(snapshot: Snapshot) -> Iterator[str]:
    for part, value in snapshot.of_kind("server").items():
        if value.get("online") not in ("true", "false") or value.get("state") not in (
            *_STATES,
            None,
        ):
            yield f"server:{part}: {value.get('online')}, {value.get('state')}"


def _load_sets_consistent(snapshot: Snapshot) -> Iterator[str]:
    servers, enabled = snapshot.of_kind("server"), snapshot.value("server_enabled")
    for name, state in (("server_load", "enabled"), ("cordoned_server_load", "cordoned")):
        for member in set(snapshot.value(name)) & set(servers):
            stored = servers[member].get("state", "enabled" if member in enabled else "disabled")
            if (stored, servers[member].get("online")) != (state, "true"):
                yield f"{name}: {member} is {stored}, online {servers[member].get('online')}"
    for member, record in servers.items():
        if record.get("state") not in (None, "enabled") and member in enabled:
            yield f"server_enabled: {member} is {record['state']}"


def _tenants_consistent(snapshot: Snapshot) -> Iterator[str]:
    tenants, settings = snapshot.of_kind("tenant"), snapshot.of_kind("tenant setting")
    for name, index in snapshot.of_kind("tenant name").items():
        if tenants.get(index["id"], {}).get("name") != name:
            yield f"tenant_name:{name}: refers to {index['id']}, which has another name"
    for part, record in settings.items():
        if record["tenant_id"] not in tenants or record["override"] not in ("true", "false"):
            yield f"tenant_setting:{part}: of {record['tenant_id']}, override {record['override']}"
    for calls in snapshot.of_kind("setting calls").values():
        for part in set(calls) - set(settings):
            yield f"appliance:setting_calls: {part} is no setting"
