"""Fields of admin requests: lenient as Scalelite is, strict otherwise."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin_calls.fields import (
    BadRequest,
    Count,
    Fields,
    Flag,
    OptionalNumber,
    OptionalText,
    OptionalWhole,
    RequiredText,
    RequiredTexts,
    Text,
    Texts,
    limit,
    merge_fields,
    one_of,
    parse_body,
    read_field,
    read_fields,
)


class InnerFields(Fields, frozen=True):
    """A record."""

    x: Flag = False
    note: OptionalText = None


class OuterFields(Fields, frozen=True):
    """A request."""

    name: Text = ""
    tags: Texts = ()
    number: OptionalNumber = None
    whole: OptionalWhole = None
    count: Count = 0
    limit: Annotated[int, limit(5, 10)] = 5
    word: Annotated[str | None, one_of("one", "two", refusal="{} is not one or two")] = None
    inner: InnerFields = msgspec.field(default_factory=InnerFields)


class StrictFields(Fields, frozen=True):
    """A request with required fields."""

    id: RequiredText
    ids: RequiredTexts


def read(**fields: Any) -> OuterFields:
    return read_fields(OuterFields, fields)


# --- bodies and queries --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b"1", b"\xff", b"[" * 100_000, b'{"a": 1e400}', b'{"a": NaN}']
)
def test_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_body(body)


@given(st.binary(max_size=200))
def test_any_body_is_an_object_or_refused(body: bytes) -> None:
    try:
        assert isinstance(parse_body(body), dict)
    except BadRequest:
        return


@pytest.mark.parametrize(
    "body",
    [b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": ["\\ud83d"]}', b'{"a": "\xed\xa0\x80"}'],
)
def test_half_a_surrogate_pair_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_body(body)


def test_whole_surrogate_pair_is_text() -> None:
    assert parse_body(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_empty_body_has_no_fields() -> None:
    assert parse_body(b" \n") == {}


def test_query_wins_over_the_body_and_its_first_value_counts() -> None:
    merged = merge_fields({"id": "body", "x": 1}, [("id", "first"), ("id", "second")])

    assert merged == {"id": "first", "x": 1}


# --- records -------------------------------------------------------------------------------------


def test_fields_of_a_record_stand_under_its_name_or_at_the_top() -> None:
    nested = read(inner={"x": True, "note": "n"}, x=False)

    assert nested.inner == read(x=True, note="n").inner == InnerFields(x=True, note="n")
    assert read(inner=None, x="on").inner == InnerFields(x=True)
    with pytest.raises(BadRequest, match="inner must be a JSON object"):
        read(inner="x")


def test_unknown_fields_are_ignored() -> None:
    assert read(unknown=1) == OuterFields()


def test_single_field_is_read_without_the_others() -> None:
    assert read_field(StrictFields, {"id": "x", "ids": 7}, "id") == "x"


# --- values --------------------------------------------------------------------------------------


def test_missing_and_null_fields_have_their_defaults() -> None:
    assert read() == OuterFields()
    assert read(**dict.fromkeys(OuterFields.__struct_fields__)) == OuterFields()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("name", "n", "n"),
        ("tags", ["a", "b"], ("a", "b")),
        ("number", "2.5", 2.5),
        ("number", 3, 3.0),
        ("number", "", None),
        ("whole", "7", 7),
        ("whole", 7.0, 7),
        ("whole", "", None),
        ("count", "12", 12),
        ("count", 12, 12),
        ("count", "", 0),
        ("limit", "7", 7),
        ("limit", 7, 7),
        ("limit", "", 5),
        ("word", "two", "two"),
        ("word", "", ""),
    ],
)
def test_value_is_read(field: str, value: object, expected: object) -> None:
    assert getattr(read(**{field: value}), field) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((word, True) for word in (True, "true", "1", "Yes", "ON")),
        *((word, False) for word in (False, None, "", "False", "0", "no", "off")),
    ],
)
def test_flag_is_read(value: object, expected: bool) -> None:
    assert read(x=value).inner.x is expected


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("name", 7, "name must be a text"),
        ("tags", "a", "tags must be a list of texts"),
        ("tags", ["a", ""], "tags must be a list of texts"),
        ("tags", ["a", 1], "tags must be a list of texts"),
        ("number", "much", "number must be a number"),
        ("number", True, "number must be a number"),
        ("number", "1_0", "number must be a number"),
        ("number", "٣", "number must be a number"),
        ("number", "1²", "number must be a number"),
        ("whole", "1_0", "whole must be a number"),
        ("whole", "٣", "whole must be a number"),
        ("count", "1_0", "count must be a whole number"),
        ("count", "٣", "count must be a whole number"),
        ("number", [1], "number must be a number"),
        ("whole", 1.5, "whole must be a whole number"),
        ("whole", "1e400", "whole must be a whole number"),
        ("count", -1, "count must be a whole number"),
        ("count", "²", "count must be a whole number"),
        ("count", True, "count must be a whole number"),
        ("limit", "0", "limit must be from 1 to 10"),
        ("limit", 11, "limit must be from 1 to 10"),
        ("limit", "x", "limit must be from 1 to 10"),
        ("word", "three", "three is not one or two"),
        ("word", 1, "word must be a text"),
        ("x", "perhaps", "x must be true or false"),
        ("x", 7, "x must be true or false"),
    ],
)
def test_odd_value_is_refused_with_the_name_of_its_field(
    field: str, value: object, reason: str
) -> None:
    with pytest.raises(BadRequest) as refusal:
        read(**{field: value})
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "id is missing"),
        ({"id": "", "ids": ["a"]}, "id is missing"),
        ({"id": "x"}, "ids is missing"),
        ({"id": "x", "ids": []}, "ids is missing"),
        ({"id": "x", "ids": [1]}, "ids must be a list of texts"),
    ],
)
def test_required_field_that_is_missing_is_named(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_fields(StrictFields, fields)
    assert str(refusal.value) == reason
