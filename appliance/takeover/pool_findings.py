"""Judge the keys of a Scalelite in Redis. Pure.

Source: docs/stores.md (the layout); the Lua scripts, for what the running appliance corrects.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from appliance.bbb.endpoint import UnacceptableValue, check_url
from appliance.takeover.findings import TakeoverFinding, Verdict, found
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
"""Type of each key with a fixed name."""
RECORD_KEYS = {
    "server:": "hash",
    "meeting:": "hash",
    "tenant:": "hash",
    "tenant_name:": "hash",
    "tenant_setting:": "hash",
    "tenant_settings:": "set",
    "protector_token_": "string",
}
"""Type of the keys of records, by prefix."""
APPLIANCE_PREFIX = "appliance:"
CLAIM_PREFIX = "appliance:detached_meeting:"
STATES = frozenset({"enabled", "cordoned", "disabled"})
_OVERRIDES = ("true", "false")

Record = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PoolState:
    """Everything in the namespace, as it was read. A record that is None has no hash."""

    servers: Mapping[str, Record | None] = field(default_factory=dict, repr=False)
    enabled: frozenset[str] = frozenset()
    loads: frozenset[str] = frozenset()
    cordoned_loads: frozenset[str] = frozenset()
    meetings: Mapping[str, Record | None] = field(default_factory=dict, repr=False)
    voice_bridges: Mapping[str, str] = field(default_factory=dict)
    claimed: frozenset[str] = frozenset()
    """Detached meetings, which keep their numbers because their server may come back."""
    tenants: Mapping[str, Record | None] = field(default_factory=dict, repr=False)
    tenant_names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Record | None] = field(default_factory=dict, repr=False)
    stray_servers: frozenset[str] = frozenset()
    """Those with a hash that their set does not contain."""
    stray_settings: frozenset[str] = frozenset()
    """Those with a hash that the set of no tenant contains."""
    wrong_types: tuple[str, ...] = ()
    """Known keys of a wrong type."""
    others: int = 0
    """Number of unknown keys."""


def expected_type(key: str) -> str | None:
    """Return the Redis type of a key by its name without the namespace; None: unknown, or any."""
    if key in SINGLE_KEYS:
        return SINGLE_KEYS[key]
    for beginning, kind in RECORD_KEYS.items():
        if key.startswith(beginning):
            return kind
    return None


def judge_pool(state: PoolState, *, multitenancy: bool) -> list[TakeoverFinding]:
    """Judge everything that was read."""
    return [
        *_judge_servers(state),
        *_judge_loads(state),
        *_judge_meetings(state),
        *_judge_voice_bridges(state),
        *_judge_tenants(state, multitenancy=multitenancy),
        *_judge_settings(state),
        *_judge_rest(state),
    ]


def state_of(state: PoolState, server_id: str) -> str:
    """Return the state of a server; for records of an old Scalelite the set of enabled ones."""
    record = state.servers.get(server_id) or {}
    stored = record.get("state")
    if stored is None:
        return "enabled" if server_id in state.enabled else "disabled"
    return stored if stored in STATES else "disabled"


def _judge_servers(state: PoolState) -> Iterator[TakeoverFinding]:
    known = {name: record for name, record in state.servers.items() if record is not None}
    if not known:
        yield TakeoverFinding(
            Verdict.PERSON,
            "servers",
            advice="there are none: is this the Redis, and the REDIS_NAMESPACE, of the Scalelite?",
        )
    for word, count in sorted(Counter(state_of(state, name) for name in known).items()):
        yield TakeoverFinding(Verdict.FINE, f"{word} servers", count=count)
    yield from found(
        Verdict.SELF,
        "servers whose removal was not completed",
        state.servers.keys() - known.keys(),
    )
    yield from found(
        Verdict.PERSON,
        "records of servers that are not in the list of servers",
        state.stray_servers,
        "Scalelite and the appliance ignore them: add them again, or delete their keys server:ID",
    )
    yield from found(
        Verdict.PERSON,
        "servers without a usable url or secret",
        (name for name, record in known.items() if not is_callable(record)),
        "remove them and add them again (`ctl servers remove`, `ctl servers add`)",
    )
    yield from found(
        Verdict.PERSON,
        "servers with an unknown state, which counts as disabled",
        (name for name, record in known.items() if record.get("state", "enabled") not in STATES),
        "`ctl servers enable ID` or `disable ID`",
    )
    yield from found(
        Verdict.PERSON,
        "servers whose load multiplier is not a number above 0, which counts as 1",
        (name for name, record in known.items() if not _is_multiplier(record)),
        "`ctl servers load-multiplier ID N`",
    )


def is_callable(record: Record) -> bool:
    """Return whether the record of a server has a URL and a secret for calls."""
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


def _judge_loads(state: PoolState) -> Iterator[TakeoverFinding]:
    misplaced = set()
    for members, wanted in ((state.loads, "enabled"), (state.cordoned_loads, "cordoned")):
        for name in members:
            record = state.servers.get(name) or {}
            if state_of(state, name) != wanted or record.get("online") != "true":
                misplaced.add(name)
    misplaced |= state.enabled - state.servers.keys()
    yield from found(Verdict.SELF, "servers in the wrong list of loads", misplaced)


def _judge_meetings(state: PoolState) -> Iterator[TakeoverFinding]:
    known = {name: record for name, record in state.meetings.items() if record is not None}
    lost = {name for name, record in known.items() if not _has_server(state, record)}
    yield TakeoverFinding(Verdict.FINE, "meetings", count=len(known) - len(lost))
    yield from found(
        Verdict.SELF,
        "meetings that have ended, but are still listed",
        state.meetings.keys() - known,
    )
    yield from found(Verdict.SELF, "meetings whose server was removed", lost)
    yield from found(
        Verdict.PERSON,
        "meetings of tenants that were removed",
        (name for name in known if known[name].get("tenant_id", "") not in {"", *state.tenants}),
        "they can no longer be joined: `ctl meetings end ID`, or wait until they end",
    )


def _has_server(state: PoolState, record: Record) -> bool:
    return state.servers.get(record.get("server_id", "")) is not None


def _judge_voice_bridges(state: PoolState) -> Iterator[TakeoverFinding]:
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
    yield TakeoverFinding(
        Verdict.FINE, "voice bridge numbers in use", count=len(state.voice_bridges) - len(stuck)
    )
    yield from found(Verdict.SELF, "voice bridge numbers of meetings that have ended", stuck)
    yield from found(
        Verdict.PERSON,
        "voice bridge numbers that several meetings use",
        taken,
        "callers reach only one of these meetings, until the others have ended",
    )


def _judge_tenants(state: PoolState, *, multitenancy: bool) -> Iterator[TakeoverFinding]:
    known = {name: record for name, record in state.tenants.items() if record is not None}
    yield TakeoverFinding(Verdict.FINE, "tenants", count=len(known))
    if known and not multitenancy:
        yield TakeoverFinding(
            Verdict.PERSON,
            "tenants that are ignored, because MULTITENANCY_ENABLED is not true",
            tuple(sorted(known)),
            advice="set it, or make sure that these tenants are no longer used",
        )
    if multitenancy and not known:
        yield TakeoverFinding(
            Verdict.PERSON, "tenants", advice="MULTITENANCY_ENABLED is true and there are none"
        )
    yield from found(
        Verdict.PERSON,
        "tenants whose removal was not completed",
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
    yield from _judge_tenant_names(state, known)


def _judge_tenant_names(state: PoolState, known: Mapping[str, Record]) -> Iterator[TakeoverFinding]:
    lost = [
        name
        for name, tenant_id in state.tenant_names.items()
        if known.get(tenant_id, {}).get("name") != name
    ]
    yield from found(
        Verdict.PERSON,
        "tenant names that lead to no tenant of that name",
        lost,
        "`ctl tenants update ID --name NAME` writes a name again; otherwise delete the key "
        "tenant_name:NAME",
    )
    unnamed = [
        tenant_id
        for tenant_id, record in known.items()
        if record.get("name") and record["name"] not in state.tenant_names
    ]
    yield from found(
        Verdict.PERSON,
        "tenants that cannot be found by their name",
        unnamed,
        "`ctl tenants update ID --name NAME` writes the name again",
    )


def _judge_settings(state: PoolState) -> Iterator[TakeoverFinding]:
    known = {name: record for name, record in state.settings.items() if record is not None}
    yield TakeoverFinding(Verdict.FINE, "tenant settings", count=len(known))
    yield from found(
        Verdict.FINE,
        "tenant settings whose removal was not completed, which have no effect",
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
        "tenant settings of tenants that were removed, which have no effect",
        state.stray_settings,
    )


def _judge_rest(state: PoolState) -> Iterator[TakeoverFinding]:
    yield from found(
        Verdict.PERSON,
        "keys of the wrong type",
        state.wrong_types,
        "does another program use this namespace? docs/stores.md has the types",
    )
    if state.others:
        yield TakeoverFinding(Verdict.FINE, "other keys, which are not changed", count=state.others)
