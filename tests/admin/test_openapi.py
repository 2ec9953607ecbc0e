"""The document of the admin API: valid, whole, and its examples are what its schemas say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from appliance import __version__
from appliance.admin.openapi import make_document
from appliance.admin.routes import CALLS as ALL_CALLS
from appliance.admin_calls.call import AdminCall
from appliance.admin_calls.schema import About, Named, list_of, record

CALLS = [call for call in ALL_CALLS if not call.local]
DOCUMENT = json.loads(json.dumps(make_document(CALLS)))


def check(instance: Any, schema: dict[str, Any]) -> None:
    """Raise if an instance is not what a schema of the document says."""
    whole = {**schema, "components": DOCUMENT["components"]}
    OAS31Validator(whole).validate(instance)


def operation_of(call: AdminCall[Any]) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][f"/scalelite/api/{call.name}"][call.method.lower()]
    return found


def test_document_is_valid_openapi_3_1() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == __version__


def test_upload_of_recordings_is_described_where_it_is_taken() -> None:
    path = "/scalelite/api/recordings/{recordID}"
    document = make_document(CALLS, uploads=True)

    validate(document, cls=OpenAPIV31SpecValidator)
    assert path not in DOCUMENT["paths"]
    (scheme,) = document["paths"][path]["put"]["security"][0]
    assert document["components"]["securitySchemes"][scheme]["scheme"] == "bearer"
    assert set(document["paths"][path]["put"]["tags"]) <= {one["name"] for one in document["tags"]}


def test_names_of_calls_are_unique() -> None:
    assert len({call.name for call in ALL_CALLS}) == len(ALL_CALLS)


def test_local_call_is_in_no_document() -> None:
    local = [call.name for call in ALL_CALLS if call.local]

    assert "importRecording" in local  # it reads a file of this machine
    assert not [
        name for name in local if f"/scalelite/api/{name}" in make_document(ALL_CALLS)["paths"]
    ]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_call_is_described(call: AdminCall[Any]) -> None:
    about = call.about

    assert about.summary.endswith(".")
    assert operation_of(call)["operationId"] == call.name
    if call.method == "GET":
        assert about.body is None
        assert not about.logs, "a GET changes nothing"
    else:
        assert not about.query, "a POST has its fields in the body"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_examples_are_what_the_schemas_say(call: AdminCall[Any]) -> None:
    about = call.about
    operation = operation_of(call)
    answer = operation["responses"][str(about.status)]["content"]["application/json"]

    check(about.example, answer["schema"])
    if about.body is not None:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        assert about.body_example is not None, "show a body"
        check(about.body_example, body)


def test_named_schema_is_held_once_even_inside_another() -> None:
    inner = Named("Inner", record(a={"type": "string"}))
    outer = Named("Outer", record(inner=inner, more=list_of(inner)))

    async def handler(*_: Any) -> Any:
        return {}, 200

    calls = [
        AdminCall(name, "GET", handler, about=About("x", "Y.", outer, {})) for name in ("a", "b")
    ]
    schemas = make_document(calls)["components"]["schemas"]

    reference = {"$ref": "#/components/schemas/Inner"}
    assert set(schemas) == {"Inner", "Outer", "Error"}
    assert schemas["Outer"]["properties"]["inner"] == reference
    assert schemas["Outer"]["properties"]["more"]["items"] == reference
