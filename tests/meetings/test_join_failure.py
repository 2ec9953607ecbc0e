"""Where a person is sent, and in which language, when a join fails."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bbb.errors import MEETING_NOT_FOUND
from appliance.meetings.join_failure import (
    choose_language,
    error_redirect,
    is_browser,
    preferred_languages,
    wants_xml,
)

MOODLE = "https://moodle.example/mod/x?id=1#top"


def test_error_redirect_carries_the_errors_as_bbb_does() -> None:
    target = error_redirect((("errorRedirectUrl", MOODLE),), None, MEETING_NOT_FOUND)

    assert target is not None
    parts = urlsplit(target)
    assert (parts.netloc, parts.path, parts.fragment) == ("moodle.example", "/mod/x", "top")
    query = parse_qs(parts.query)
    assert query["id"] == ["1"]
    assert json.loads(query["errors"][0]) == [
        {"key": "notFound", "message": MEETING_NOT_FOUND.message}
    ]


@pytest.mark.parametrize(
    ("params", "created", "host"),
    [
        ({"errorRedirectUrl": "https://a/", "logoutURL": "https://b/"}, "https://c/", "a"),
        ({"logoutURL": "https://b/"}, "https://c/", "b"),
        ({}, "https://c/", "c"),
        ({"errorRedirectUrl": "javascript:alert(1)"}, "https://c/", "c"),
        ({"errorRedirectUrl": "//evil", "logoutURL": "ftp://b/"}, None, None),
        ({"logoutURL": "https://b\\@evil/"}, None, None),
        ({"errorRedirectUrl": "https://a/\r\nX: y"}, None, None),
        ({}, None, None),
    ],
)
def test_first_http_url_counts(
    params: dict[str, str], created: str | None, host: str | None
) -> None:
    target = error_redirect(tuple(params.items()), created, MEETING_NOT_FOUND)

    assert (urlsplit(target).hostname if target else None) == host


def test_placeholders_of_a_logout_url_are_removed() -> None:
    params = (("logoutURL", "https://b/end?m=%%MEETINGID%%&n=%%CONFNAME%%"),)

    target = error_redirect(params, None, MEETING_NOT_FOUND)

    assert target is not None
    assert target.startswith("https://b/end?m=&n=&errors=")


@given(st.text(max_size=200))
def test_redirect_is_one_header_line(text: str) -> None:
    target = error_redirect((("errorRedirectUrl", "https://a/" + text),), None, MEETING_NOT_FOUND)

    if target is not None:
        assert target.isascii()
        assert target.isprintable()
        assert " " not in target


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("fr,en;q=0.5", "en"),
        ("fr", "en"),
        ("de;q=0,en", "en"),
        ("en;q=0.1,DE;q=0.2", "de"),
        ("", "en"),
        ("*;q=1, <script>", "en"),
    ],
)
def test_best_known_language_is_chosen(header: str, chosen: str) -> None:
    assert choose_language(header, ("en", "de"), "en") == chosen


def test_languages_are_ordered_by_weight_then_position() -> None:
    assert preferred_languages("a;q=0.5, b, c;q=0.5, d;q=x") == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("accept", "browser"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("application/xml, Text/HTML;level=1;q=0.1", True),
        ("text/html;q=0;level=1, text/html", True),
        ("text/html;q=x", True),
        ("*/*", False),
        ("", False),
        ("text/html;q=0, application/xml", False),
        ("text/html; Q=0.000", False),
        ("application/xml, text/html;level=1;q=0", False),
    ],
)
def test_api_clients_are_told_from_browsers(accept: str, browser: bool) -> None:
    assert is_browser(accept) == browser


def test_redirect_false_asks_for_xml() -> None:
    assert wants_xml((("redirect", "FALSE"),))
    assert not wants_xml(())
