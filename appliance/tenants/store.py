"""Finds the tenant of a request in Redis. The store for administration is admin_store.py."""

from __future__ import annotations

import json
from dataclasses import dataclass

from appliance.model import ParamRule, Tenant, TenantId
from appliance.redis.store import RedisStore
from appliance.settings.param_rules import plain_name
from appliance.tenants.lrs_rules import lrs_of
from appliance.tenants.params import CREATE, JOIN, calls_of_setting


@dataclass(frozen=True, slots=True)
class TenantLookup:
    """Finds tenants. Raises StoreDown."""

    redis: RedisStore

    async def find_tenant(self, label: str) -> Tenant | None:
        """Return the tenant of a host label (any case), with its settings."""
        return parse_tenant(await self.redis.run("find_tenant", label.lower()))


def parse_tenant(reply: str | None) -> Tenant | None:
    """Parse the JSON of find_tenant.lua."""
    if reply is None:
        return None
    found = json.loads(reply)
    merged: dict[tuple[str, bool], list[tuple[str, str]]] = {}
    for param, value, override, call in list(found["settings"]):
        for kind in calls_of_setting(param, call):
            merged.setdefault((kind, override), []).append((plain_name(param), value))
    rules: dict[str, list[ParamRule]] = {}
    for one in sorted(map(json.loads, found["rules"]), key=lambda one: int(one["order"])):
        for kind in calls_of_setting(one["param"], one["call"]):
            rules.setdefault(kind, []).append(
                ParamRule(plain_name(one["param"]), one["mode"], one["value"], one["version"])
            )
    secrets = tuple(secret for secret in found["secrets"].split(":") if secret)
    return Tenant(
        id=TenantId(found["id"]),
        name=found["name"],
        secrets=secrets,
        default_create=tuple(merged.get(("create", False), ())),
        override_create=tuple(merged.get(("create", True), ())),
        default_join=tuple(merged.get(("join", False), ())),
        override_join=tuple(merged.get(("join", True), ())),
        lrs=lrs_of(dict(found["lrs"])),
        create_rules=tuple(rules.get(CREATE, ())),
        join_rules=tuple(rules.get(JOIN, ())),
    )
