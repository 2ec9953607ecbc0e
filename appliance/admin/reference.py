"""The calls of the admin API as a chapter of docs/admin-api.md.

Pure. Says what the OpenAPI document says, for people. Fields that only Scalelite's leniency allows
(null for what is not given) are not told apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from appliance.admin_calls.call import PREFIX, AdminCall
from appliance.admin_calls.schema import About, Schema

MARK = "<!-- The rest of this page is made of the descriptions beside the calls: make docs -->\n"

_WIDTH = 108


def render_reference(page: str, calls: Sequence[AdminCall[Any]]) -> str:
    """Return the page with what stands behind MARK made anew. Raises ValueError: no MARK."""
    head, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError("the page has no mark")
    groups: dict[str, list[str]] = {}
    for call in calls:
        if not call.local:
            groups.setdefault(call.about.group, []).append(_render_call(call, call.about))
    parts = [f"### {name.capitalize()}\n\n" + "\n".join(texts) for name, texts in groups.items()]
    return head + mark + "\n" + "\n".join(parts)


def _render_call(call: AdminCall[Any], about: About) -> str:
    query = "&".join(f"{name}={value}" for name, value in about.query_example.items())
    lines = [f"#### {call.method} {PREFIX}/{call.name}{'?' if query else ''}{query}", ""]
    lines += [about.summary, ""]
    rows = list(_rows(about.body or {}, ""))
    if rows:
        lines += ["| field | | |", "| --- | --- | --- |", *rows, ""]
    if about.body_example is not None:
        lines += [*_indent(about.body_example), ""]
    lines += [f"{about.status}:", "", *_indent(about.example), ""]
    for status, meaning in about.refusals.items():
        lines += [f"{status}: {meaning}", ""]
    return "\n".join(lines)


def _rows(body: Schema, within: str) -> Iterator[str]:
    """Yield a row for each field of a body, those of objects in it with a dotted name."""
    for name, schema in body.get("properties", {}).items():
        required = "required" if name in body.get("required", ()) else ""
        if "properties" in schema:
            yield from _rows(schema, f"{within}{name}.")
        else:
            yield f"| `{within}{name}` | {required} | {_say(schema)} |"


def _say(schema: Schema) -> str:
    """Return what a field may hold, and what it means."""
    values = [value for value in schema.get("enum", ()) if value not in ("", None)]
    if True in values:
        kind = "true or false"
    elif values:
        kind = ", ".join(f"`{value}`" for value in values)
    else:
        kinds = schema.get("type", "anything")
        kind = kinds if isinstance(kinds, str) else kinds[0]
    meaning = schema.get("description", "")
    return f"{kind}. {meaning}" if meaning else kind


def _indent(document: Any) -> list[str]:
    """Return JSON as a block of code: in one line if it fits."""
    text = json.dumps(document)
    if len(text) > _WIDTH:
        text = json.dumps(document, indent=2)
    return [f"    {line}" for line in text.split("\n")]
