"""The operator's commands for tenants and their settings.

Every change is validated, logged and effective immediately in this process; other appliances see
it within a second (cache.py). Log lines contain the actor and the changed fields, but no
values of secrets.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from appliance.admin_calls.fields import natural_key
from appliance.admin_calls.refusal import RefusalKind, Refused, no_tenant, no_tenant_setting
from appliance.bbb.endpoint import UnacceptableValue
from appliance.model import TenantId
from appliance.tenants.deps import TenantDeps
from appliance.tenants.values import (
    Saved,
    SaveOutcome,
    TenantChange,
    TenantRecord,
    TenantSetting,
    check_setting,
    check_tenant_change,
)


async def list_tenants(deps: TenantDeps) -> tuple[TenantRecord, ...]:
    """Return all tenants in natural order of their names."""
    found = await deps.store.list_tenants()
    return tuple(sorted(found, key=lambda one: (natural_key(one.name), one.id)))


async def find_tenant(deps: TenantDeps, tenant_id: str) -> TenantRecord:
    """Return one tenant. Raises Refused: it does not exist."""
    tenant = await deps.store.find_tenant(TenantId(tenant_id))
    if tenant is None:
        raise no_tenant(tenant_id)
    return tenant


def match_tenant(names: Mapping[str, str], given: str) -> str:
    """Return the id of the tenant with this id, else with this name, in any case.

    `names` are those of tenants by id; the first of equal names counts. Raises Refused.
    """
    if given in names:
        return given
    for tenant_id, name in names.items():
        if name.lower() == given.lower():
            return tenant_id
    raise no_tenant(given)


async def find_named(deps: TenantDeps, given: str) -> TenantRecord:
    """Return one tenant by its id or name. Raises Refused: it does not exist."""
    tenant = await deps.store.find_tenant(TenantId(given))
    if tenant is None:
        tenant = await find_tenant(deps, match_tenant(await deps.store.read_names(), given))
    return tenant


async def add_tenant(
    deps: TenantDeps, actor: str, new: TenantChange, *, new_id: Callable[[], object] = uuid.uuid4
) -> TenantRecord:
    """Add a tenant. Raises Refused: a value is invalid or missing, or the name is taken."""
    checked = _check_change(replace(new, name=new.name or "", secrets=new.secrets or ""))
    tenant_id = TenantId(str(new_id()))
    _raise_if_refused(await deps.store.add_tenant(tenant_id, checked), tenant_id, checked)
    deps.cache.forget_all()
    deps.log.info("tenant_added", tenant=tenant_id, name=checked.name, by=actor)
    return await find_tenant(deps, tenant_id)


async def update_tenant(
    deps: TenantDeps, actor: str, tenant_id: str, change: TenantChange
) -> TenantRecord:
    """Apply `change`; an empty value of an LRS or Keycloak field removes the field.

    Raises Refused: a value is invalid, the name is taken, or the tenant does not exist.
    """
    checked = _check_change(change)
    saved = await deps.store.update_tenant(TenantId(tenant_id), checked)
    _raise_if_refused(saved, tenant_id, checked)
    deps.cache.forget_all()
    renamed = {} if checked.name is None else {"name": checked.name}
    deps.log.info("tenant_changed", tenant=tenant_id, changed=[*checked.given], **renamed, by=actor)
    return await find_tenant(deps, tenant_id)


def _check_change(change: TenantChange) -> TenantChange:
    try:
        return check_tenant_change(change)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error


def _raise_if_refused(saved: Saved, tenant_id: str, change: TenantChange) -> None:
    if saved.outcome is SaveOutcome.UNKNOWN:
        raise no_tenant(tenant_id)
    if saved.outcome is SaveOutcome.TAKEN:
        raise Refused(
            RefusalKind.INVALID,
            f"the name {change.name} is taken by tenant {saved.holder}; "
            "host names know no upper and lower case",
        )


async def remove_tenant(
    deps: TenantDeps, actor: str, tenant_id: str, *, force: bool
) -> TenantRecord:
    """Remove a tenant with its settings and return it; its recordings stay.

    With `force` its meetings continue, but front-ends can no longer access them. Raises Refused: it
    does not exist, or has meetings and `force` is not set.
    """
    tenant = await find_tenant(deps, tenant_id)
    held = await deps.store.remove_tenant(tenant.id, force=force)
    if held == -1:
        raise no_tenant(tenant_id)
    if held is not None:
        meetings = "1 meeting" if held == 1 else f"{held} meetings"
        raise Refused(
            RefusalKind.INVALID,
            f"tenant {tenant_id} has {meetings}; let them end first, or use force",
        )
    deps.cache.forget_all()
    deps.log.info("tenant_removed", tenant=tenant_id, name=tenant.name, forced=force, by=actor)
    return tenant


async def list_settings(
    deps: TenantDeps, tenant_id: str | None = None
) -> tuple[TenantSetting, ...]:
    """Return the settings of all tenants or of one. Raises Refused: unknown tenant."""
    found = await deps.store.list_settings(None if tenant_id is None else TenantId(tenant_id))
    if found is None:
        raise no_tenant(tenant_id or "")
    return tuple(sorted(found, key=lambda one: (one.tenant_id, one.param, one.id)))


async def add_setting(
    deps: TenantDeps,
    actor: str,
    setting: TenantSetting,
    *,
    new_id: Callable[[], object] = uuid.uuid4,
) -> TenantSetting:
    """Add a setting with a new id.

    Raises Refused: a value is invalid, the tenant does not exist, or has a setting of the parameter
    (Scalelite stores both, and it is undefined which of them is used).
    """
    try:
        setting = check_setting(replace(setting, id=str(new_id())))
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    saved = await deps.store.add_setting(setting)
    if saved.outcome is SaveOutcome.UNKNOWN:
        raise no_tenant(setting.tenant_id)
    if saved.outcome is SaveOutcome.TAKEN:
        raise Refused(
            RefusalKind.INVALID,
            f"the tenant has a setting of {setting.param} already ({saved.holder}); "
            "remove it first",
        )
    deps.cache.forget_all()
    deps.log.info("tenant_setting_added", **_logged(setting), by=actor)
    return setting


async def remove_setting(deps: TenantDeps, actor: str, setting_id: str) -> TenantSetting:
    """Remove a setting and return it. Raises Refused: it does not exist."""
    setting = await deps.store.remove_setting(setting_id)
    if setting is None:
        raise no_tenant_setting(setting_id)
    deps.cache.forget_all()
    deps.log.info("tenant_setting_removed", **_logged(setting), by=actor)
    return setting


def _logged(setting: TenantSetting) -> dict[str, object]:
    """Return the log fields of a setting, without its value, which may be a password."""
    return {
        "tenant": setting.tenant_id,
        "setting": setting.id,
        "param": setting.param,
        **({"mode": setting.mode} if setting.mode else {"override": setting.override}),
        "call": setting.call or "any",
    }
