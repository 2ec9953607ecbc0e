"""Tokens as receivers check them."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs

import jwt
import pytest

from appliance.callbacks.rules import analytics, id_of_secret, meeting_ended, recording_ready
from appliance.callbacks.signing import (
    form_algorithm,
    render_request,
    secrets_to_try,
    tries_next_secret,
)
from appliance.settings import Algorithm

SECRET = "s" * 64
READY = recording_ready("http://h/", meeting_id="Mathe & é", record_id="r-1")


@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
def test_recording_is_named_in_a_signed_form_field(algorithm: str) -> None:
    headers, body = render_request(READY, SECRET, algorithm=algorithm, now_s=0)
    assert headers == {"Content-Type": "application/x-www-form-urlencoded"}
    fields = parse_qs(body.decode(), strict_parsing=True)
    (token,) = fields.pop("signed_parameters")
    assert fields == {}
    claims = jwt.decode(token, SECRET, [algorithm])
    assert claims == {"meeting_id": "Mathe & é", "record_id": "r-1"}
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, "x" * 64, [algorithm])


def test_analytics_are_sent_as_they_are_with_a_token_of_a_day() -> None:
    callback = analytics("http://h/", b'{"a": 1}', meeting_id="m")
    headers, body = render_request(callback, SECRET, algorithm="HS256", now_s=1000)
    assert body == b'{"a": 1}'
    assert headers.pop("Content-Type") == "application/json"
    token = headers.pop("Authorization").removeprefix("Bearer ")
    assert headers == {}
    claims = jwt.decode(token, SECRET, ["HS512"], options={"verify_exp": False})
    assert claims == {"exp": 1000 + 86400}


def test_end_of_a_meeting_is_told_without_a_token() -> None:
    callback = meeting_ended("http://h/", meeting_id="m")
    assert render_request(callback, "", algorithm="HS256", now_s=0) == ({}, b"")


def test_short_secret_signs_without_complaint(capfd: pytest.CaptureFixture[str]) -> None:
    assert render_request(READY, "ü\udcff", algorithm="HS512", now_s=0)[1]
    assert capfd.readouterr() == ("", "")


def test_sha512_alone_asks_for_hs512() -> None:
    assert form_algorithm(frozenset(Algorithm)) == "HS256"
    assert form_algorithm(frozenset({Algorithm.SHA512})) == "HS512"
    assert form_algorithm(frozenset({Algorithm.SHA512, Algorithm.SHA256})) == "HS256"


def test_secret_of_the_create_is_the_first_while_it_is_one() -> None:
    assert secrets_to_try(READY, ("a", "", "b", "a")) == ("a", "b")
    known = replace(READY, secret_id=id_of_secret("b"))
    assert secrets_to_try(known, ("a", "b", "c", "b")) == ("b", "a", "c")
    assert secrets_to_try(known, ("a", "c")) == ("a", "c")
    assert secrets_to_try(known, ()) == ()


def test_bearer_token_is_signed_by_no_secret_but_that_of_the_create_while_it_is_one() -> None:
    report = analytics("http://x", b"{}", meeting_id="m", secret_id=id_of_secret("b"))
    assert secrets_to_try(report, ("a", "b")) == ("b",)
    assert secrets_to_try(report, ("a", "c")) == ("a", "c")


def test_next_secret_follows_the_right_one_only_if_that_is_refused() -> None:
    known = replace(READY, secret_id=id_of_secret("b"))
    assert all(tries_next_secret(known, "b", status) for status in (400, 401, 403, 422))
    assert not any(tries_next_secret(known, "b", status) for status in (301, 408, 429, 500, 503))
    assert tries_next_secret(known, "a", 500)
    assert tries_next_secret(READY, "a", 500)
