"""The values of tenants and their settings that the audit trail shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from appliance.admin_calls.call import Audited, Call, Snapshot
from appliance.model import TenantId
from appliance.redaction import MASK, is_secret_name
from appliance.tenants.deps import TenantDeps


def _id_of(call: Call[Any], answer: Any) -> str:
    """Return the id of the object that a call adds or names; empty: neither."""
    found = getattr(answer, "id", None) or call.fields.get("id")
    return found if isinstance(found, str) else ""


async def _read_tenant(deps: TenantDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    tenant_id = _id_of(call, answer)
    tenant = await deps.store.find_tenant(TenantId(tenant_id)) if tenant_id else None
    if tenant is None:
        return {}
    values = {name: value for name, value in asdict(tenant).items() if name != "id" and value}
    return {tenant_id: Snapshot(f"tenant {tenant_id} ({tenant.name})", values)}


async def _read_setting(deps: TenantDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    setting_id = _id_of(call, answer)
    if not setting_id:
        return {}
    for setting in await deps.store.list_settings(None) or ():
        if setting.id == setting_id:
            name = f"tenant-setting {setting_id} ({setting.param} of tenant {setting.tenant_id})"
            kind: dict[str, object] = {"override": setting.override}
            if setting.mode:
                kind = {"mode": setting.mode, "version": setting.version}
            value = MASK if is_secret_name(setting.param) else setting.value
            return {setting_id: Snapshot(name, {"value": value, **kind, "call": setting.call})}
    return {}


ONE_TENANT: Audited[TenantDeps] = Audited(_read_tenant)
ONE_SETTING: Audited[TenantDeps] = Audited(_read_setting)
