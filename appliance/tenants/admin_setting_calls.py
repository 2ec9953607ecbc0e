"""The admin calls about the settings of tenants. Scalelite has them as rake tasks only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import BadRequest, Fields, OptionalText, Text, reads, text
from appliance.admin_calls.refusal import no_tenant, no_tenant_setting
from appliance.admin_calls.secrets import secret_if_named
from appliance.model import TenantId
from appliance.settings.param_rules import DEFAULT, MODES, OVERRIDE, WITHOUT_VALUE
from appliance.tenants import administration as tenant_admin
from appliance.tenants.admin_calls import (
    DISABLED_REFUSAL,
    ID_META,
    NO_TENANT,
    TENANT_ID,
    DeletedJson,
    id_reader,
    with_tenants,
)
from appliance.tenants.audited import ONE_SETTING
from appliance.tenants.deps import TenantDeps
from appliance.tenants.values import TenantSetting

# --- requests ------------------------------------------------------------------------------------


def _read_override(fields: Mapping[str, Any], name: str) -> bool | None:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return value
    if value not in ("true", "false"):  # Scalelite reads any other word as false
        raise BadRequest("override must be true or false")
    return bool(value == "true")


SettingIdField = Annotated[str, ID_META, reads(id_reader(no_tenant_setting))]


class TenantSettingsRequest(Fields, frozen=True):
    """getTenantSettings."""

    tenant_id: Annotated[Text, Meta(description="Id or name; empty: all.")] = ""


class NewSettingFields(Fields, frozen=True):
    """A setting to be added."""

    tenant_id: Annotated[Text, Meta(min_length=1)]
    param: Annotated[Text, Meta(min_length=1)]
    value: Annotated[
        str | None,
        Meta(
            description=f"Required, but not with the modes {' and '.join(sorted(WITHOUT_VALUE))}."
        ),
        reads(text, {"type": ["string", "null"]}),
    ] = None
    override: Annotated[
        bool | None,
        Meta(description="Whether it takes precedence over the front-end's value."),
        reads(_read_override, {"enum": [True, False, "true", "false", None]}),
    ] = None
    call: Annotated[
        str | None,
        Meta(description="Empty: the calls that know the parameter."),
        reads(text, {"enum": ["create", "join", "", None]}),
    ] = None
    mode: Annotated[
        OptionalText, Meta(description=f"In place of override: {', '.join(MODES)}.")
    ] = None
    version: Annotated[
        OptionalText, Meta(description="Pattern of the BBB versions that it is for, such as 4.*.")
    ] = None

    def parse(self) -> TenantSetting:
        """Return the setting. Raises BadRequest."""
        override, mode, version = self.override, self.mode or "", self.version or ""
        if mode and override is not None:
            raise BadRequest("give either override or mode")
        if mode in (DEFAULT, OVERRIDE) and not version:  # Scalelite knows these
            mode, override = "", mode == OVERRIDE
        value = "" if mode in WITHOUT_VALUE and self.value is None else self.value
        unknown = override is None and not mode
        if value is None and mode:
            raise BadRequest(f"{mode} takes a value")
        if not self.tenant_id or not self.param or value is None or unknown:
            raise BadRequest("tenant_id, param, value and override are required")
        if version and not mode:
            mode = OVERRIDE if override else DEFAULT
        owner = TenantId(self.tenant_id)
        return TenantSetting(
            *("", owner, self.param, value, bool(override) and not mode),
            *(self.call or "", mode, version),
        )


class AddSettingRequest(Fields, frozen=True):
    """addTenantSetting."""

    tenant_setting: NewSettingFields


class SettingIdRequest(Fields, frozen=True):
    """deleteTenantSetting."""

    id: SettingIdField


# --- answers -------------------------------------------------------------------------------------


class TenantSettingJson(Answer, frozen=True):
    """A setting, with the texts of its record."""

    id: str
    tenant_id: str
    param: str
    value: Annotated[str, secret_if_named("param")]
    override: Annotated[
        Literal["true", "false", ""],
        Meta(description="Empty: a parameter rule, which Scalelite does not know."),
    ]
    call: Annotated[
        Literal["create", "join", ""],
        Meta(description="Empty: the calls that know the parameter."),
    ]
    mode: Annotated[str, Meta(description=f"One of {', '.join(MODES)}.")]
    version: Annotated[str, Meta(description="Pattern of BBB versions; empty: all.")]


class AddedSettingJson(Answer, frozen=True):
    """addTenantSetting."""

    id: str
    tenant_setting: TenantSettingJson


def setting_json(setting: TenantSetting) -> TenantSettingJson:
    """Render a setting."""
    return TenantSettingJson(
        id=setting.id,
        tenant_id=setting.tenant_id,
        param=setting.param,
        value=setting.value,
        override="" if setting.mode else "true" if setting.override else "false",
        call=setting.call,  # type: ignore[arg-type]  # checked before it is stored
        mode=setting.rule.mode,
        version=setting.version,
    )


# --- handlers ------------------------------------------------------------------------------------


@with_tenants
async def _get_tenant_settings(
    deps: TenantDeps, call: Call[TenantSettingsRequest]
) -> list[TenantSettingJson]:
    own = call.actor.tenant_id
    given = call.read().tenant_id or own
    tenant_id = (await tenant_admin.find_named(deps, given)).id if given else None
    if own not in (None, tenant_id):
        raise no_tenant(given or "")
    found = await tenant_admin.list_settings(deps, tenant_id)
    return list(map(setting_json, found))


@with_tenants
async def _add_tenant_setting(deps: TenantDeps, call: Call[AddSettingRequest]) -> AddedSettingJson:
    new = call.read().tenant_setting.parse()
    setting = await tenant_admin.add_setting(deps, call.who, new)
    return AddedSettingJson(setting.id, setting_json(setting))


@with_tenants
async def _delete_tenant_setting(deps: TenantDeps, call: Call[SettingIdRequest]) -> DeletedJson:
    setting = await tenant_admin.remove_setting(deps, call.who, call.read().id)
    return DeletedJson(setting.id, f"TenantSetting id={setting.id} was destroyed")


# --- the table -----------------------------------------------------------------------------------

_SETTING_ID = "c1b0f4de-2a9e-4f0a-8a34-b9b4f9e0d312"
_SETTING_EXAMPLE = TenantSettingJson(
    id=_SETTING_ID,
    tenant_id=TENANT_ID,
    param="welcome",
    value="Hello",
    override="true",
    call="create",
    mode="override",
    version="",
)


SETTING_CALLS: tuple[AdminCall[TenantDeps], ...] = (
    AdminCall(
        name="getTenantSettings",
        method="GET",
        handler=_get_tenant_settings,
        group="tenants",
        summary="The settings of all tenants or of one.",
        example=[_SETTING_EXAMPLE],
        request={"tenant_id": TENANT_ID},
        refusals=NO_TENANT,
        role=Role.VIEWER,
        of_tenants=True,
    ),
    AdminCall(
        name="addTenantSetting",
        method="POST",
        handler=_add_tenant_setting,
        group="tenants",
        summary="Adds a parameter, or a rule for one, that the calls of a tenant get.",
        example=AddedSettingJson(_SETTING_ID, _SETTING_EXAMPLE),
        status=201,
        request={
            "tenant_setting": {
                "tenant_id": TENANT_ID,
                "param": "welcome",
                "value": "Hello",
                "override": True,
                "call": "create",
            }
        },
        refusals=NO_TENANT,
        logs="tenant_setting_added",
        audited=ONE_SETTING,
        role=Role.ADMIN,
    ),
    AdminCall(
        name="deleteTenantSetting",
        method="POST",
        handler=_delete_tenant_setting,
        group="tenants",
        summary="Removes a setting or a rule of a tenant.",
        example=DeletedJson(_SETTING_ID, f"TenantSetting id={_SETTING_ID} was destroyed"),
        request={"id": _SETTING_ID},
        refusals={404: "There is no setting with this id.", **DISABLED_REFUSAL},
        logs="tenant_setting_removed",
        audited=ONE_SETTING,
        role=Role.ADMIN,
    ),
)
