"""The admin calls about the limits of tenants, and what their calls will look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Audited, Call, Snapshot
from appliance.admin_calls.fields import BadRequest, Fields, Text, reads
from appliance.admin_calls.secrets import secret_if_named
from appliance.bbb.params import Params
from appliance.tenants import limit_administration as limit_admin
from appliance.tenants.admin_calls import DISABLED_REFUSAL, TENANT_ID
from appliance.tenants.admin_setting_calls import TenantSettingJson, setting_json
from appliance.tenants.deps import TenantDeps
from appliance.tenants.limits import DEFAULT_TENANT, LIMITS

_WHICH = f"The tenant's id or name; {DEFAULT_TENANT} or nothing without multitenancy."
WhichField = Annotated[Text, Meta(description=_WHICH)]


def _read_limits(fields: Mapping[str, Any], name: str) -> dict[str, str]:
    found = fields.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(
        value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))
        for value in found.values()
    ):
        raise BadRequest("limits must be an object of names and numbers; null or '' removes one")
    return {key: "" if value is None else str(value) for key, value in found.items()}


class TenantLimitsRequest(Fields, frozen=True):
    """getTenantLimits and showTenant."""

    id: WhichField = ""


class SetTenantLimitsRequest(Fields, frozen=True):
    """setTenantLimits."""

    id: WhichField = ""
    limits: Annotated[
        dict[str, str],
        Meta(description=f"New values of {', '.join(LIMITS)}; null or '' removes one."),
        reads(
            _read_limits,
            {
                "type": ["object", "null"],
                "additionalProperties": {"type": ["number", "string", "null"]},
            },
        ),
    ] = msgspec.field(default_factory=dict)


class LimitUseJson(Answer, frozen=True):
    """A limit, and what is in use of it."""

    limit: float
    used: Annotated[float | None, Meta(description="null: a limit of each meeting.")]
    near: Annotated[bool, Meta(description="80 % or more are in use.")]


class TenantLimitsJson(Answer, frozen=True):
    """The limits of a tenant, by name."""

    id: Annotated[str, Meta(description="Empty without multitenancy.")]
    name: str
    limits: dict[str, LimitUseJson]


class ParamJson(Answer, frozen=True):
    """A parameter of a call."""

    name: str
    value: Annotated[str, secret_if_named("name")]


class PoolRuleJson(Answer, frozen=True):
    """A rule of CREATE_PARAM_RULES or JOIN_PARAM_RULES."""

    call: str
    param: str
    mode: str
    value: Annotated[str, secret_if_named("param")]
    version: Annotated[str, Meta(description="Pattern of the servers' version; empty: all.")]


class VersionCallsJson(Answer, frozen=True):
    """Parameters of the same calls on servers of a version."""

    version: Annotated[str, Meta(description="A pattern of the rules.")]
    create: list[ParamJson]
    join: list[ParamJson]


class ShownCallsJson(Answer, frozen=True):
    """Parameters of calls for which a front-end gives nothing but what they need."""

    create: list[ParamJson]
    join: list[ParamJson]


class TenantOverviewJson(Answer, frozen=True):
    """A tenant with its settings, limits and use, without its secrets."""

    id: Annotated[str, Meta(description="Empty without multitenancy.")]
    name: str
    limits: dict[str, LimitUseJson]
    settings: list[TenantSettingJson]
    pool_rules: list[PoolRuleJson]
    calls: ShownCallsJson
    versions: Annotated[
        list[VersionCallsJson], Meta(description="For each version that rules are for.")
    ]


def _limits_json(seen: limit_admin.SeenLimits) -> dict[str, LimitUseJson]:
    near = {one.name for one in seen.limits.near}
    return {
        name: LimitUseJson(maximum, seen.limits.used.get(name), name in near)
        for name, maximum in seen.limits.limits.items()
    }


async def _get_tenant_limits(deps: TenantDeps, call: Call[TenantLimitsRequest]) -> TenantLimitsJson:
    seen = await limit_admin.find_limits(deps, call.read().id, own=call.actor.tenant_id)
    return TenantLimitsJson(seen.tenant_id or "", seen.name, _limits_json(seen))


async def _set_tenant_limits(
    deps: TenantDeps, call: Call[SetTenantLimitsRequest]
) -> TenantLimitsJson:
    request = call.read()
    seen = await limit_admin.change_limits(deps, call.who, request.id, request.limits)
    return TenantLimitsJson(seen.tenant_id or "", seen.name, _limits_json(seen))


async def _read_limits_of(deps: TenantDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    seen = await limit_admin.find_limits(deps, call.read().id)
    which = f"{seen.tenant_id} ({seen.name})" if seen.tenant_id else DEFAULT_TENANT
    return {"": Snapshot(f"limits of tenant {which}", seen.limits.limits)}


async def _show_tenant(deps: TenantDeps, call: Call[TenantLimitsRequest]) -> TenantOverviewJson:
    seen = await limit_admin.find_limits(deps, call.read().id, own=call.actor.tenant_id)
    shown = await limit_admin.show_calls(deps, seen)
    return TenantOverviewJson(
        seen.tenant_id or "",
        seen.name,
        _limits_json(seen),
        [setting_json(one) for one in shown.settings],
        [
            PoolRuleJson(name, rule.param, rule.mode, rule.value, rule.version)
            for name, rules in (("create", shown.pool_create), ("join", shown.pool_join))
            for rule in rules
        ],
        ShownCallsJson(_params_json(shown.create), _params_json(shown.join)),
        [
            VersionCallsJson(version, _params_json(create), _params_json(join))
            for version, (create, join) in shown.by_version.items()
        ],
    )


def _params_json(params: Params) -> list[ParamJson]:
    return [ParamJson(*pair) for pair in params]


_NO_TENANT = {
    404: "There is no such tenant.",
    412: f"{DISABLED_REFUSAL[412]} Then there is only `{DEFAULT_TENANT}`.",
}
_USE = {"max_meetings": LimitUseJson(limit=20, used=17, near=True)}

LIMIT_CALLS: tuple[AdminCall[TenantDeps], ...] = (
    AdminCall(
        name="getTenantLimits",
        method="GET",
        handler=_get_tenant_limits,
        group="tenants",
        summary="The limits of a tenant, or of a pool without tenants, with what is in use.",
        example=TenantLimitsJson(TENANT_ID, "school", _USE),
        request={"id": TENANT_ID},
        refusals=_NO_TENANT,
        role=Role.VIEWER,
        of_tenants=True,
    ),
    AdminCall(
        name="setTenantLimits",
        method="POST",
        handler=_set_tenant_limits,
        group="tenants",
        summary="Sets and removes limits of a tenant, or of a pool without tenants.",
        example=TenantLimitsJson(TENANT_ID, "school", _USE),
        request={"id": TENANT_ID, "limits": {"max_meetings": 20, "max_users": None}},
        refusals=_NO_TENANT,
        logs="tenant_limits_changed",
        audited=Audited(_read_limits_of),
        role=Role.ADMIN,
    ),
    AdminCall(
        name="showTenant",
        method="GET",
        handler=_show_tenant,
        group="tenants",
        summary="A tenant's limits and settings, and what its creates and joins will look like.",
        example=TenantOverviewJson(
            *(TENANT_ID, "school", _USE, []),
            [PoolRuleJson("create", "duration", "cap", "90", "4.*")],
            ShownCallsJson(
                [ParamJson("meetingID", "MEETING"), ParamJson("duration", "120")],
                [ParamJson("meetingID", "MEETING"), ParamJson("fullName", "NAME")],
            ),
            [
                VersionCallsJson(
                    "4.*",
                    [ParamJson("meetingID", "MEETING"), ParamJson("duration", "90")],
                    [ParamJson("meetingID", "MEETING"), ParamJson("fullName", "NAME")],
                )
            ],
        ),
        request={"id": TENANT_ID},
        refusals=_NO_TENANT,
        role=Role.VIEWER,
        of_tenants=True,
    ),
)
