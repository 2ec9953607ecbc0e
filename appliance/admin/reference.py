"""The calls of the admin API as a chapter of docs/admin-api.md, made from the OpenAPI document.

Pure. Values that only Scalelite's leniency allows (null for a field that is not given) are omitted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from appliance.admin.openapi import JSON, make_document
from appliance.admin_calls.call import PREFIX, AdminCall

MARK = "<!-- The rest of this page is made of the descriptions beside the calls: make docs -->\n"

_WIDTH = 108

Schema = dict[str, Any]


def render_reference(page: str, calls: Sequence[AdminCall[Any]]) -> str:
    """Return the page with the part behind MARK replaced. Raises ValueError: no MARK."""
    head, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError("the page has no mark")
    document = make_document(calls)
    groups: dict[str, list[str]] = {}
    for call in calls:
        if not call.local:
            groups.setdefault(call.group, []).append(_render_call(call, document))
    parts = [f"### {name.capitalize()}\n\n" + "\n".join(texts) for name, texts in groups.items()]
    return head + mark + "\n" + "\n".join(parts)


def _render_call(call: AdminCall[Any], document: dict[str, Any]) -> str:
    operation = document["paths"][f"{PREFIX}/{call.name}"][call.method.lower()]
    heading = f"#### {call.method} {PREFIX}/{call.name}"
    lines: list[str] = []
    if call.method == "GET":
        query = "&".join(f"{name}={value}" for name, value in call.request.items())
        heading += f"?{query}" if query else ""
    else:
        body = operation["requestBody"]["content"][JSON]
        rows = list(_rows(body["schema"], document["components"]["schemas"], ""))
        if rows:
            lines += ["| field | | |", "| --- | --- | --- |", *rows, ""]
        lines += [*_indent(call.request), ""]
    example = operation["responses"][str(call.status)]["content"][JSON]["example"]
    lines += [f"{call.status}:", "", *_indent(example), ""]
    for status, meaning in call.refusals.items():
        lines += [f"{status}: {meaning}", ""]
    role = f"Role: {call.role}{', also of a tenant' if call.of_tenants else ''}."
    return "\n".join([heading, "", f"{call.summary} {role}", "", *lines])


def _rows(schema: Schema, schemas: dict[str, Schema], within: str) -> Iterator[str]:
    """Yield a row for each field of a body, those of objects in it with a dotted name."""
    record = _resolve(schema, schemas)
    for name, field in record["properties"].items():
        if "$ref" in field:
            yield from _rows(field, schemas, f"{within}{name}.")
        else:
            required = "required" if name in record["required"] else ""
            yield f"| `{within}{name}` | {required} | {_say(field)} |"


def _resolve(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    return schemas[schema["$ref"].rpartition("/")[2]]


def _say(schema: Schema) -> str:
    """Describe the values of a field, and their meaning."""
    meaning = schema.get("description", "")
    kind = _say_kind(schema)
    return f"{kind}. {meaning}" if meaning else kind


def _say_kind(schema: Schema) -> str:
    values = [value for value in schema.get("enum", ()) if value not in ("", None)]
    if True in values:
        return "true or false"
    if values:
        return ", ".join(f"`{value}`" for value in values)
    kinds = schema.get("type", "anything")
    if "anyOf" in schema:
        kinds = schema["anyOf"][0]["type"]
    return kinds if isinstance(kinds, str) else str(kinds[0])


def _indent(document: Any) -> list[str]:
    """Render JSON as a block of code: on one line if it fits."""
    text = json.dumps(document)
    if len(text) > _WIDTH:
        text = json.dumps(document, indent=2)
    return [f"    {line}" for line in text.split("\n")]
