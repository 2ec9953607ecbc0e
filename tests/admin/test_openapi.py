"""The document of the admin API: valid, whole, and its examples are what its schemas say."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from msgspec import Meta
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from appliance import __version__
from appliance.admin.openapi import make_document
from appliance.admin.routes import CALLS as ALL_CALLS
from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import Fields, Flag, RequiredText

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


def test_call_that_answers_in_csv_is_described_so() -> None:
    for call in CALLS:
        content = operation_of(call)["responses"]["200"]["content"]
        assert ("text/csv" in content) is (call.csv is not None), call.name


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
    operation = operation_of(call)

    assert call.summary.endswith(".")
    assert operation["operationId"] == call.name.replace("/", "_")
    assert operation["x-role"] == call.role
    assert operation["x-tenant"] is call.of_tenants
    if call.method == "GET":
        assert "requestBody" not in operation
        assert not call.logs, "a GET changes nothing"
    else:
        assert "parameters" not in operation, "a POST has its fields in the body"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_examples_are_what_the_schemas_say(call: AdminCall[Any]) -> None:
    operation = operation_of(call)

    answer = operation["responses"][str(call.status)]["content"]["application/json"]
    check(answer["example"], answer["schema"])
    if call.method != "GET":
        body = operation["requestBody"]["content"]["application/json"]
        check(body["example"], body["schema"])
    for parameter in operation.get("parameters", ()):
        check(parameter["example"], parameter["schema"])


class PartJson(Answer, frozen=True):
    """A part."""

    kind: Annotated[str, Meta(description="Its kind.", examples=["wheel"])]


class WholeJson(Answer, frozen=True):
    """Parts."""

    first: PartJson | None
    parts: list[PartJson]


class PartFields(Fields, frozen=True):
    """Fields of a part."""

    kind: RequiredText
    spare: Annotated[Flag, Meta(description="Whether there is another.")] = False


class PartRequest(Fields, frozen=True):
    """A part to be made."""

    part: PartFields


async def make_part(deps: None, call: Call[PartRequest]) -> WholeJson:
    """Answer an example."""
    part = PartJson(call.read().part.kind)
    return WholeJson(part, [part])


def test_document_has_the_types_of_the_handler() -> None:
    example = WholeJson(None, [PartJson("wheel")])
    request = {"part": {"kind": "wheel"}}
    calls = [
        AdminCall(name, "POST", make_part, "x", "Y.", example, request=request, role=Role.ADMIN)
        for name in ("a", "b")
    ]

    document = make_document(calls)

    schemas = document["components"]["schemas"]
    reference = {"$ref": "#/components/schemas/Part"}
    assert set(schemas) >= {"Whole", "Part", "PartRequest", "PartFields", "Error"}
    first = schemas["Whole"]["properties"]["first"]["anyOf"]  # in no order
    assert reference in first
    assert {"type": "null"} in first
    assert schemas["Whole"]["properties"]["parts"]["items"] == reference
    assert schemas["Part"]["properties"]["kind"] == {
        "type": "string",
        "description": "Its kind.",
        "examples": ["wheel"],
    }
    assert schemas["PartFields"]["required"] == ["kind"]
    body = document["paths"]["/scalelite/api/a"]["post"]["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["example"] == request


def test_document_shows_every_value_that_is_accepted() -> None:
    call = AdminCall("a", "POST", make_part, "x", "Y.", None, role=Role.ADMIN)

    spare = make_document([call])["components"]["schemas"]["PartFields"]["properties"]["spare"]

    assert spare["description"] == "Whether there is another."
    assert spare["default"] is False
    assert {True, "true", "no", None} <= set(spare["enum"])
    assert "type" not in spare
