"""The admin calls about tenants.

Names, fields and status codes are those of Scalelite's tenants controller; where its documentation
(docs/api-README.md) and its code differ, an answer holds both.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import ID_MISSING, AdminCall, Answer, Call
from appliance.admin_calls.fields import (
    Fields,
    Flag,
    NoFields,
    OptionalText,
    Reader,
    Text,
    reads,
    text,
)
from appliance.admin_calls.refusal import (
    ErrorAnswer,
    ErrorJson,
    Refused,
    no_tenant,
)
from appliance.admin_calls.secrets import Secret
from appliance.tenants import administration as tenant_admin
from appliance.tenants.audited import ONE_TENANT
from appliance.tenants.deps import TenantDeps
from appliance.tenants.values import TENANT_FIELDS, TenantChange, TenantRecord

DISABLED = "Multitenancy is disabled"
NAME_AND_SECRETS = "Error: both name and secrets are required to create a Tenant"
_NAME = "The first label of its host: letters, digits and hyphens."


# --- requests ------------------------------------------------------------------------------------


def id_reader(unknown: Callable[[str], Refused]) -> Reader:
    """Return the reader of an id; Scalelite answers a missing id like an unknown one."""

    def read_id(fields: Mapping[str, Any], name: str) -> str:
        found = text(fields, name)
        if not found:
            raise unknown(ID_MISSING)
        return found

    return read_id


ID_META = Meta(min_length=1, description="The id, as the lists show it.")
IdField = Annotated[str, ID_META, reads(id_reader(no_tenant))]


class TenantIdRequest(Fields, frozen=True):
    """A call about one tenant."""

    id: IdField


class LrsFields(Fields, frozen=True, kw_only=True):
    """A learning record store, and Keycloak to get its tokens from; an empty field is removed."""

    lrs_endpoint: OptionalText = None
    lrs_username: OptionalText = None
    lrs_password: OptionalText = None
    kc_token_url: OptionalText = None
    kc_client_id: OptionalText = None
    kc_client_secret: OptionalText = None
    kc_username: OptionalText = None
    kc_password: OptionalText = None


class NewTenantFields(LrsFields, frozen=True):
    """A tenant to be added."""

    name: Annotated[Text, Meta(min_length=1, description=_NAME)]
    secrets: Annotated[Text, Meta(min_length=1, description="One, or several separated by colons.")]


class TenantChangeFields(LrsFields, frozen=True):
    """Changes of a tenant. An empty name or secrets are left as they are."""

    name: Annotated[OptionalText, Meta(description=_NAME)] = None
    secrets: OptionalText = None


def _parse_change(fields: NewTenantFields | TenantChangeFields) -> TenantChange:
    given = {name: getattr(fields, name) for name in TENANT_FIELDS}
    return TenantChange(**{**given, "name": fields.name or None, "secrets": fields.secrets or None})


class AddTenantRequest(Fields, frozen=True):
    """addTenant."""

    tenant: NewTenantFields


class UpdateTenantRequest(Fields, frozen=True):
    """updateTenant."""

    id: IdField
    tenant: TenantChangeFields = msgspec.field(default_factory=TenantChangeFields)


class DeleteTenantRequest(Fields, frozen=True):
    """deleteTenant."""

    id: IdField
    force: Annotated[Flag, Meta(description="Even with meetings.")] = False


# --- answers -------------------------------------------------------------------------------------

Never = Annotated[bool, Meta(extra_json_schema={"const": False})]
"""A field of Rails' records."""


class TenantJson(Answer, frozen=True, omit_defaults=True):
    """A tenant; of the fields for LRS and Keycloak those that it has."""

    id: str
    name: str
    secrets: Annotated[Secret, Meta(description="Separated by colons.")]
    lrs_endpoint: str = ""
    lrs_username: str = ""
    lrs_password: Secret = ""
    kc_token_url: str = ""
    kc_client_id: str = ""
    kc_client_secret: Secret = ""
    kc_username: str = ""
    kc_password: Secret = ""


class TenantRecordJson(TenantJson, frozen=True, kw_only=True):
    """A tenant as Rails renders its record."""

    new_record: Never
    destroyed: Never


class NoTenantsJson(Answer, frozen=True):
    """There are no tenants."""

    message: str


class AddedTenantJson(Answer, frozen=True):
    """addTenant."""

    id: str
    tenant: TenantRecordJson


class UpdatedTenantJson(TenantRecordJson, frozen=True, kw_only=True):
    """updateTenant."""

    tenant: TenantRecordJson


class DeletedJson(Answer, frozen=True):
    """deleteTenant and deleteTenantSetting."""

    id: str
    success: str


def tenant_json(tenant: TenantRecord) -> TenantJson:
    """Render a tenant."""
    return TenantJson(**asdict(tenant))


def _record_json(tenant: TenantRecord) -> TenantRecordJson:
    return TenantRecordJson(**asdict(tenant), new_record=False, destroyed=False)


# --- handlers ------------------------------------------------------------------------------------

Result = TypeVar("Result")
Handler = Callable[[TenantDeps, Call[Any]], Awaitable[Result]]


