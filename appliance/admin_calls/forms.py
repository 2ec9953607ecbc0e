"""Reads the fields of admin calls: a JSON body and the query. Pure.

The documents of each feature are in its `admin_json.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]

_TRUE = re.compile(r"true|1|yes|on", re.IGNORECASE).fullmatch
_FALSE = re.compile(r"false|0|no|off|", re.IGNORECASE).fullmatch
_LONE = re.compile("[\ud800-\udfff]").search
"""JSON can spell it, but it is no text that could be stored."""


class BadRequest(Exception):
    """The request cannot be understood; `str()` says why."""


# --- bodies --------------------------------------------------------------------------------------


def parse_body(body: bytes) -> Json:
    """Parse a body: a JSON object, or nothing. Raises BadRequest."""
    if not body.strip():
        return {}
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise BadRequest("the body is not valid JSON") from None
    if not isinstance(document, dict):
        raise BadRequest("the body must be a JSON object")
    if b"\\u" in body and _LONE(json.dumps(document, ensure_ascii=False)):
        raise BadRequest("the body must not hold half a surrogate pair")
    return document


def merge_fields(body: Json, query: Iterable[tuple[str, str]]) -> Json:
    """Return the fields of a request; of several parameters with one name the first counts.

    The query wins, as with Rails: it is what a checksum covers, so nobody can make a signed
    address mean another server by the body.
    """
    merged = dict(body)
    merged.update(reversed(list(query)))
    return merged


def server_fields(body: Json) -> Json:
    """Return the fields of a server: under `server`, or at the top as Rails accepts them too."""
    nested = body.get("server")
    if nested is None:
        return body
    if not isinstance(nested, dict):
        raise BadRequest("server must be a JSON object")
    return nested


def text(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a text field; None if it is missing or null. Raises BadRequest: it is no text."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise BadRequest(f"{name} must be a text")


def texts(fields: Mapping[str, Any], name: str) -> list[str]:
    """Return a list of texts, empty if it is missing. Raises BadRequest."""
    value = fields.get(name)
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return value
    raise BadRequest(f"{name} must be a list of texts")


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Return a boolean, given as such or as a word; false if it is missing. Raises BadRequest."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and (_TRUE(value) or _FALSE(value)):
        return _TRUE(value) is not None
    raise BadRequest(f"{name} must be true or false")


def limit(fields: Mapping[str, Any], default: int, most: int) -> int:
    """Return how many rows are asked for. Raises BadRequest."""
    given = fields.get("limit")
    if given in (None, ""):
        return default
    word = str(given)
    number = int(word) if word.isascii() and word.isdecimal() and len(word) < 9 else 0
    if not 1 <= number <= most:
        raise BadRequest(f"limit must be from 1 to {most}")
    return number


def number(fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise BadRequest(f"{name} must be a number")


def whole(fields: Mapping[str, Any], name: str) -> int | None:
    value = number(fields, name)
    if value is None:
        return None
    if not value.is_integer():
        raise BadRequest(f"{name} must be a whole number")
    return int(value)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts bbb2 before bbb10."""
    parts = re.split(r"(\d{1,18})", text.lower())
    return tuple(
        (0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts)
    )
