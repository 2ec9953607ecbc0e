"""Rules of playback."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recordings.playback.rules import (
    accel_path,
    best_language,
    cookies_named,
    is_inline,
    is_shown,
    is_valid_cookie,
    mishandles_same_site_none,
    moved_address,
    playback_target,
    player_page,
    render_cookie,
    sign_cookie,
    split_path,
)
from appliance.recordings.recording import PlaybackFormat
from tests.doubles.recordings import make_recording

KEY = "k" * 64
NOW = 1_700_000_000
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0 Safari"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X {}) AppleWebKit/605.1.15 (KHTML, like Gecko)"
IOS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS {} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/12.1 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b.png", ("a", "b.png")),
        ("a/", ("a", "")),
        ("", ("",)),
        ("a/..b/...", ("a", "..b", "...")),
        ("a/../b", None),
        ("..", None),
        ("a/./b", None),
        ("a//b", None),
        ("/etc/passwd", None),
        ("a\0b", None),
    ],
)
def test_path_is_split_into_names_or_refused(path: str, expected: Any) -> None:
    assert split_path(path) == expected


@given(st.text(alphabet="./a\\\0%", max_size=12))
def test_no_path_leads_upwards(path: str) -> None:
    names = split_path(path)
    assert names is None or not {".", ".."} & set(names)


@pytest.mark.parametrize(
    ("names", "stands_in"),
    [
        (("presentation", "2.3"), True),
        (("presentation", "2.3", ""), True),
        (("presentation", "2.3", "rec-1", "x.js"), True),
        (("presentation", "2.30"), False),
        (("presentation",), False),
        (("video", "2.3"), False),
    ],
)
def test_page_stands_in_for_the_player(names: tuple[str, ...], stands_in: bool) -> None:
    page = ("presentation", "2.3", "index.html") if stands_in else None
    assert player_page(names) == page


@pytest.mark.parametrize(
    ("wanted", "default", "language"),
    [
        (["de-AT", "en"], "en", "de"),
        (["en-US", "de"], "de", "en"),
        (["pt-br"], "en", "pt-BR"),
        (["xx"], "de_AT", "de"),
        ([], "xx", "en"),
    ],
)
def test_best_language_is_chosen(wanted: list[str], default: str, language: str) -> None:
    assert best_language(wanted, ["de", "pt", "pt-BR"], default) == language


@pytest.mark.parametrize(
    ("names", "query", "expected"),
    [
        (("video", "rec-1", ""), "", "/video/rec-1/"),
        (("video", "rec-1", "a b"), "", "/video/rec-1/a%20b"),
        (("video", "rec-1"), "", None),
        (
            ("presentation", "2.0", "playback.html"),
            "meetingId=r-1&t=1m30s\r\n",
            "/playback/presentation/2.3/r-1?meetingId=r-1&t=1m30s%0D%0A",
        ),
        (("video", "rec-1", ""), "t=9", "/video/rec-1/?t=9"),
        (("presentation", "2.0", "playback.html"), "meetingId=../x", None),
        (("presentation", "2.0", "playback.html"), "", None),
    ],
)
def test_old_addresses_lead_on(names: tuple[str, ...], query: str, expected: str | None) -> None:
    assert moved_address(names, query) == expected


@pytest.mark.parametrize(
    ("changes", "tenant", "expected"),
    [
        ({}, None, True),
        ({"published": False}, None, False),
        ({"state": "deleted"}, None, False),
        ({"state": None}, None, True),
        ({"formats": ()}, None, False),
        ({"metadata": (("tenant-id", "t1"),)}, "t1", True),
        ({"metadata": (("tenant-id", "t2"),)}, "t1", False),
        ({}, "t1", False),
    ],
)
def test_recording_is_shown_to_whom_it_may_be(
    changes: dict[str, Any], tenant: str | None, expected: bool
) -> None:
    assert is_shown(make_recording(**changes), "presentation", tenant) is expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("/playback/presentation/2.3/rec-1", "/playback/presentation/2.3/rec-1"),
        ("podcast/rec-1/audio.ogg?a=1&b=%20", "/podcast/rec-1/audio.ogg?a=1&b=%20"),
        ("//evil.example/x", "/evil.example/x"),
        ("/\\evil.example", "/evil.example"),
        ("/a\r\nSet-Cookie: x", "/a%0D%0ASet-Cookie:%20x"),
        ("/ü", "/%C3%BC"),
    ],
)
def test_target_stays_on_our_host(stored: str, expected: str) -> None:
    one = make_recording(formats=(PlaybackFormat("video", stored, None, None),))
    assert playback_target(one, "video") == expected
    assert playback_target(one, "podcast") is None


def test_accel_path_is_escaped() -> None:
    path = accel_path("video", "rec-1", ("a b", "c%2e\r\n?.mp4"))
    assert path == "/static-resource/video/rec-1/a%20b/c%252e%0D%0A%3F.mp4"


@pytest.mark.parametrize(("format", "expected"), [("video", True), ("notes", False)])
def test_other_formats_are_saved(format: str, expected: bool) -> None:
    assert is_inline(format) is expected


def test_cookie_opens_its_format_until_it_ends() -> None:
    cookie = sign_cookie("video", "rec-1", secret=KEY, expires_s=NOW + 60)
    assert jwt.decode(cookie, options={"verify_signature": False}) == {
        "sub": "/video/rec-1",
        "exp": NOW + 60,
    }
    for format, record_id, secret, now_s, expected in (
        ("video", "rec-1", KEY, NOW, True),
        ("video", "rec-1", KEY, NOW + 59.9, True),
        ("video", "rec-1", KEY, NOW + 60, False),
        ("video", "rec-2", KEY, NOW, False),
        ("podcast", "rec-1", KEY, NOW, False),
        ("video", "rec-1", "x" * 64, NOW, False),
        ("video", "rec-1", "", NOW, False),
    ):
        assert is_valid_cookie(cookie, format, record_id, secret=secret, now_s=now_s) is expected


@pytest.mark.parametrize(
    ("expires", "valid"),
    [
        (str(NOW + 60), True),  # as a Scalelite writes it
        (str(NOW), False),
        ("", False),
        ("soon", False),
        ("-1", False),
        ("٣" * 10, False),
        ("9" * 3000, False),
        ("1e99", False),
        (float("inf"), False),
        (True, False),
        (None, False),
    ],
)
def test_cookie_is_valid_by_its_number_or_text_of_digits(expires: object, valid: bool) -> None:
    cookie = jwt.encode({"sub": "/video/rec-1", "exp": expires}, KEY, "HS256")
    assert is_valid_cookie(cookie, "video", "rec-1", secret=KEY, now_s=NOW) is valid


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "a.b.c",
        "x" * 5000,
        "\0\xff",
        jwt.encode({"sub": "/video/rec-1"}, KEY, "HS256"),
        jwt.encode({"exp": NOW + 60}, KEY, "HS256"),
        jwt.encode({"sub": "/video/rec-1", "exp": NOW + 60}, KEY, "HS512"),
        jwt.encode({"sub": "/video/rec-1", "exp": NOW + 60}, "", "none"),
    ],
)
def test_other_cookies_open_nothing(cookie: str) -> None:
    assert not is_valid_cookie(cookie, "video", "rec-1", secret=KEY, now_s=NOW)


@pytest.mark.parametrize(
    ("agent", "mishandles"),
    [
        ("", False),
        (CHROME.format("50"), False),
        (CHROME.format("51"), True),
        (CHROME.format("66"), True),
        (CHROME.format("67"), False),
        (CHROME.format("140"), False),
        (IOS.format("12_4"), True),
        (IOS.format("13_0"), False),
        (MAC.format("10_14_6") + " Version/12.1 Safari/605.1.15", True),
        (MAC.format("10_14_6"), True),
        (MAC.format("10_15_7") + " Version/13.0 Safari/605.1.15", False),
        (MAC.format("10_14_6") + " Chrome/90.0 Safari/537.36", False),
        (CHROME.format("57") + " UCBrowser/12.13.1.5 Mobile", True),
        (CHROME.format("57") + " UCBrowser/12.13.2.5 Mobile", False),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", False),
    ],
)
def test_same_site_is_left_out_for_browsers_that_mishandle_it(agent: str, mishandles: bool) -> None:
    assert mishandles_same_site_none(agent) is mishandles
    header = render_cookie("video", "rec-1", "v", max_age_s=60, user_agent=agent)
    expected = "recording_video_rec-1=v; Path=/video/rec-1; Max-Age=60; Secure; HttpOnly"
    assert header == expected + ("" if mishandles else "; SameSite=None")


def test_cookies_are_found_by_name() -> None:
    header = 'a=1; recording_v_r="x"; recording_v_r2=no;recording_v_r=y=z; broken'
    assert cookies_named(header, "recording_v_r") == ["x", "y=z"]
    assert cookies_named("", "recording_v_r") == []
