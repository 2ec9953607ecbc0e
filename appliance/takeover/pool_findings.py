"""What the keys of a Scalelite in Redis hold, judged: what is fine, what heals, what does not.

Pure. Truth: docs/stores.md (the layout), and the Lua scripts for what the appliance does about it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from appliance.bbb.endpoint import UnacceptableValue, check_url
from appliance.takeover.findings import Finding, Verdict, found
from appliance.tenants.values import unreachable_tenants

SINGLE_KEYS = {
    "servers": "set",
    "server_enabled": "set",
    "server_load": "zset",
    "cordoned_server_load": "zset",
    "meetings": "set",
    "voice_bridges": "hash",
    "tenants": "set",
}
"""The keys that there is one of, with their types."""
RECORD_KEYS = {
    "server:": "hash",
    "meeting:": "hash",
    "tenant:": "hash",
    "tenant_name:": "hash",
    "tenant_setting:": "hash",
    "tenant_settings:": "set",
    "protector_token_": "string",
}
"""The beginnings of the keys that there are many of."""
OUR_PREFIX = "appliance:"
CLAIM_PREFIX = "appliance:detached_meeting:"
STATES = frozenset({"enabled", "cordoned", "disabled"})
_OVERRIDES = ("true", "false")

Record = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PoolState:
    """Everything below the namespace, as it was read. A record of None has no hash."""

    servers: Mapping[str, Record | None] = field(default_factory=dict, repr=False)
    enabled: frozenset[str] = frozenset()
    loads: frozenset[str] = frozenset()
    cordoned_loads: frozenset[str] = frozenset()
    meetings: Mapping[str, Record | None] = field(default_factory=dict, repr=False)
    voice_bridges: Mapping[str, str] = field(default_factory=dict)
    claimed: frozenset[str] = frozenset()
    """Meetings that may come back with their server, and so keep their numbers."""
    tenants: Mapping[str, Record | None] = field(default_factory=dict, repr=False)
    tenant_names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Record | None] = field(default_factory=dict, repr=False)
    stray_servers: frozenset[str] = frozenset()
    """Have a hash and are no members of their set, as the next ones."""
    stray_settings: frozenset[str] = frozenset()
    wrong_types: tuple[str, ...] = ()
    """Keys of our names that hold something else."""
    others: int = 0
    """Keys that nobody knows."""


def expected_type(key: str) -> str | None:
    """Return the Redis type of a key by its name without the prefix; None: any, or not known."""
    if key in SINGLE_KEYS:
        return SINGLE_KEYS[key]
    for beginning, kind in RECORD_KEYS.items():
        if key.startswith(beginning):
            return kind
    return None


def check_pool(state: PoolState, *, multitenancy: bool) -> list[Finding]:
    """Judge everything that was read."""
    return [
        *_check_servers(state),
        *_check_loads(state),
        *_check_meetings(state),
        *_check_voice_bridges(state),
        *_check_tenants(state, multitenancy=multitenancy),
        *_check_settings(state),
        *_check_rest(state),
    ]


def state_of(state: PoolState, server_id: str) -> str:
    """Return the state of a server; old records have none and are enabled if a set has them."""
    record = state.servers.get(server_id) or {}
    stored = record.get("state")
    if stored is None:
        return "enabled" if server_id in state.enabled else "disabled"
    return stored if stored in STATES else "disabled"


def _check_servers(state: PoolState) -> Iterator[Finding]:
    known = {name: record for name, record in state.servers.items() if record is not None}
    if not known:
        yield Finding(
            Verdict.PERSON,
            "servers",
            advice="there are none: is this the Redis, and the REDIS_NAMESPACE, of the Scalelite?",
        )
    for word, count in sorted(Counter(state_of(state, name) for name in known).items()):
        yield Finding(Verdict.FINE, f"{word} servers", count=count)
    yield from found(
        Verdict.SELF, "servers that were removed half-way", state.servers.keys() - known.keys()
    )
    yield from found(
        Verdict.PERSON,
        "records of servers that are in no list",
        state.stray_servers,
        "neither Scalelite nor we see them: add them again, or delete their keys server:ID",
    )
    yield from found(
        Verdict.PERSON,
        "servers without a usable url or secret",
        (name for name, record in known.items() if not is_callable(record)),
        "remove them and add them again (`ctl servers remove`, `ctl servers add`)",
    )
    yield from found(
        Verdict.PERSON,
        "servers whose state is an unknown word, which counts as disabled",
        (name for name, record in known.items() if record.get("state", "enabled") not in STATES),
        "`ctl servers enable ID` or `disable ID`",
    )
    yield from found(
        Verdict.PERSON,
        "servers whose load multiplier is no number above 0, which counts as 1",
        (name for name, record in known.items() if not _is_multiplier(record)),
        "`ctl servers load-multiplier ID N`",
    )


def is_callable(record: Record) -> bool:
    """Whether a server's record has what a call needs."""
    try:
        check_url(record.get("url", ""))
    except UnacceptableValue:
        return False
    return bool(record.get("secret"))


def _is_multiplier(record: Record) -> bool:
    text = record.get("load_multiplier")
    if not text:
        return True
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and value > 0


