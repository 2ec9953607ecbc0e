"""Parsing and formatting of each kind of value."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from appliance.settings import Algorithm, kinds
from appliance.settings.kinds import Kind, parse_params, render_params
from tests.doubles.s3 import pem_key


def parses(kind: Kind[Any], raw: str) -> bool:
    """Return whether a kind accepts a text."""
    try:
        kind.parse(raw)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("raw", ["true", "TRUE", "True", "1", "yes", "Yes", "on", " on "])
def test_boolean_is_true(raw: str) -> None:
    assert kinds.BOOLEAN.parse(raw) is True


@pytest.mark.parametrize("raw", ["false", "FALSE", "0", "no", "off", "OFF"])
def test_boolean_is_false(raw: str) -> None:
    assert kinds.BOOLEAN.parse(raw) is False


@pytest.mark.parametrize("raw", ["", "2", "t", "enabled", "truefalse", "null"])
def test_boolean_refuses_other_words(raw: str) -> None:
    assert not parses(kinds.BOOLEAN, raw)


@pytest.mark.parametrize(
    ("raw", "good"),
    [
        ("3", True),
        ("7", True),
        (" 5 ", True),
        ("007", True),
        ("2", False),
        ("8", False),
        ("-3", False),
        ("+5", False),
        ("5.0", False),
        ("5e0", False),
        ("1_0", False),
        ("\u0665", False),
        ("", False),
        ("9" * 5000, False),
        ("0x5", False),
        ("5 5", False),
    ],
)
def test_count_takes_whole_numbers_in_its_range(raw: str, good: bool) -> None:
    assert parses(kinds.count(3, 7), raw) is good


@pytest.mark.parametrize(
    ("raw", "value"),
    [("60", 60.0), ("0.5", 0.5), (".5", 0.5), ("5.", 5.0), (" 2.5 ", 2.5), ("1000000000", 1e9)],
)
def test_duration_takes_decimals(raw: str, value: float) -> None:
    assert kinds.duration("s").parse(raw) == value


@pytest.mark.parametrize(
    "raw",
    ["0", "0.0", "-1", "1e3", "inf", "nan", "5s", "1,5", ".", "", "1000000001", "9" * 400, "0x1"],
)
def test_duration_refuses(raw: str) -> None:
    assert not parses(kinds.duration("s"), raw)


def test_duration_takes_zero_where_it_means_something() -> None:
    assert kinds.duration("min", zero=True).parse("0") == 0


@pytest.mark.parametrize(("unit", "high"), [("min", 16_666_666), ("days", 11_574)])
def test_duration_limit_is_the_same_time_in_every_unit(unit: str, high: int) -> None:
    kind = kinds.duration(unit)

    assert parses(kind, str(high))
    assert not parses(kind, str(high + 1))


@pytest.mark.parametrize(
    ("raw", "value", "shown"),
    [
        ("0", 0, "0"),
        ("1", 1, "1"),
        ("1500", 1500, "1500"),
        ("1048576", 1 << 20, "1MiB"),
        ("256MiB", 256 << 20, "256MiB"),
        ("256 MiB", 256 << 20, "256MiB"),
        ("64K", 65536, "64KiB"),
        ("1024GiB", 1 << 40, "1TiB"),
        ("10B", 10, "10"),
        (str(2**53), 2**53, "8192TiB"),
    ],
)
def test_size_is_bytes_or_takes_a_unit(raw: str, value: int, shown: str) -> None:
    assert kinds.SIZE.parse(raw) == value
    assert kinds.SIZE.show(value) == shown


@pytest.mark.parametrize("raw", ["-1", "1.5", "MiB", "1MB", "1PiB", "", str(2**53 + 1), "9000TiB"])
def test_size_refuses(raw: str) -> None:
    assert not parses(kinds.SIZE, raw)


@given(st.integers(0, 2**53))
def test_size_shown_is_read_back(value: int) -> None:
    assert kinds.SIZE.parse(kinds.SIZE.show(value)) == value


@pytest.mark.parametrize("raw", ["relative/path", "~/x", "/a\nb", "", "."])
def test_path_refuses(raw: str) -> None:
    assert not parses(kinds.PATH, raw)


def test_path_is_absolute() -> None:
    assert str(kinds.PATH.parse(" /a b/c ")) == "/a b/c"


@pytest.mark.parametrize(("length", "good"), [(107, True), (108, False)])
def test_socket_path_fits_the_kernel(length: int, good: bool) -> None:
    assert parses(kinds.SOCKET_PATH, "/" + "x" * (length - 1)) is good


def test_names_are_split_stripped_and_unique() -> None:
    assert kinds.names(",", "names").parse(" a, b ,,a,") == ("a", "b")


@pytest.mark.parametrize("raw", [",", " , ", "a b", "a,b c", "a\n"])
def test_names_refuse(raw: str) -> None:
    assert not parses(kinds.names(",", "names"), raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("SHA1", {Algorithm.SHA1}),
        ("sha256:SHA512", {Algorithm.SHA256, Algorithm.SHA512}),
        (" SHA384 : SHA1: ", {Algorithm.SHA384, Algorithm.SHA1}),
    ],
)
def test_algorithms_are_a_list(raw: str, value: set[Algorithm]) -> None:
    assert kinds.ALGORITHMS.parse(raw) == value


@pytest.mark.parametrize("raw", ["MD5", "SHA1:MD5", ":", "SHA1,SHA256", "SHA-256", "any"])
def test_algorithms_refuse(raw: str) -> None:
    assert not parses(kinds.ALGORITHMS, raw)


def test_algorithms_are_shown_weakest_first() -> None:
    assert kinds.ALGORITHMS.show(frozenset(Algorithm)) == "SHA1:SHA256:SHA384:SHA512"


@pytest.mark.parametrize(
    ("raw", "params"),
    [
        ("a=1", (("a", "1"),)),
        ("a=1,b=2", (("a", "1"), ("b", "2"))),
        (r"welcome=Hi\, all,b=2", (("welcome", "Hi, all"), ("b", "2"))),
        ("a=x=y", (("a", "x=y"),)),
        ("a=", (("a", ""),)),
        (" a =1, b= 2 ", (("a", "1"), ("b", " 2 "))),
        ("a=1,,b=2,", (("a", "1"), ("b", "2"))),
        (r"a=C:\dir\x", (("a", "C:\\dir\\x"),)),
        (r"a=\\,b", (("a", "\\,b"),)),
        ("a=1,b=2,a=3", (("a", "3"), ("b", "2"))),
        ("a=ü", (("a", "ü"),)),
    ],
)
def test_params_are_parsed(raw: str, params: tuple[tuple[str, str], ...]) -> None:
    assert parse_params(raw) == params


@pytest.mark.parametrize("raw", ["a", "a=1,b", "=1", " =1", "a=1,=2", "a=1\n,b=2"])
def test_params_refuse(raw: str) -> None:
    assert not parses(kinds.PARAMS, raw)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,15}", fullmatch=True)
# A backslash at the end of a value would escape the comma after it: nothing can spell that.
VALUES = st.text(st.characters(exclude_categories=["C", "Z"])).map(lambda text: text.rstrip("\\"))


@given(st.dictionaries(NAMES, VALUES))
def test_params_survive_a_round_trip(params: dict[str, str]) -> None:
    pairs = tuple(params.items())

    assert parse_params(render_params(pairs)) == pairs


@given(st.text())
def test_params_never_fail_otherwise_than_by_value_error(raw: str) -> None:
    if parses(kinds.PARAMS, raw):
        assert all(name.strip() for name, _ in parse_params(raw))


def test_params_are_shown_without_passwords() -> None:
    params = (("moderatorPW", "s3c"), ("welcome", "a,b"))

    assert kinds.PARAMS.show(params) == r"moderatorPW=***,welcome=a\,b"


@pytest.mark.parametrize("raw", ["", " ", "a\nb", "a\x00"])
def test_secret_refuses(raw: str) -> None:
    assert not parses(kinds.SECRET, raw)


def test_secret_is_taken_as_it_is() -> None:
    assert kinds.SECRET.parse(" a:b ") == " a:b "


def test_secrets_hold_no_empty_one() -> None:
    assert kinds.SECRETS.parse(":a: :b::a") == ("a", "b")
    assert not parses(kinds.SECRETS, "::")
    assert not parses(kinds.SECRETS, " : ")


@pytest.mark.parametrize("kind", [kinds.SECRET, kinds.SECRETS, kinds.RSA_PEM_BASE64])
def test_secret_kind_shows_nothing(kind: Kind[Any]) -> None:
    value = ("s3c", "s3c") if kind is kinds.SECRETS else "s3c"

    assert kind.secret
    assert "s3c" not in kind.show(value)


def test_private_key_is_decoded() -> None:
    _, raw = pem_key()

    assert kinds.RSA_PEM_BASE64.parse(f"{raw[:10]}\n{raw[10:]}") == base64.b64decode(raw)


def test_private_key_refuses() -> None:
    curve, (rsa_key, whole) = ec.generate_private_key(ec.SECP256R1()), pem_key()
    password = BestAvailableEncryption(b"p")
    pems = (
        b"no key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, password),
    )
    for raw in ("!!!", "abc", whole[:800], *(base64.b64encode(pem).decode() for pem in pems)):
        assert not parses(kinds.RSA_PEM_BASE64, raw)


@pytest.mark.parametrize(("raw", "value"), [("30", 30), ("30/min", 30), ("0", 0)])
def test_rate_is_per_minute(raw: str, value: int) -> None:
    assert kinds.per_minute().parse(raw) == value


@pytest.mark.parametrize("raw", ["30/s", "/min", "-1", "30/min/min"])
def test_rate_refuses(raw: str) -> None:
    assert not parses(kinds.per_minute(), raw)


def test_choice_takes_any_case_and_aliases() -> None:
    kind = kinds.choice(("info", "warning"), {"warn": "warning"})

    assert [kind.parse(raw) for raw in ("INFO", "Warn", " warning ")] == [
        "info",
        "warning",
        "warning",
    ]
    assert not parses(kind, "loud")


@pytest.mark.parametrize(
    ("value", "shown"), [(60.0, "60"), (2.5, "2.5"), (0.0, "0"), (1e9, "1000000000")]
)
def test_number_is_shown_without_needless_digits(value: float, shown: str) -> None:
    assert kinds.show_number(value) == shown
