"""Content types by the end of a file's name."""

from __future__ import annotations

import pytest

from appliance.http.content_types import HTML, UNKNOWN, content_type_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.svg", "image/svg+xml"),
        ("A.PNG", "image/png"),
        ("slides.v2.webm", "video/webm"),
        ("captions.vtt", "text/vtt; charset=utf-8"),
        ("index.html", HTML),
        ("", HTML),
        ("a/", HTML),
        ("png", UNKNOWN),
        ("a.unheard-of", UNKNOWN),
        ("a.", UNKNOWN),
    ],
)
def test_type_follows_the_ending(name: str, expected: str) -> None:
    assert content_type_of(name) == expected