def _check_loads(state: PoolState) -> Iterator[Finding]:
    misplaced = set()
    for members, wanted in ((state.loads, "enabled"), (state.cordoned_loads, "cordoned")):
        for name in members:
            record = state.servers.get(name) or {}
            if state_of(state, name) != wanted or record.get("online") != "true":
                misplaced.add(name)
    misplaced |= state.enabled - state.servers.keys()
    yield from found(Verdict.SELF, "servers in a list of loads that is not theirs", misplaced)


def _check_meetings(state: PoolState) -> Iterator[Finding]:
    known = {name: record for name, record in state.meetings.items() if record is not None}
    lost = {name for name, record in known.items() if not _has_server(state, record)}
    yield Finding(Verdict.FINE, "meetings", count=len(known) - len(lost))
    yield from found(
        Verdict.SELF, "meetings that are over, still in the list", state.meetings.keys() - known
    )
    yield from found(Verdict.SELF, "meetings whose server was removed", lost)
    yield from found(
        Verdict.PERSON,
        "meetings of tenants that were removed",
        (name for name in known if known[name].get("tenant_id", "") not in {"", *state.tenants}),
        "nobody can join them any more: `ctl meetings end ID`, or wait for their end",
    )


def _has_server(state: PoolState, record: Record) -> bool:
    return state.servers.get(record.get("server_id", "")) is not None


def _check_voice_bridges(state: PoolState) -> Iterator[Finding]:
    stuck, taken = [], []
    held = Counter(
        record["voice_bridge"]
        for record in state.meetings.values()
        if record and record.get("voice_bridge")
    )
    for number, owner in state.voice_bridges.items():
        if state.meetings.get(owner) is None and owner not in state.claimed:
            stuck.append(number)
    for number, count in held.items():
        if count > 1:
            taken.append(number)
    yield Finding(
        Verdict.FINE, "voice bridge numbers in use", count=len(state.voice_bridges) - len(stuck)
    )
    yield from found(Verdict.SELF, "voice bridge numbers of meetings that are over", stuck)
    yield from found(
        Verdict.PERSON,
        "voice bridge numbers that two meetings have",
        taken,
        "callers reach one of them only; it is over when these meetings are",
    )


def _check_tenants(state: PoolState, *, multitenancy: bool) -> Iterator[Finding]:
    known = {name: record for name, record in state.tenants.items() if record is not None}
    yield Finding(Verdict.FINE, "tenants", count=len(known))
    if known and not multitenancy:
        yield Finding(
            Verdict.PERSON,
            "tenants that no request is asked for, since MULTITENANCY_ENABLED is not true",
            tuple(sorted(known)),
            advice="set it, or be sure that they are leftovers",
        )
    if multitenancy and not known:
        yield Finding(
            Verdict.PERSON, "tenants", advice="MULTITENANCY_ENABLED is true and there are none"
        )
    yield from found(
        Verdict.PERSON,
        "tenants that were removed half-way",
        state.tenants.keys() - known.keys(),
        "`ctl tenants remove ID`",
    )
    doubts = unreachable_tenants(
        (name, record.get("name", ""), record.get("secrets", "")) for name, record in known.items()
    )
    yield from found(
        Verdict.PERSON,
        "tenants that no request can reach",
        (f"{tenant_id} ({doubt})" for tenant_id, doubt in doubts),
        "`ctl tenants update ID --name NAME --secrets SECRETS`",
    )
    yield from _check_tenant_names(state, known)


def _check_tenant_names(state: PoolState, known: Mapping[str, Record]) -> Iterator[Finding]:
    lost = [
        name
        for name, tenant_id in state.tenant_names.items()
        if known.get(tenant_id, {}).get("name") != name
    ]
    yield from found(
        Verdict.PERSON,
        "names that lead to no tenant of that name",
        lost,
        "`ctl tenants update ID --name NAME` writes a name anew; else delete the key "
        "tenant_name:NAME",
    )
    unnamed = [
        tenant_id
        for tenant_id, record in known.items()
        if record.get("name") and record["name"] not in state.tenant_names
    ]
    yield from found(
        Verdict.PERSON,
        "tenants that are not found by their name",
        unnamed,
        "`ctl tenants update ID --name NAME` writes it anew",
    )


def _check_settings(state: PoolState) -> Iterator[Finding]:
    known = {name: record for name, record in state.settings.items() if record is not None}
    yield Finding(Verdict.FINE, "tenant settings", count=len(known))
    yield from found(
        Verdict.FINE,
        "tenant settings that were removed half-way, which count for nothing",
        state.settings.keys() - known.keys(),
    )
    yield from found(
        Verdict.PERSON,
        "tenant settings whose override is neither true nor false, which counts as false",
        (name for name, record in known.items() if record.get("override") not in _OVERRIDES),
        "`ctl tenant-settings remove ID` and add it again",
    )
    yield from found(
        Verdict.FINE,
        "tenant settings of tenants that were removed, which count for nothing",
        state.stray_settings,
    )


def _check_rest(state: PoolState) -> Iterator[Finding]:
    yield from found(
        Verdict.PERSON,
        "keys that hold something else than they must",
        state.wrong_types,
        "another program uses this namespace? see docs/stores.md for what must be in them",
    )
    if state.others:
        yield Finding(Verdict.FINE, "other keys, which are left alone", count=state.others)
