"""The traces of a person in a report about a meeting, and the report without them. Pure.

Reports of other versions of BBB may be built differently, so nothing depends on their structure.
"""

from __future__ import annotations

import json
from typing import Any


def without_person(document: Any, person: str) -> Any:
    """Return a JSON document without a person, who is named by name or id.

    An element of a list or an entry of an object that is about the person is left out, any other
    text that is the name becomes empty.
    """
    if isinstance(document, dict):
        return {
            key: without_person(value, person)
            for key, value in document.items()
            if key != person and not is_about(value, person)
        }
    if isinstance(document, list):
        return [without_person(one, person) for one in document if not is_about(one, person)]
    return "" if document == person else document


def is_about(value: Any, person: str) -> bool:
    """Return whether an object is that of a person: one of its texts is the name or id."""
    return isinstance(value, dict) and any(
        text == person and _names_person(key) for key, text in value.items()
    )


def _names_person(key: str) -> bool:
    lowered = key.lower()
    return "name" in lowered or "user" in lowered or lowered == "id"


def spellings(text: str) -> list[bytes]:
    """Return how a text can be written in JSON: as it is, and with escapes."""
    plain = json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")
    return list(dict.fromkeys([plain, json.dumps(text).encode()]))
