"""Masking of secrets and escaping of control characters."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.redaction import escape_control, is_secret_name, mask_text, mask_url


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "LOADBALANCER_SECRETS",
        "SECRET_KEY_BASE",
        "password",
        "Password",
        "pw",
        "checksum",
        "moderatorPW",
        "attendee_pw",
        "token",
        "METRICS_TOKEN",
        "authorization",
        "Cookie",
        "api_key",
        "cloudfront_private_key_pem",
        "passwd",
        "signed_parameters",
        "meta_secret-lrs-payload",
    ],
)
def test_name_of_a_secret_is_recognised(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["server", "meetingID", "load", "upward", "checksumError", "pwned_by", "key", "url"]
)
def test_other_name_is_not_a_secret(name: str) -> None:
    expected = name == "pwned_by"  # names that start with pw are masked as a precaution
    assert is_secret_name(name) is expected


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /x?meetingID=1&checksum=s3c&name=b", "GET /x?meetingID=1&checksum=***&name=b"),
        ("password=s3c", "password=***"),
        ("password = s3c", "password = ***"),
        ("password: s3c", "password: ***"),
        ("PASSWORD=s3c,s3c;s3c", "PASSWORD=***"),
        ("a moderatorPW=s3c&attendeePW=s3c", "a moderatorPW=***&attendeePW=***"),
        ('{"password": "s3c s3c", "a": 1}', '{"password": ***, "a": 1}'),
        ("{'secret': 's3c s3c'}", "{'secret': ***}"),
        ("secret%3Ds3c", "secret%3D***"),
        ("url ?token=s3c#f", "url ?token=***"),
        ("Authorization: Bearer s3cs3c.s3c", "Authorization: ***"),
        ("sent Basic czNjOnMzYw==", "sent Basic ***"),
        ("redis://user:s3c@host:6379/0", "redis://user:***@host:6379/0"),
        ("redis://:s3c@host", "redis://:***@host"),
        ("meta_secret-lrs-payload=s3c", "meta_secret-lrs-payload=***"),
        ("checksumError: You did not pass", "checksumError: You did not pass"),
        ("http://host:8080/path", "http://host:8080/path"),
        ("upward=1 meetingID=2", "upward=1 meetingID=2"),
        ("", ""),
    ],
)
def test_only_secrets_are_masked_in_a_text(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@given(
    st.sampled_from(["checksum", "password", "secret", "token", "moderatorPW"]),
    st.text(st.characters(exclude_characters="&\"'<>", exclude_categories=["Z", "C"]), min_size=1),
    st.text(max_size=20),
)
def test_value_of_a_secret_query_parameter_is_masked(name: str, value: str, before: str) -> None:
    marked = f"{value}S3C"

    assert "S3C" not in mask_text(f"{before}?{name}={marked}&x=1")


@pytest.mark.parametrize(
    "url",
    [
        "postgres://user:s3c@host/db",
        "postgres://user:s3/c@host/db",
        "postgres://user:s3#c@host/db",
        "postgres://user:s3?c@host/db",
        "postgres://user:s@3c@host/db",
        "postgresql:///db?host=/run&password=s3c",
    ],
)
def test_password_of_a_malformed_url_is_masked(url: str) -> None:
    masked = mask_url(url)

    assert "***" in masked
    assert "s3" not in masked
    assert "3c" not in masked


@pytest.mark.parametrize(
    "piece", ["token", "pw", "a", "://", "://a:", "token=", "Bearer ", " ", 'token"', "token ", ":"]
)
def test_masking_takes_linear_time_for_repetitive_text(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        best = []
        for _ in range(3):
            begun = time.process_time()
            mask_text(text)
            best.append(time.process_time() - begun)
        return min(best)

    # Quadratic time would be 64 times as long for 8 times the text; the constant is for the clock.
    assert seconds(160_000) < 24 * seconds(20_000) + 0.02


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain café", "plain café"),
        ("a\nb\r\x00", "a\\nb\\r\\x00"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x85\u2028\u202e", "\\x85\\u2028\\u202e"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_escaped(text: str, escaped: str) -> None:
    assert escape_control(text) == escaped


@given(st.text())
def test_escaped_text_is_one_printable_line(text: str) -> None:
    escaped = escape_control(text)

    assert escaped.isprintable()
    assert len(escaped.splitlines()) <= 1
