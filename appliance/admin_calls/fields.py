"""The fields of admin requests: how they are read, and how the OpenAPI document describes them.

A request type is a subclass of `Fields`, and each of its fields has one of the types below. They
are lenient where Scalelite is (Rails' parameters): numbers and flags may be texts, null means that
a field is not given, and the fields of a record may stand at the top instead of under its name.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache, partial
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import Meta

Json = dict[str, Any]
Reader = Callable[[Mapping[str, Any], str], Any]
"""Reads one field by its name. Raises BadRequest."""

LENIENT = "x-lenient"
"""Key of the schema that describes accepted values where the type of a field is narrower."""

_READ = "read"
_MAX_SORTED = 8192
"""Names whose sort key is remembered."""
_TRUE = re.compile(r"true|1|yes|on", re.IGNORECASE).fullmatch
_FALSE = re.compile(r"false|0|no|off|", re.IGNORECASE).fullmatch


class BadRequest(Exception):
    """The request cannot be understood; `str()` says why."""


class Fields(msgspec.Struct, frozen=True):
    """The fields of a request. Unknown fields are ignored."""


class NoFields(Fields, frozen=True):
    """A request without fields."""


# --- reading -------------------------------------------------------------------------------------

F = TypeVar("F", bound=Fields)


def parse_body(body: bytes) -> Json:
    """Parse a body: a JSON object, or nothing. Raises BadRequest."""
    if not body.strip():
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("the body is not valid JSON") from None
    if not isinstance(document, dict):
        raise BadRequest("the body must be a JSON object")
    return document


def merge_fields(body: Json, query: Iterable[tuple[str, str]]) -> Json:
    """Merge the fields of a request; of several parameters with one name the first counts.

    The query wins, as with Rails: the checksum covers it, so that a body cannot make a signed
    address mean another server.
    """
    merged = dict(body)
    merged.update(reversed(list(query)))
    return merged


def read_fields(kind: type[F], fields: Mapping[str, Any]) -> F:
    """Read a request. Raises BadRequest, and what its own readers raise."""
    return kind(**{name: read(fields, name) for name, read in _readers_of(kind).items()})


def read_field(kind: type[Fields], fields: Mapping[str, Any], name: str) -> Any:
    """Read a single field of a request. Raises as `read_fields`."""
    return _readers_of(kind)[name](fields, name)


@cache
def _readers_of(kind: type[Fields]) -> dict[str, Reader]:
    info = cast(msgspec.inspect.StructType, msgspec.inspect.type_info(kind))
    return {
        field.name: partial(_read_named, _reader_of(field.type), field.encode_name)
        for field in info.fields
    }


def _read_named(read: Reader, encoded: str, fields: Mapping[str, Any], name: str) -> Any:
    """Read a field whose name in requests may differ: `from` is a word of Python."""
    return read(fields, encoded)


def _reader_of(kind: msgspec.inspect.Type) -> Reader:
    while isinstance(kind, msgspec.inspect.Metadata):
        if kind.extra and _READ in kind.extra:
            reader: Reader = kind.extra[_READ]
            return reader
        kind = kind.type
    record = cast(type[Fields], cast(msgspec.inspect.StructType, kind).cls)
    return partial(_record, record)


def _record(kind: type[Fields], fields: Mapping[str, Any], name: str) -> Fields:
    return read_fields(kind, nested(fields, name))


def nested(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the fields of a record: under its name, or all of them. Raises BadRequest."""
    found = fields.get(name)
    if found is None:
        return fields
    if not isinstance(found, dict):
        raise BadRequest(f"{name} must be a JSON object")
    return found


def text(fields: Mapping[str, Any], name: str) -> str | None:
    """Read a text; None if it is missing or null. Raises BadRequest."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise BadRequest(f"{name} must be a text")


def _text_or_empty(fields: Mapping[str, Any], name: str) -> str:
    return text(fields, name) or ""


def required(read: Reader) -> Reader:
    """Refuse a request in which the value of a field is missing or empty."""

    def read_required(fields: Mapping[str, Any], name: str) -> Any:
        value = read(fields, name)
        if not value:
            raise BadRequest(f"{name} is missing")
        return value

    return read_required


def texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Read a list of texts; empty if it is missing or null. Raises BadRequest."""
    value = fields.get(name)
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise BadRequest(f"{name} must be a list of texts")


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Read a boolean, given as such or as a word; false if it is missing. Raises BadRequest."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and (_TRUE(value) or _FALSE(value)):
        return _TRUE(value) is not None
    raise BadRequest(f"{name} must be true or false")


