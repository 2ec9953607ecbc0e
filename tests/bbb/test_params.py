"""Parsing, encoding and merging of request parameters."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bbb.params import (
    Params,
    encode_query,
    get,
    has_parameters,
    keep_last,
    merge_params,
    parse_query,
    repeated_guarded_name,
    replace_param,
)

text = st.text(st.characters(exclude_categories=["Cs"]))
pairs = st.lists(st.tuples(text, text)).map(tuple)
few_names = st.sampled_from(["a", "b", "c", "checksum"])
small = st.lists(st.tuples(few_names, st.text("xyz", max_size=1)), max_size=6).map(tuple)


@pytest.mark.parametrize(
    ("raw", "params"),
    [
        (b"", ()),
        (b"&&", ()),
        (b"a=1&b=2", (("a", "1"), ("b", "2"))),
        (b"&a=1&&b=2&", (("a", "1"), ("b", "2"))),
        (b"a", (("a", ""),)),
        (b"a=", (("a", ""),)),
        (b"=v", (("", "v"),)),
        (b"=", (("", ""),)),
        (b"a=1=2", (("a", "1=2"),)),
        (b"a=1;b=2", (("a", "1;b=2"),)),
        (b"a=x+y%20z%2B", (("a", "x y z+"),)),
        (b"a+b=1", (("a b", "1"),)),
        (b"x[]=1&x[]=2", (("x[]", "1"), ("x[]", "2"))),
        (b"x%5B%5D=1", (("x[]", "1"),)),
        (b"n=%C3%BC", (("n", "ü"),)),
        ("n=ü".encode(), (("n", "ü"),)),
        (b"n=\xc3%BC", (("n", "ü"),)),
        (b"n=%FF%41", (("n", "\ufffdA"),)),
        (b"n=\xff", (("n", "\ufffd"),)),
        (b"n=%ED%A0%80", (("n", "\ufffd\ufffd\ufffd"),)),
        (b"n=%zz%4", (("n", "%zz%4"),)),
        (b"n=%00", (("n", "\x00"),)),
        (b"b=1&a=2&b=3", (("b", "1"), ("a", "2"), ("b", "3"))),
        (b"check%73um=1", (("checksum", "1"),)),
    ],
)
def test_query_is_decoded(raw: bytes, params: Params) -> None:
    assert parse_query(raw) == params


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ((), ""),
        ((("a", ""),), "a="),
        ((("b", "2"), ("a", "1")), "b=2&a=1"),
        ((("n", "x y&z=+%"),), "n=x+y%26z%3D%2B%25"),
        ((("x[]", "ü"),), "x%5B%5D=%C3%BC"),
        # The WHATWG set of plain bytes, which is not Python's.
        ((("n", "A9*-._~"),), "n=A9*-._%7E"),
        ((("n", "\udc80"),), "n=%3F"),
    ],
)
def test_params_are_form_encoded(params: Params, query: str) -> None:
    assert encode_query(params) == query


@given(pairs)
def test_params_survive_encoding(params: Params) -> None:
    assert parse_query(encode_query(params).encode()) == params


@given(pairs)
def test_encoded_query_is_read_alike_by_another_reader(params: Params) -> None:
    assert tuple(parse_qsl(encode_query(params), keep_blank_values=True)) == params


@given(st.binary())
def test_decoding_never_fails_and_is_stable(raw: bytes) -> None:
    params = parse_query(raw)
    assert parse_query(encode_query(params).encode()) == params


def test_last_value_of_a_name_is_kept_in_the_place_of_the_first() -> None:
    params = (("a", "1"), ("b", ""), ("a", "2"), ("", "3"))

    assert keep_last(params) == (("a", "2"), ("b", ""), ("", "3"))
    assert keep_last(params[:2]) == params[:2]


@pytest.mark.parametrize(
    ("raw", "has"), [(b"", False), (b"&&", False), (b"&a", True), (b"=", True)]
)
def test_separators_alone_are_no_parameters(raw: bytes, has: bool) -> None:
    assert has_parameters(raw) is has
    assert bool(parse_query(raw)) is has


def test_get_returns_the_first_value() -> None:
    params = (("a", "1"), ("b", ""), ("a", "2"))

    assert get(params, "a") == "1"
    assert get(params, "b") == ""
    assert get(params, "c") is None


@pytest.mark.parametrize(
    ("front_end", "defaults", "overrides", "excluded", "merged"),
    [
        ("a=1&b=2", [], [], "", "a=1&b=2"),
        ("b=2", ["a=1"], [], "", "b=2&a=1"),
        ("a=2", ["a=1"], [], "", "a=2"),
        ("a=", ["a=1"], [], "", "a="),
        ("", ["a=1", "a=2"], [], "", "a=2"),
        ("", ["a=1&a=2"], [], "", "a=2"),
        ("a=1&b=2&a=3", [], ["a=9"], "", "a=9&b=2"),
        ("a=1", [], ["a=8", "a=9"], "", "a=9"),
        ("", ["a=1"], ["a=9"], "", "a=9"),
        ("b=1", [], ["a=9"], "", "b=1&a=9"),
        ("a=1&b=2&a=3", [], [], "a", "b=2"),
        ("a=1&b=2", ["a=7"], [], "a", "b=2&a=7"),
        ("a=1", [], ["a=9"], "a", "a=9"),
        ("meta_A=1&A=2", [], ["meta_a=9&a=8"], "", "meta_a=9&A=2&a=8"),
        ("meta_A=1", ["meta_a=9"], [], "", "meta_a=1"),
        ("x[]=1&x[]=2", [], [], "", "x[]=1&x[]=2"),
        ("checksum=1&a=2", ["checksum=3"], ["checksum=4"], "", "a=2"),
        ("check%73um=1&a=2", [], [], "", "a=2"),
    ],
)
def test_merge_keeps_precedence(
    front_end: str, defaults: list[str], overrides: list[str], excluded: str, merged: str
) -> None:
    result = merge_params(
        parse_query(front_end.encode()),
        defaults=[parse_query(layer.encode()) for layer in defaults],
        overrides=[parse_query(layer.encode()) for layer in overrides],
        excluded=frozenset(excluded),
    )

    assert result == parse_query(merged.encode())


@given(
    small,
    st.lists(small, max_size=2),
    st.lists(small, max_size=2),
    st.frozensets(few_names, max_size=2),
)
def test_merge_takes_the_strongest_that_names_a_parameter(
    front_end: Params,
    defaults: Sequence[Params],
    overrides: Sequence[Params],
    excluded: frozenset[str],
) -> None:
    merged = merge_params(front_end, defaults=defaults, overrides=overrides, excluded=excluded)

    assert get(merged, "checksum") is None
    for name in "abc":
        values = [value for key, value in merged if key == name]
        sent = [value for key, value in front_end if key == name and name not in excluded]
        forced = [value for layer in overrides for key, value in layer if key == name]
        offered = [value for layer in defaults for key, value in layer if key == name]
        assert values == (forced[-1:] or sent or offered[-1:])


@pytest.mark.parametrize(
    ("name", "value", "replaced"),
    [
        ("a", "9", "a=9&b=2"),
        ("b", "9", "a=1&b=9&a=3"),
        ("c", "9", "a=1&b=2&a=3&c=9"),
        ("c", "", "a=1&b=2&a=3&c="),
        ("a", None, "b=2"),
        ("c", None, "a=1&b=2&a=3"),
    ],
)
def test_param_is_replaced_in_place(name: str, value: str | None, replaced: str) -> None:
    params = parse_query(b"a=1&b=2&a=3")

    assert replace_param(params, name, value) == parse_query(replaced.encode())


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (b"", None),
        (b"meetingID=1&recordID=2&password=3&role=4&checksum=5", None),
        (b"name=1&name=2&x[]=1&x[]=2", None),
        (b"meetingID=1&meetingID=1", "meetingID"),
        (b"meetingID=1&meeting%49D=2", "meetingID"),
        (b"recordID&recordID", "recordID"),
        (b"password=1&role=1&role=2&password=1", "role"),
        (b"checksum=1&check%73um=2", "checksum"),
        (b"meetingid=1&meetingID=1", None),
    ],
)
def test_repeated_guarded_name_is_found(query: bytes, name: str | None) -> None:
    assert repeated_guarded_name(parse_query(query)) == name
