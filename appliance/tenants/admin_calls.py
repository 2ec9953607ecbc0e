"""The admin calls about tenants and their settings.

Knows no rule and no store. Names, fields and status codes are those of Scalelite's tenants
controller; where its documentation (docs/api-README.md) and its code differ, an answer holds both.
The calls about settings are ours, named in the same manner.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from appliance.admin_calls import forms as form
from appliance.admin_calls.call import ID_MISSING, AdminCall, Answer, Call
from appliance.admin_calls.forms import BadRequest, Json
from appliance.admin_calls.refusal import Refused, no_tenant, no_tenant_setting
from appliance.model import TenantId
from appliance.tenants import admin_schema as about
from appliance.tenants import administration as tenant_admin
from appliance.tenants.deps import TenantDeps
from appliance.tenants.values import TENANT_FIELDS, TenantChange, TenantRecord, TenantSetting

DISABLED = "Multitenancy is disabled"
NAME_AND_SECRETS = "Error: both name and secrets are required to create a Tenant"


def tenant_json(tenant: TenantRecord) -> Json:
    """Render a tenant; of LRS and Keycloak what it has."""
    document = {name: value for name, value in asdict(tenant).items() if value}
    return {"id": tenant.id, "name": tenant.name, "secrets": tenant.secrets, **document}


def _record_json(tenant: TenantRecord) -> Json:
    """Render a tenant as Rails renders the record itself."""
    return {**tenant_json(tenant), "new_record": False, "destroyed": False}


def setting_json(setting: TenantSetting) -> Json:
    """Render a setting; the words are those of its record."""
    return {
        "id": setting.id,
        "tenant_id": setting.tenant_id,
        "param": setting.param,
        "value": setting.value,
        "override": "true" if setting.override else "false",
        "call": setting.call,
    }


def _nested(body: Json, name: str) -> Json:
    """Return the fields of a record: under its name, or at the top as Rails accepts them too."""
    nested = body.get(name)
    if nested is None:
        return body
    if not isinstance(nested, dict):
        raise BadRequest(f"{name} must be a JSON object")
    return nested


def _id(call: Call, unknown: Callable[[str], Refused] = no_tenant) -> str:
    """Raises Refused: there is none, which Scalelite answers like an unknown one."""
    found = form.text(call.fields, "id")
    if not found:
        raise unknown(ID_MISSING)
    return found


def parse_tenant_change(fields: Json) -> TenantChange:
    """Read what is to be set of a tenant. An empty name or secrets are left as they are.

    Raises BadRequest.
    """
    given: dict[str, Any] = {name: form.text(fields, name) for name in TENANT_FIELDS}
    return TenantChange(
        **{**given, "name": given["name"] or None, "secrets": given["secrets"] or None}
    )


def parse_setting(fields: Json) -> TenantSetting:
    """Read a new setting. Raises BadRequest."""
    tenant_id, param = form.text(fields, "tenant_id"), form.text(fields, "param")
    value, override = form.text(fields, "value"), fields.get("override")
    if not tenant_id or not param or value is None or override is None:
        raise BadRequest("tenant_id, param, value and override are required")
    if isinstance(override, bool):
        override = "true" if override else "false"
    if override not in ("true", "false"):  # Scalelite takes any other word for false
        raise BadRequest("override must be true or false")
    call = form.text(fields, "call") or ""
    return TenantSetting("", TenantId(tenant_id), param, value, override == "true", call)


Handler = Callable[[TenantDeps, Call], Awaitable[Answer]]


def _with_tenants(handler: Handler) -> Handler:
    """Refuse the call while there are no tenants, in Scalelite's words."""

    @functools.wraps(handler)
    async def answer(deps: TenantDeps, call: Call) -> Answer:
        if not deps.settings.api.multitenancy:
            hint = f"{DISABLED}: set MULTITENANCY_ENABLED=true and restart the appliance"
            return {"message": DISABLED, "error": hint}, 412
        return await handler(deps, call)

    return answer


async def _get_tenants(deps: TenantDeps, call: Call) -> Answer:
    found = await tenant_admin.list_tenants(deps)
    if not found:
        return {"message": "No tenants exist"}, 200
    return [tenant_json(tenant) for tenant in found], 200


async def _get_tenant_info(deps: TenantDeps, call: Call) -> Answer:
    return _record_json(await tenant_admin.find_tenant(deps, _id(call))), 200


async def _add_tenant(deps: TenantDeps, call: Call) -> Answer:
    change = parse_tenant_change(_nested(call.fields, "tenant"))
    if change.name is None or change.secrets is None:
        return {"message": NAME_AND_SECRETS, "error": NAME_AND_SECRETS}, 400
    tenant = await tenant_admin.add_tenant(deps, call.who, change)
    return {"id": tenant.id, "tenant": _record_json(tenant)}, 201


async def _update_tenant(deps: TenantDeps, call: Call) -> Answer:
    tenant_id = _id(call)
    tenant = await tenant_admin.find_tenant(deps, tenant_id)
    change = parse_tenant_change(_nested(call.fields, "tenant"))
    if change != TenantChange():
        tenant = await tenant_admin.update_tenant(deps, call.who, tenant_id, change)
    return {**_record_json(tenant), "tenant": _record_json(tenant)}, 200


async def _delete_tenant(deps: TenantDeps, call: Call) -> Answer:
    tenant_id, force = _id(call), form.flag(call.fields, "force")
    await tenant_admin.remove_tenant(deps, call.who, tenant_id, force=force)
    return {"id": tenant_id, "success": f"Tenant id={tenant_id} was destroyed"}, 200


async def _get_tenant_settings(deps: TenantDeps, call: Call) -> Answer:
    tenant_id = form.text(call.fields, "tenant_id")
    found = await tenant_admin.list_settings(deps, tenant_id or None)
    return [setting_json(setting) for setting in found], 200


async def _add_tenant_setting(deps: TenantDeps, call: Call) -> Answer:
    new = parse_setting(_nested(call.fields, "tenant_setting"))
    setting = await tenant_admin.add_setting(deps, call.who, new)
    return {"id": setting.id, "tenant_setting": setting_json(setting)}, 201


async def _delete_tenant_setting(deps: TenantDeps, call: Call) -> Answer:
    setting = await tenant_admin.remove_setting(deps, call.who, _id(call, no_tenant_setting))
    return {"id": setting.id, "success": f"TenantSetting id={setting.id} was destroyed"}, 200


TENANT_CALLS: tuple[AdminCall[TenantDeps], ...] = (
    AdminCall("getTenants", "GET", _with_tenants(_get_tenants), about=about.GET_TENANTS),
    AdminCall("getTenantInfo", "GET", _with_tenants(_get_tenant_info), about=about.GET_TENANT_INFO),
    AdminCall("addTenant", "POST", _with_tenants(_add_tenant), about=about.ADD_TENANT),
    AdminCall("updateTenant", "POST", _with_tenants(_update_tenant), about=about.UPDATE_TENANT),
    AdminCall("deleteTenant", "POST", _with_tenants(_delete_tenant), about=about.DELETE_TENANT),
    AdminCall(
        "getTenantSettings",
        "GET",
        _with_tenants(_get_tenant_settings),
        about=about.GET_TENANT_SETTINGS,
    ),
    AdminCall(
        "addTenantSetting",
        "POST",
        _with_tenants(_add_tenant_setting),
        about=about.ADD_TENANT_SETTING,
    ),
    AdminCall(
        "deleteTenantSetting",
        "POST",
        _with_tenants(_delete_tenant_setting),
        about=about.DELETE_TENANT_SETTING,
    ),
)