def number(fields: Mapping[str, Any], name: str) -> float | None:
    """Read a number, given as such or as text; None if it is missing or empty.

    Raises BadRequest.
    """
    value = fields.get(name)
    if value is None or value == "":
        return None
    # float() takes `1_0`, which JSON and other programs do not, and digits of every script.
    odd = isinstance(value, str) and ("_" in value or not value.isascii())
    if isinstance(value, int | float | str) and not isinstance(value, bool) and not odd:
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise BadRequest(f"{name} must be a number")


def whole(fields: Mapping[str, Any], name: str) -> int | None:
    """Read a whole number as `number` does. Raises BadRequest."""
    value = number(fields, name)
    if value is None:
        return None
    if not value.is_integer():
        raise BadRequest(f"{name} must be a whole number")
    return int(value)


def count(fields: Mapping[str, Any], name: str) -> int:
    """Read a whole number of at most 15 digits; 0 if it is missing or empty. Raises BadRequest."""
    value = fields.get(name)
    if value is None or value == "":
        return 0
    word = str(value)
    if isinstance(value, bool) or not (word.isascii() and word.isdigit() and len(word) < 16):
        raise BadRequest(f"{name} must be a whole number")
    return int(word)


def _limit(fields: Mapping[str, Any], name: str, *, default: int, maximum: int) -> int:
    given = fields.get(name)
    if given in (None, ""):
        return default
    word = str(given)
    value = int(word) if word.isascii() and word.isdecimal() and len(word) < 9 else 0
    if not 1 <= value <= maximum:
        raise BadRequest(f"{name} must be from 1 to {maximum}")
    return value


def _word(
    fields: Mapping[str, Any], name: str, *, allowed: tuple[str, ...], refusal: str
) -> str | None:
    word = text(fields, name)
    if word and word not in allowed:
        raise BadRequest(refusal.format(word))
    return word


# --- types of fields -----------------------------------------------------------------------------


def reads(read: Reader, accepts: Json | None = None) -> Meta:
    """Annotate a field with its reader; `accepts` describes its values if its type does not."""
    extra_json_schema = None if accepts is None else {LENIENT: accepts}
    return Meta(extra={_READ: read}, extra_json_schema=extra_json_schema)


def limit(default: int, maximum: int) -> Meta:
    """Annotate a maximum number of entries."""
    accepts = {"type": ["integer", "string", "null"], "minimum": 1, "maximum": maximum}
    meaning = f"Maximum number of entries; default: {default}."
    return Meta(
        description=meaning,
        extra={_READ: partial(_limit, default=default, maximum=maximum)},
        extra_json_schema={LENIENT: accepts},
    )


def one_of(*allowed: str, refusal: str) -> Meta:
    """Annotate a text with few values, or none; `{}` in `refusal` stands for the given one."""
    read = partial(_word, allowed=allowed, refusal=refusal)
    return reads(read, {"enum": [*allowed, "", None]})


GivenText = Annotated[str, Meta(min_length=1)]
"""An element of a list of texts."""
Text = Annotated[str, reads(_text_or_empty)]
"""Empty if it is missing; the call says what is wrong with an empty one."""
OptionalText = Annotated[str | None, reads(text)]
RequiredText = Annotated[str, Meta(min_length=1), reads(required(text))]
FLAG_VALUES: Json = {
    "enum": [True, False, None, "true", "false", "1", "0", "yes", "no", "on", "off", ""]
}
Flag = Annotated[bool, reads(flag, FLAG_VALUES)]
NUMBER_VALUES: Json = {"type": ["number", "string", "null"]}
OptionalNumber = Annotated[float | None, reads(number, NUMBER_VALUES)]
WHOLE_VALUES: Json = {"type": ["integer", "string", "null"]}
OptionalWhole = Annotated[int | None, reads(whole, WHOLE_VALUES)]
Count = Annotated[int, reads(count, WHOLE_VALUES)]
TEXTS_VALUES: Json = {"type": ["array", "null"], "items": {"type": "string", "minLength": 1}}
Texts = Annotated[tuple[str, ...], reads(texts, TEXTS_VALUES)]
RequiredTexts = Annotated[tuple[GivenText, ...], Meta(min_length=1), reads(required(texts))]


@lru_cache(_MAX_SORTED)
def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts bbb2 before bbb10."""
    parts = re.split(r"(\d{1,18})", text.lower())
    return tuple(
        (0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts)
    )
