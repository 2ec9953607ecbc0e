"""The OpenAPI document of the admin API, made from the declarations and types of the calls.

Pure. Source: the OpenAPI specification 3.1.1; msgspec makes the schemas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from appliance import __version__
from appliance.admin_calls.call import PREFIX, AdminCall
from appliance.admin_calls.fields import LENIENT
from appliance.admin_calls.refusal import ErrorJson
from appliance.recordings.uploads.schema import UPLOAD, UPLOAD_PATH, UPLOAD_SCHEME, UPLOAD_TOKEN

JSON = "application/json"
XML, CSV = "application/xml", "text/csv"
_ANY: dict[str, Any] = {"schema": {}}

_SCHEMAS = "#/components/schemas/"
_SUFFIX = "Json"
"""Of the classes of answers; the document names them without it."""
_ABOUT_API = (
    "Administers the pool of scalelite-appliance. Calls of Scalelite have its names, fields and "
    "status codes. A request that is denied before its call is looked at (for its checksum or the "
    "content type of its body) is answered in XML with status 200, as Scalelite does it."
)
_ABOUT_CHECKSUM = (
    "hex(HASH(name of the call + query without the checksum + secret)), HASH being SHA-1, SHA-256, "
    "SHA-384 or SHA-512 as allowed by LOADBALANCER_CHECKSUM_ALGORITHM. The secret is ADMIN_SECRET "
    "if it is set, else LOADBALANCER_SECRET or one of LOADBALANCER_SECRETS, never a tenant's. The "
    "body is not covered."
)
_ABOUT_TOKEN = (
    "An access token, made by `ctl tokens add` or addToken. `x-role` of an operation is the lowest "
    "role that may make it, `x-tenant` whether a tenant's token may: it sees and changes only what "
    "is the tenant's."
)
_COMMON = {
    400: "A field is missing or cannot be accepted; nothing was done.",
    401: "The token is unknown, has expired or was revoked.",
    403: "The role of the token is too low, or it is a tenant's.",
    408: "The body of the request did not arrive.",
    413: "The body of the request is larger than 1 MiB.",
    415: "The request has a token, and a body that is not JSON.",
    500: "The appliance failed; its log says why.",
    503: "A store is not reachable; it says so if a change may have been made.",
    504: "It took too long; a part may have been done.",
}


def make_document(calls: Sequence[AdminCall[Any]], *, uploads: bool = False) -> dict[str, Any]:
    """Return the document of the public calls; `uploads`: with the upload of recordings."""
    public = [call for call in calls if not call.local]
    answers, requests, schemas = _make_schemas(public)
    paths: dict[str, Any] = {}
    for call in public:
        operation = _describe(call, answers[call.name], requests[call.name])
        paths[f"{PREFIX}/{call.name}"] = {call.method.lower(): operation}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "scalelite-appliance: administration",
            "version": __version__,
            "description": _ABOUT_API,
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "tags": [{"name": name} for name in dict.fromkeys(call.group for call in public)],
        "security": [{"token": []}, {"checksum": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": _ABOUT_TOKEN},
                "checksum": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "checksum",
                    "description": _ABOUT_CHECKSUM,
                },
            },
        },
    }
    if uploads:
        document["paths"][UPLOAD_PATH] = UPLOAD
        document["components"]["securitySchemes"][UPLOAD_SCHEME] = UPLOAD_TOKEN
    return document


# --- schemas -------------------------------------------------------------------------------------

Schema = dict[str, Any]


def _make_schemas(
    calls: Sequence[AdminCall[Any]],
) -> tuple[dict[str, Schema], dict[str, Schema], dict[str, Schema]]:
    """Return the schemas of answers and of requests, by call, and those that they refer to.

    The schema of a GET request is given in full: its fields become parameters.
    """
    kinds = [kind for call in calls for kind in (call.answer_type, call.request_type)]
    found, components = msgspec.json.schema_components(
        [*kinds, ErrorJson], ref_template=f"{_SCHEMAS}{{name}}"
    )
    polished = [_polish(schema) for schema in found]
    answers = {call.name: polished[2 * index] for index, call in enumerate(calls)}
    requests = {call.name: polished[2 * index + 1] for index, call in enumerate(calls)}
    schemas = {name.removesuffix(_SUFFIX): _polish(one) for name, one in components.items()}
    posted = {call.request_type for call in calls if call.method != "GET"}
    for call in calls:
        if call.method == "GET":
            name = call.request_type.__name__
            requests[call.name] = schemas[name]
    for kind in {call.request_type for call in calls} - posted:
        del schemas[kind.__name__]
    return answers, requests, schemas


def _polish(value: Any) -> Any:
    """Return a schema with the names of the document, and with all values that are accepted."""
    if isinstance(value, list | tuple):
        return [_polish(item) for item in value]
    if not isinstance(value, dict):
        return value
    accepted = value.get(LENIENT)
    if accepted is not None:
        kept = {key: value[key] for key in ("description", "default") if key in value}
        return _polish({**kept, **accepted})
    polished = {key: _polish(item) for key, item in value.items()}
    for key in ("$ref", "title"):
        if isinstance(polished.get(key), str):
            polished[key] = polished[key].removesuffix(_SUFFIX)
    return polished


# --- operations ----------------------------------------------------------------------------------


def _describe(call: AdminCall[Any], answer: Schema, request: Schema) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.name.replace("/", "_"),
        "tags": [call.group],
        "summary": call.summary,
        "x-role": call.role.value,
        "x-tenant": call.of_tenants,
        "responses": _responses(call, answer),
    }
    if call.method != "GET":
        operation["requestBody"] = {
            "required": any(one.required for one in msgspec.structs.fields(call.request_type)),
            "content": {JSON: {"schema": request, "example": call.request}},
        }
    elif request["properties"]:
        operation["parameters"] = [
            {
                "name": name,
                "in": "query",
                "required": name in request["required"],
                "schema": schema,
                "example": call.request[name],
            }
            for name, schema in request["properties"].items()
        ]
    return operation


def _responses(call: AdminCall[Any], answer: Schema) -> dict[str, Any]:
    example = msgspec.to_builtins(call.example)
    content = {JSON: {"schema": answer, "example": example}}
    responses: dict[str, Any] = {
        "200": {"description": "Not done: `FAILED` with a messageKey.", "content": {}},
        str(call.status): {"description": "Done.", "content": content},
    }
    if call.known_status is not None:
        responses[str(call.known_status)]["content"] = content
    if 200 in (call.status, call.known_status):
        responses["200"]["description"] = "Done; or, in XML, not done: `FAILED` with a messageKey."
    also = [XML, *([CSV] if call.csv is not None else [])]
    responses["200"]["content"] = {**responses["200"]["content"], **dict.fromkeys(also, _ANY)}
    refusals = {**_COMMON, **call.refusals}
    if call.method == "GET":
        del refusals[408], refusals[413], refusals[415]
    error = {"$ref": f"{_SCHEMAS}{ErrorJson.__name__.removesuffix(_SUFFIX)}"}
    for status, meaning in sorted(refusals.items()):
        responses[str(status)] = {"description": meaning, "content": {JSON: {"schema": error}}}
    return responses
