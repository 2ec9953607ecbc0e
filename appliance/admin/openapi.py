"""The OpenAPI document of the admin API, made out of the tables of calls.

Pure. Truth: the OpenAPI 3.1.1 specification; the descriptions beside the calls (admin_schema.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from appliance import __version__
from appliance.admin_calls.call import PREFIX, AdminCall
from appliance.admin_calls.schema import ERROR, About, Named, Schema
from appliance.recordings.upload_schema import UPLOAD, UPLOAD_PATH, UPLOAD_SCHEME, UPLOAD_TOKEN

JSON = "application/json"
XML = "application/xml"

_ABOUT_API = (
    "Administers the pool of scalelite-appliance. Calls of Scalelite have its names, fields and "
    "status codes. Whatever is wrong with a request before its call is looked at (the checksum, "
    "the content type of the body) is told in XML with status 200, as Scalelite does it."
)
_ABOUT_CHECKSUM = (
    "hex(HASH(name of the call + query without the checksum + secret)), HASH being SHA-1, SHA-256, "
    "SHA-384 or SHA-512 as allowed by LOADBALANCER_CHECKSUM_ALGORITHM. The secret is ADMIN_SECRET "
    "if it is set, else LOADBALANCER_SECRET or one of LOADBALANCER_SECRETS, never a tenant's. The "
    "body is not covered."
)
_COMMON = {
    400: "A field is missing or cannot be accepted; nothing was done.",
    408: "The body of the request did not arrive.",
    413: "The body of the request is larger than 1 MiB.",
    500: "The appliance failed; its log says why.",
    503: "A store is not reachable.",
    504: "It took too long; a part may have been done.",
}
_ANYTHING: Schema = {}


def make_document(calls: Sequence[AdminCall[Any]], *, uploads: bool = False) -> dict[str, Any]:
    """Return the document that describes calls; `uploads`: recordings are taken, too."""
    paths: dict[str, Any] = {}
    for call in calls:
        if not call.local:
            operation = _describe(call.name, call.about)
            paths.setdefault(f"{PREFIX}/{call.name}", {})[call.method.lower()] = operation
    schemas: dict[str, Any] = {}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "scalelite-appliance: administration",
            "version": __version__,
            "description": _ABOUT_API,
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "tags": [{"name": name} for name in _groups_of(calls)],
        "security": [{"checksum": []}],
        "paths": _refer(paths, schemas),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "checksum": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "checksum",
                    "description": _ABOUT_CHECKSUM,
                }
            },
        },
    }
    if uploads:
        document["paths"][UPLOAD_PATH] = UPLOAD
        document["components"]["securitySchemes"][UPLOAD_SCHEME] = UPLOAD_TOKEN
    return document


def _groups_of(calls: Iterable[AdminCall[Any]]) -> list[str]:
    return list(dict.fromkeys(call.about.group for call in calls if not call.local))


def _describe(name: str, about: About) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "tags": [about.group],
        "summary": about.summary,
        "responses": _responses(about),
    }
    if about.query:
        operation["parameters"] = [
            {
                "name": key,
                "in": "query",
                "required": key not in about.optional,
                "schema": schema,
                "example": about.query_example[key],
            }
            for key, schema in about.query.items()
        ]
    if about.body is not None:
        content: dict[str, Any] = {"schema": about.body}
        if about.body_example is not None:
            content["example"] = about.body_example
        operation["requestBody"] = {
            "required": bool(about.body.get("required")),
            "content": {JSON: content},
        }
    return operation


def _responses(about: About) -> dict[str, Any]:
    content = {JSON: {"schema": about.answer, "example": about.example}}
    responses: dict[str, Any] = {
        "200": {"description": "Not done: `FAILED` with a messageKey.", "content": {}},
        str(about.status): {"description": "Done.", "content": content},
    }
    if about.status == 200:
        responses["200"]["description"] = "Done; or, in XML, not done: `FAILED` with a messageKey."
    responses["200"]["content"] = {**responses["200"]["content"], XML: {"schema": _ANYTHING}}
    refusals = {**_COMMON, **about.refusals}
    if about.body is None:
        del refusals[408], refusals[413]
    for status, meaning in sorted(refusals.items()):
        responses[str(status)] = {"description": meaning, "content": {JSON: {"schema": ERROR}}}
    return responses


def _refer(value: Any, schemas: dict[str, Any]) -> Any:
    """Return a copy in which named schemas are references, the schemas themselves collected."""
    if isinstance(value, Named):
        if value.name not in schemas:
            schemas[value.name] = None  # keeps its place, should it hold another one
            schemas[value.name] = _refer(dict(value), schemas)
        return {"$ref": f"#/components/schemas/{value.name}"}
    if isinstance(value, dict):
        return {key: _refer(item, schemas) for key, item in value.items()}
    if isinstance(value, list):
        return [_refer(item, schemas) for item in value]
    return value
