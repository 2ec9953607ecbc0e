"""Tags, sizes and durations that a create asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bbb.params import Params, parse_query
from appliance.meetings.create_params import (
    effective_tag,
    max_participants,
    parse_tag,
    size_hint,
)
from appliance.meetings.placement import TagRequest


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("!", None),
        (" ! ", None),
        (";", None),
        (" ; ;! ", None),
        ("a", TagRequest(("a",), False)),
        ("a!", TagRequest(("a",), True)),
        (" a ! ", TagRequest(("a",), True)),
        ("a;b", TagRequest(("a", "b"), False)),
        (" a ; ;b;", TagRequest(("a", "b"), False)),
        ("b;a;b!", TagRequest(("b", "a"), True)),
        ("none", TagRequest(("none",), False)),
        ("a;none!", TagRequest(("a", "none"), True)),
        ("a!;b", TagRequest(("a!", "b"), False)),
        ("two words;A", TagRequest(("two words", "A"), False)),
    ],
)
def test_tag_is_parsed(value: str | None, expected: TagRequest | None) -> None:
    assert parse_tag(value) == expected


tags = st.text("ab !;")


@given(tags)
def test_parsed_tag_has_only_clean_parts(value: str) -> None:
    request = parse_tag(value)

    if request is not None:
        assert request.tags
        assert len(set(request.tags)) == len(request.tags)
        assert all(tag == tag.strip() and tag and ";" not in tag for tag in request.tags)
        assert request.required == value.rstrip().endswith("!")


@given(tags)
def test_parsed_tag_is_the_same_when_written_again(value: str) -> None:
    request = parse_tag(value)

    if request is not None:
        # A part may end in "!" itself; a last ";" keeps that from being read as the mark.
        assert parse_tag(";".join(request.tags) + (";!" if request.required else ";")) == request


def tagged(value: str | None) -> Params:
    return () if value is None else (("meta_server-tag", value),)


@pytest.mark.parametrize(
    ("tenant_override", "override", "request_tag", "tenant_default", "default", "tag"),
    [
        (None, None, None, None, None, None),
        ("a", "b", "c", "d", "e", "a"),
        (None, "b", "c", "d", "e", "b"),
        (None, None, "c", "d", "e", "c"),
        (None, None, None, "d", "e", "d"),
        (None, None, None, None, "e", "e"),
        ("", " ", "", "", "e", "e"),
        ("", "", "", "", "", None),
        (None, None, " c! ", None, "e", "c!"),
        (None, None, "!", None, "e!", "!"),
    ],
)
def test_effective_tag_is_the_strongest_that_is_not_empty(
    tenant_override: str | None,
    override: str | None,
    request_tag: str | None,
    tenant_default: str | None,
    default: str | None,
    tag: str | None,
) -> None:
    assert (
        effective_tag(
            (("name", "x"), *tagged(request_tag)),
            defaults=[tagged(default), tagged(tenant_default)],
            overrides=[tagged(override), tagged(tenant_override)],
        )
        == tag
    )


def test_effective_tag_is_not_the_requests_when_that_is_excluded() -> None:
    excluded = frozenset({"meta_server-tag"})

    tag = effective_tag(tagged("a"), defaults=[tagged("b")], overrides=[], excluded=excluded)

    assert tag == "b"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("25", 25),
        ("0025", 25),
        ("1", 1),
        ("0", None),
        ("", None),
        ("-5", None),
        ("+5", None),
        (" 70 ", 70),
        ("\t5\r\n", 5),
        ("\u00a05", None),
        ("7 0", None),
        ("5.0", None),
        ("1_0", None),
        ("٣", None),
        ("many", None),
        ("9" * 9, 999_999_999),
        ("9" * 10_000, 999_999_999),
    ],
)
def test_size_is_a_positive_number(text: str, number: int | None) -> None:
    assert size_hint((("meta_bbb-meeting-size-hint", text),)) == number
    assert max_participants((("maxParticipants", text),)) == number


def test_size_is_unknown_when_it_is_not_given() -> None:
    params = parse_query(b"meetingID=x")

    assert size_hint(params) is None
    assert max_participants(params) is None
