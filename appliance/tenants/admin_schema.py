"""What the admin calls about tenants and their settings take and answer (admin_tenant_calls.py).

Pure. Truth: admin_tenant_calls.py, which makes the answers; Scalelite's docs/api-README.md.
"""

from __future__ import annotations

from typing import Any

from appliance.admin_calls.schema import (
    GIVEN_TEXT,
    ID,
    MAYBE_FLAG,
    MAYBE_TEXT,
    TEXT,
    About,
    Named,
    Schema,
    fields,
    list_of,
    one_of,
    record,
    told,
)
from appliance.tenants.values import TENANT_FIELDS

_TENANTS = "tenants"
_DISABLED = {412: "Multitenancy is disabled."}
_NO_TENANT = {404: "There is no tenant with this id.", **_DISABLED}

_SECRETS = told("Separated by colons.", TEXT)
_BESIDES = tuple(name for name in TENANT_FIELDS if name not in ("name", "secrets"))
"""What few tenants have: a learning record store, and Keycloak to get its tokens from."""


def _tenant(**more: Schema) -> Schema:
    needed = record(id=TEXT, name=TEXT, secrets=_SECRETS, **more)
    properties = {**needed["properties"], **dict.fromkeys(_BESIDES, TEXT)}
    return {**needed, "properties": properties}


TENANT = Named("Tenant", _tenant())
TENANT_RECORD = Named(
    "TenantRecord", _tenant(new_record={"const": False}, destroyed={"const": False})
)
TENANT_SETTING = Named(
    "TenantSetting",
    record(
        id=TEXT,
        tenant_id=TEXT,
        param=TEXT,
        value=TEXT,
        override=one_of("true", "false"),
        call=told("Empty: the calls that know the parameter.", one_of("create", "join", "")),
    ),
)

_LRS: dict[str, Schema] = dict.fromkeys(_BESIDES, MAYBE_TEXT)
_NAME = "The first label of its host: letters, digits and hyphens."

_ID = "6d1f7c0e-8f43-4d6b-9a55-0c2f5a1b7e21"
_SETTING_ID = "c1b0f4de-2a9e-4f0a-8a34-b9b4f9e0d312"
_TENANT_EXAMPLE: dict[str, Any] = {"id": _ID, "name": "school", "secrets": "SECRET-1:SECRET-2"}
_RECORD_EXAMPLE = {**_TENANT_EXAMPLE, "new_record": False, "destroyed": False}
_ADDED_EXAMPLE = {**_RECORD_EXAMPLE, "name": "academy"}
_GIVEN_SETTING: dict[str, Any] = {"tenant_id": _ID, "param": "welcome", "value": "Hello"}
_SETTING_EXAMPLE = {"id": _SETTING_ID, **_GIVEN_SETTING, "override": "true", "call": "create"}
_ID_EXAMPLE = {"id": _ID}

GET_TENANTS = About(
    _TENANTS,
    "All tenants, with their secrets.",
    {"anyOf": [list_of(TENANT), told("There are none.", record(message=TEXT))]},
    [_TENANT_EXAMPLE],
    refusals=_DISABLED,
)
GET_TENANT_INFO = About(
    _TENANTS,
    "One tenant.",
    TENANT_RECORD,
    _RECORD_EXAMPLE,
    query={"id": ID},
    query_example=_ID_EXAMPLE,
    refusals=_NO_TENANT,
)
ADD_TENANT = About(
    _TENANTS,
    "Adds a tenant.",
    record(id=TEXT, tenant=TENANT_RECORD),
    {"id": _ID, "tenant": _ADDED_EXAMPLE},
    status=201,
    body=fields(
        "tenant",
        tenant=fields(
            "name",
            "secrets",
            name=told(_NAME, GIVEN_TEXT),
            secrets=told("One, or several separated by colons.", GIVEN_TEXT),
            **_LRS,
        ),
    ),
    body_example={"tenant": {"name": "academy", "secrets": "SECRET-1:SECRET-2"}},
    refusals=_DISABLED,
    logs="tenant_added",
)
UPDATE_TENANT = About(
    _TENANTS,
    "Changes what is given of a tenant; empty fields of lrs and kc are removed.",
    {**_tenant(new_record={"const": False}, destroyed={"const": False}, tenant=TENANT_RECORD)},
    {**_RECORD_EXAMPLE, "tenant": _RECORD_EXAMPLE},
    body=fields(
        "id",
        id=ID,
        tenant=fields(name=told(_NAME, MAYBE_TEXT), secrets=MAYBE_TEXT, **_LRS),
    ),
    body_example={"id": _ID, "tenant": {"secrets": "SECRET-1:SECRET-2"}},
    refusals=_NO_TENANT,
    logs="tenant_changed",
)
DELETE_TENANT = About(
    _TENANTS,
    "Removes a tenant and its settings; refused while it has meetings.",
    record(id=TEXT, success=TEXT),
    {"id": _ID, "success": f"Tenant id={_ID} was destroyed"},
    body=fields("id", id=ID, force=told("Even with meetings.", MAYBE_FLAG)),
    body_example=_ID_EXAMPLE,
    refusals=_NO_TENANT,
    logs="tenant_removed",
)
GET_TENANT_SETTINGS = About(
    _TENANTS,
    "The settings of all tenants or of one.",
    list_of(TENANT_SETTING),
    [_SETTING_EXAMPLE],
    query={"tenant_id": told("Empty: all.", TEXT)},
    query_example={"tenant_id": _ID},
    optional=("tenant_id",),
    refusals=_NO_TENANT,
)
ADD_TENANT_SETTING = About(
    _TENANTS,
    "Adds a parameter that the calls of a tenant get.",
    record(id=TEXT, tenant_setting=TENANT_SETTING),
    {"id": _SETTING_ID, "tenant_setting": _SETTING_EXAMPLE},
    status=201,
    body=fields(
        "tenant_setting",
        tenant_setting=fields(
            "tenant_id",
            "param",
            "value",
            "override",
            tenant_id=GIVEN_TEXT,
            param=GIVEN_TEXT,
            value=TEXT,
            override=told(
                "Whether it counts more than what the front-end says.",
                {"enum": [True, False, "true", "false"]},
            ),
            call=told(
                "Empty: the calls that know the parameter.",
                {"enum": ["create", "join", "", None]},
            ),
        ),
    ),
    body_example={"tenant_setting": {**_GIVEN_SETTING, "override": True, "call": "create"}},
    refusals=_NO_TENANT,
    logs="tenant_setting_added",
)
DELETE_TENANT_SETTING = About(
    _TENANTS,
    "Removes a setting of a tenant.",
    record(id=TEXT, success=TEXT),
    {"id": _SETTING_ID, "success": f"TenantSetting id={_SETTING_ID} was destroyed"},
    body=fields("id", id=ID),
    body_example={"id": _SETTING_ID},
    refusals={404: "There is no setting with this id.", **_DISABLED},
    logs="tenant_setting_removed",
)
