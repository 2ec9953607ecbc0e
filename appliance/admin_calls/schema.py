"""How an admin call describes itself: what it takes, what it answers, what it logs.

Pure. openapi.py makes the document of the API out of the descriptions, and the tests hold the
running API to it. Schemas are JSON Schema 2020-12, as OpenAPI 3.1 has it. They say what is
accepted, Scalelite's leniency included (numbers as texts, null for what is not given).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]


class Named(Schema):
    """A schema that the document holds once, under its name."""

    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        super().__init__(schema)
        self.name = name


@dataclass(frozen=True, slots=True)
class About:
    """The description of one call."""

    group: str
    """The field of administration under which it is listed."""
    summary: str
    """One line; what else is to be said stands in the descriptions of the fields."""
    answer: Schema
    example: Any
    """An answer."""
    status: int = 200
    """Of that answer."""
    query: Mapping[str, Schema] = field(default_factory=dict)
    """Its parameters if it is a GET."""
    optional: tuple[str, ...] = ()
    """Those of them that may be missing."""
    query_example: Mapping[str, str] = field(default_factory=dict)
    body: Schema | None = None
    body_example: Any = None
    refusals: Mapping[int, str] = field(default_factory=dict)
    """Other statuses, with what they mean, besides those that every call may have."""
    logs: str = ""
    """The event that tells who made the change; empty: the call changes nothing."""


def record(**properties: Schema) -> Schema:
    """Return the schema of an object of an answer: it has all of these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def fields(*required: str, **properties: Schema) -> Schema:
    """Return the schema of an object of a request: others are ignored."""
    return {"type": "object", "properties": properties, "required": list(required)}


def list_of(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def told(description: str, schema: Schema, **more: Any) -> Schema:
    """Return a schema with a description, and further keywords."""
    return {**schema, **more, "description": description}


def one_of(*words: str) -> Schema:
    """Return the schema of a text of an answer that has few values."""
    return {"type": "string", "enum": list(words)}


TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
TRUTH: Schema = {"type": "boolean"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
WHOLE_OR_NULL: Schema = {"type": ["integer", "null"]}

# --- what requests hold --------------------------------------------------------------------------

GIVEN_TEXT: Schema = {"type": "string", "minLength": 1}
"""Must be there."""
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
MAYBE_NUMBER: Schema = {"type": ["number", "string", "null"]}
MAYBE_WHOLE: Schema = {"type": ["integer", "string", "null"]}
MAYBE_TEXTS: Schema = {"type": ["array", "null"], "items": GIVEN_TEXT}
MAYBE_FLAG: Schema = {
    "enum": [True, False, None, "true", "false", "1", "0", "yes", "no", "on", "off", ""]
}
ID: Schema = told("The id, as the lists show it.", GIVEN_TEXT)


def limit(default: int, most: int) -> Schema:
    """Return the schema of the parameter that says how many rows are wanted (admin_json.limit)."""
    bounds = {**MAYBE_WHOLE, "minimum": 1, "maximum": most}
    return told(f"At most so many; default: {default}.", bounds)


# --- what every call may answer ------------------------------------------------------------------

ERROR = Named(
    "Error",
    {
        "type": "object",
        "description": "Why the call was not done, in one line. A few calls say it in `message`, "
        "as Scalelite's do.",
        "properties": {
            "error": TEXT,
            "message": TEXT,
            "kind": told(
                "What can be done about it.",
                one_of("invalid", "not_found", "confirmation_needed", "unreachable"),
            ),
            "problems": told("Everything that is wrong, one by one.", list_of(TEXT)),
        },
        "anyOf": [{"required": ["error"]}, {"required": ["message"]}],
    },
)
