"""The administration of tenants and their settings in Redis, one Lua script a method.

Keys and forms are Scalelite's, but for `appliance:setting_calls` (docs/stores.md). Every
method raises StoreDown when Redis cannot be used. What requests ask is in store.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.model import TenantId
from appliance.redis.store import RedisStore
from appliance.tenants.values import (
    TENANT_FIELDS,
    Saved,
    SaveOutcome,
    TenantChange,
    TenantRecord,
    TenantSetting,
)

_OUTCOMES = {1: SaveOutcome.SAVED, 0: SaveOutcome.UNKNOWN, -1: SaveOutcome.TAKEN}


@dataclass(frozen=True, slots=True)
class TenantStore:
    """Reads and changes tenants."""

    redis: RedisStore

    async def list_tenants(self) -> list[TenantRecord]:
        """Return all tenants, by id."""
        found = await self.redis.run("list_tenants", "", 0)
        return [_parse_tenant(tenant_id, flat) for tenant_id, flat, _ in found]

    async def read_names(self) -> dict[str, str]:
        """Return the names of all tenants by id."""
        return {str(one.id): one.name for one in await self.list_tenants()}

    async def find_tenant(self, tenant_id: TenantId) -> TenantRecord | None:
        """Return one tenant, None if there is no such."""
        if not tenant_id:
            return None
        found = await self.redis.run("list_tenants", tenant_id, 0)
        return _parse_tenant(found[0][0], found[0][1]) if found else None

    async def add_tenant(self, tenant_id: TenantId, change: TenantChange) -> Saved:
        """Add a tenant; TAKEN: another one has its name, in any case, or it has the id."""
        return await self._save(tenant_id, change, new=True)

    async def update_tenant(self, tenant_id: TenantId, change: TenantChange) -> Saved:
        """Change what `change` names."""
        return await self._save(tenant_id, change, new=False)

    async def _save(self, tenant_id: TenantId, change: TenantChange, *, new: bool) -> Saved:
        request = {
            "id": tenant_id,
            "new": new,
            "fields": {name: value for name, value in change.given.items() if value},
            "removed": [name for name, value in change.given.items() if not value],
        }
        document = json.dumps(request, ensure_ascii=False)
        saved = _parse_saved(await self.redis.run("save_tenant", document))
        if new and saved.outcome is SaveOutcome.UNKNOWN:
            return Saved(SaveOutcome.TAKEN, tenant_id)
        return saved

    async def remove_tenant(self, tenant_id: TenantId, *, force: bool) -> int | None:
        """Remove a tenant with its settings.

        Return None if done, the number of its meetings if refused, -1 if there is no such.
        """
        reply = int(await self.redis.run("remove_tenant", tenant_id, int(force)))
        return reply or None

    async def list_settings(self, tenant_id: TenantId | None = None) -> list[TenantSetting] | None:
        """Return the settings of all tenants or of one; None: there is no such tenant."""
        if tenant_id == "":
            return None
        found = await self.redis.run("list_tenants", tenant_id or "", 1)
        if tenant_id is not None and not found:
            return None
        return [_parse_setting(item, owner) for owner, _, items in found for item in items]

    async def add_setting(self, setting: TenantSetting) -> Saved:
        """Add a setting; TAKEN: the tenant has one of this param, call and kind already."""
        if setting.mode:
            rule = {
                **{"param": setting.param, "mode": setting.mode, "value": setting.value},
                **{"version": setting.version, "call": setting.call},
            }
            document = json.dumps(rule, ensure_ascii=False)
            return _parse_saved(
                await self.redis.run("save_param_rule", setting.id, setting.tenant_id, document)
            )
        reply = await self.redis.run(
            "save_tenant_setting",
            *(setting.id, setting.tenant_id, setting.param, setting.value),
            *("true" if setting.override else "false", setting.call),
        )
        return _parse_saved(reply)

    async def remove_setting(self, setting_id: str) -> TenantSetting | None:
        """Remove a setting and return it, None if there is no such."""
        reply = await self.redis.run("remove_tenant_setting", setting_id)
        return None if reply is None else _parse_setting(reply[:-1], reply[-1])


def _parse_tenant(tenant_id: str, flat: Sequence[str]) -> TenantRecord:
    stored = dict(zip(flat[::2], flat[1::2], strict=True))
    known = {name: stored[name] for name in TENANT_FIELDS if name in stored}
    return TenantRecord(TenantId(tenant_id), **known)


def _parse_setting(item: Sequence[str], tenant_id: str) -> TenantSetting:
    setting_id, param, value, override, call, mode, version = item
    owner = TenantId(tenant_id)
    return TenantSetting(setting_id, owner, param, value, override == "true", call, mode, version)


def _parse_saved(reply: Sequence[Any]) -> Saved:
    return Saved(_OUTCOMES[reply[0]], reply[1] if len(reply) > 1 else "")
