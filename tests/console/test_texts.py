"""Words and numbers in a viewer's language."""

from __future__ import annotations

import pytest

from appliance.console.texts import Languages, Texts, load_languages
from tests.doubles.features import EventBook

ENGLISH, GERMAN = (
    Texts("en"),
    Texts("de", {"{n} server": "{n} Server", "{n} servers": "{n} Server"}),
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "de"),
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("fr, en;q=0.1", "en"),
        ("fr", "de"),
        ("en;q=0, de", "de"),
        ("de;q=x,en;q=0.2", "en"),
        (",;,;q=,", "de"),
    ],
)
def test_language_is_the_one_that_the_browser_likes_best(header: str, expected: str) -> None:
    languages = Languages("de", {"en": ENGLISH, "de": GERMAN})

    assert languages.choose(header).language == expected


def test_languages_are_those_of_the_files() -> None:
    log = EventBook()

    languages = load_languages("de-AT", log)

    assert languages.choose("").t("Servers") == "Server"
    assert languages.choose("en").t("Servers") == "Servers"
    assert not log.events


def test_numbers_are_written_as_the_language_does() -> None:
    assert ENGLISH.n(1200, "{n} server", "{n} servers") == "1,200 servers"
    assert GERMAN.n(1200, "{n} server", "{n} servers") == "1.200 Server"
    assert (ENGLISH.number(12.34), GERMAN.number(12.34, 2)) == ("12.3", "12,34")
    assert [ENGLISH.size(size) for size in (0, 999, 1500, 84_912_773)] == [
        *("0 B", "999 B", "2 kB", "84.9 MB"),
    ]
    assert [ENGLISH.lasting(s) for s in (0.02, 4.2, 75, 7380, 300_000)] == [
        *("20 ms", "4.2 s", "1 min", "2 h 03 min", "3 days"),
    ]