def check_multitenancy(deps: TenantDeps) -> None:
    """Refuse a call while multitenancy is disabled, in Scalelite's words. Raises ErrorAnswer."""
    if not deps.settings.api.multitenancy:
        hint = f"{DISABLED}: set MULTITENANCY_ENABLED=true and restart the appliance"
        raise ErrorAnswer(412, ErrorJson(hint, message=DISABLED))


def with_tenants(handler: Handler[Result]) -> Handler[Result]:
    """Refuse the call while multitenancy is disabled."""

    @functools.wraps(handler)
    async def answer(deps: TenantDeps, call: Call[Any]) -> Result:
        check_multitenancy(deps)
        return await handler(deps, call)

    return answer


@with_tenants
async def _get_tenants(deps: TenantDeps, call: Call[NoFields]) -> list[TenantJson] | NoTenantsJson:
    found = await tenant_admin.list_tenants(deps)
    return list(map(tenant_json, found)) if found else NoTenantsJson("No tenants exist")


@with_tenants
async def _get_tenant_info(deps: TenantDeps, call: Call[TenantIdRequest]) -> TenantRecordJson:
    return _record_json(await tenant_admin.find_tenant(deps, call.read().id))


@with_tenants
async def _add_tenant(deps: TenantDeps, call: Call[AddTenantRequest]) -> AddedTenantJson:
    change = _parse_change(call.read().tenant)
    if change.name is None or change.secrets is None:
        raise ErrorAnswer(400, ErrorJson(NAME_AND_SECRETS, message=NAME_AND_SECRETS))
    tenant = await tenant_admin.add_tenant(deps, call.who, change)
    return AddedTenantJson(tenant.id, _record_json(tenant))


@with_tenants
async def _update_tenant(deps: TenantDeps, call: Call[UpdateTenantRequest]) -> UpdatedTenantJson:
    tenant_id = call.read_id()
    tenant = await tenant_admin.find_tenant(deps, tenant_id)
    change = _parse_change(call.read().tenant)
    if change != TenantChange():
        tenant = await tenant_admin.update_tenant(deps, call.who, tenant_id, change)
    record = _record_json(tenant)
    return UpdatedTenantJson(**msgspec.structs.asdict(record), tenant=record)


@with_tenants
async def _delete_tenant(deps: TenantDeps, call: Call[DeleteTenantRequest]) -> DeletedJson:
    request = call.read()
    await tenant_admin.remove_tenant(deps, call.who, request.id, force=request.force)
    return DeletedJson(request.id, f"Tenant id={request.id} was destroyed")


# --- the table -----------------------------------------------------------------------------------

DISABLED_REFUSAL = {412: f"{DISABLED}."}
NO_TENANT = {404: "There is no tenant with this id.", **DISABLED_REFUSAL}
TENANT_ID = "6d1f7c0e-8f43-4d6b-9a55-0c2f5a1b7e21"
_ID_EXAMPLE = {"id": TENANT_ID}
_SECRETS = "SECRET-1:SECRET-2"
_RECORD_EXAMPLE = TenantRecordJson(
    id=TENANT_ID, name="school", secrets=_SECRETS, new_record=False, destroyed=False
)

TENANT_CALLS: tuple[AdminCall[TenantDeps], ...] = (
    AdminCall(
        name="getTenants",
        method="GET",
        handler=_get_tenants,
        group="tenants",
        summary="All tenants; their secrets for admins only.",
        example=[TenantJson(id=TENANT_ID, name="school", secrets=_SECRETS)],
        refusals=DISABLED_REFUSAL,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="getTenantInfo",
        method="GET",
        handler=_get_tenant_info,
        group="tenants",
        summary="One tenant.",
        example=_RECORD_EXAMPLE,
        request=_ID_EXAMPLE,
        refusals=NO_TENANT,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="addTenant",
        method="POST",
        handler=_add_tenant,
        group="tenants",
        summary="Adds a tenant.",
        example=AddedTenantJson(
            TENANT_ID, msgspec.structs.replace(_RECORD_EXAMPLE, name="academy")
        ),
        status=201,
        request={"tenant": {"name": "academy", "secrets": _SECRETS}},
        refusals=DISABLED_REFUSAL,
        logs="tenant_added",
        audited=ONE_TENANT,
        role=Role.ADMIN,
    ),
    AdminCall(
        name="updateTenant",
        method="POST",
        handler=_update_tenant,
        group="tenants",
        summary="Changes what is given of a tenant; empty fields of lrs and kc are removed.",
        example=UpdatedTenantJson(
            **msgspec.structs.asdict(_RECORD_EXAMPLE), tenant=_RECORD_EXAMPLE
        ),
        request={"id": TENANT_ID, "tenant": {"secrets": _SECRETS}},
        refusals=NO_TENANT,
        logs="tenant_changed",
        audited=ONE_TENANT,
        role=Role.ADMIN,
    ),
    AdminCall(
        name="deleteTenant",
        method="POST",
        handler=_delete_tenant,
        group="tenants",
        summary="Removes a tenant and its settings; refused while it has meetings.",
        example=DeletedJson(TENANT_ID, f"Tenant id={TENANT_ID} was destroyed"),
        request=_ID_EXAMPLE,
        refusals=NO_TENANT,
        logs="tenant_removed",
        audited=ONE_TENANT,
        role=Role.ADMIN,
    ),
)
