"""The operator's commands for limits of tenants, and for looking at what their calls become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from appliance.admin_calls.refusal import ErrorAnswer, ErrorJson, RefusalKind, Refused, no_tenant
from appliance.bbb.params import Params, replace_param
from appliance.model import ParamRule, Tenant, TenantId
from appliance.tenants import administration as tenant_admin
from appliance.tenants.deps import TenantDeps
from appliance.tenants.limits import DEFAULT_TENANT, TenantLimits, check_limit
from appliance.tenants.lrs_rules import PAYLOAD_PARAM
from appliance.tenants.param_rules import (
    Layers,
    apply_rules,
    cap_duration,
    create_layers,
    join_layers,
    merge_create_params,
    merge_join_params,
)
from appliance.tenants.values import TenantSetting

REQUIRED = "(required)"
"""Stands in shown calls for what front-ends must give."""
OWN, SEALED = "(the appliance's)", "(encrypted for the server)"
"""Stand for values that are new with each create."""
_OWN_VALUES = {"voiceBridge", "meetingEndedURL"}
_NO_TENANTS = f"Multitenancy is disabled: there are only the limits of `{DEFAULT_TENANT}`"


@dataclass(frozen=True, slots=True)
class SeenLimits:
    """The limits of a tenant, or of a pool without tenants."""

    tenant_id: TenantId | None
    name: str
    limits: TenantLimits


@dataclass(frozen=True, slots=True)
class ShownCalls:
    """The settings of a tenant, and its calls as they are passed on."""

    settings: tuple[TenantSetting, ...]
    create: Params
    join: Params
    pool_create: tuple[ParamRule, ...]
    """The rules of the whole pool."""
    pool_join: tuple[ParamRule, ...]
    by_version: Mapping[str, tuple[Params, Params]]
    """Create and join on servers whose version matches a pattern of the rules."""


async def find_limits(deps: TenantDeps, given: str, *, own: TenantId | None = None) -> SeenLimits:
    """Return the limits of a tenant by its id or name; `own`: the only one that may be asked for.

    Raises Refused, ErrorAnswer: there is none such.
    """
    tenant_id, name = await _find(deps, given or own or "")
    if own not in (None, tenant_id):
        raise no_tenant(given)
    return SeenLimits(tenant_id, name, await deps.limits.read(tenant_id, now_ms=deps.now_ms()))


async def change_limits(
    deps: TenantDeps, actor: str, given: str, values: Mapping[str, str]
) -> SeenLimits:
    """Set limits, remove those with an empty value, and return all.

    Raises Refused, ErrorAnswer: there is no such tenant, or a value is invalid.
    """
    tenant_id, name = await _find(deps, given)
    try:
        checked = {limit: check_limit(limit, value) for limit, value in values.items()}
    except ValueError as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    if checked:
        if not await deps.limits.change(tenant_id, checked):
            raise no_tenant(given)
        deps.log.info("tenant_limits_changed", tenant=name, limits=checked, by=actor)
    return SeenLimits(tenant_id, name, await deps.limits.read(tenant_id, now_ms=deps.now_ms()))


async def _find(deps: TenantDeps, given: str) -> tuple[TenantId | None, str]:
    if deps.settings.api.multitenancy:
        tenant = await tenant_admin.find_named(deps, given)
        return tenant.id, tenant.name
    if given in ("", DEFAULT_TENANT):
        return None, DEFAULT_TENANT
    raise ErrorAnswer(412, ErrorJson(_NO_TENANTS, message="Multitenancy is disabled"))


async def tenant_ids(deps: TenantDeps) -> dict[str, str]:
    """Return the ids by which limits are set, by name; without multitenancy only `default`."""
    if not deps.settings.api.multitenancy:
        return {DEFAULT_TENANT: DEFAULT_TENANT}
    return {one.name: one.id for one in await tenant_admin.list_tenants(deps)}


async def show_calls(deps: TenantDeps, seen: SeenLimits) -> ShownCalls:
    """Return what a create and a join become for which a front-end gives only what is needed.

    Raises Refused: the tenant does not exist.
    """
    settings: tuple[TenantSetting, ...] = ()
    tenant: Tenant | None = None
    if seen.tenant_id is not None:
        settings = await tenant_admin.list_settings(deps, seen.tenant_id)
        tenant = await deps.cache.find(seen.name)
    api = deps.settings.api
    of_create, of_join = create_layers(api, tenant), join_layers(api, tenant)
    create = _with_required((("meetingID", "MEETING"), ("name", "NAME")), of_create)
    create = _with_own_values(deps, merge_create_params(create, api, tenant), tenant)
    max_min = int(seen.limits.limits.get("max_duration") or 0)
    join = _with_required((("meetingID", "MEETING"), ("fullName", "NAME")), of_join)
    join = merge_join_params(join, api, tenant)
    rules = [rule for layer in (*of_create, *of_join) for rule in layer]
    by_version = {
        # A pattern stands for its servers: it also matches wider patterns, such as 4.* for 4.0.*.
        version: (
            cap_duration(_on_version(create, of_create, version), max_min),
            _on_version(join, of_join, version),
        )
        for version in dict.fromkeys(rule.version for rule in rules if rule.version)
    }
    create = cap_duration(create, max_min)
    return ShownCalls(settings, create, join, api.create_rules, api.join_rules, by_version)


def _with_own_values(deps: TenantDeps, create: Params, tenant: Tenant | None) -> Params:
    """Replace what the appliance decides for each meeting."""
    own = {"meetingEndedURL"} if deps.settings.voice_bridge.use_external else _OWN_VALUES
    shown = tuple((name, OWN if name in own else value) for name, value in create)
    if tenant is None or tenant.lrs is None:
        return shown
    return replace_param(shown, PAYLOAD_PARAM, SEALED)


def _on_version(params: Params, layers: Layers, version: str) -> Params:
    needed = tuple(
        tuple(r for r in layer if r.mode == "require" and fnmatchcase(version, r.version))
        for layer in layers
    )
    return apply_rules(_with_required(params, needed), layers, version)


def _with_required(params: Params, layers: tuple[tuple[ParamRule, ...], ...]) -> Params:
    given = dict(params)
    rules = [rule for layer in layers for rule in layer if rule.mode == "require"]
    return tuple({rule.param: REQUIRED for rule in rules if rule.param not in given}.items()) + (
        params
    )
