"""Names of languages."""

from __future__ import annotations

import pytest

from appliance.recordings.text_tracks.language_names import language_name


@pytest.mark.parametrize(
    ("lang", "name"),
    [
        ("en", "English"),
        ("nb", "Norwegian Bokmål"),
        ("pt-BR", "Portuguese (BR)"),
        ("zh-Hant-TW", "Chinese (Hant-TW)"),
        ("gsw", "gsw"),
        ("x-class", "x-class"),
    ],
)
def test_language_has_its_english_name(lang: str, name: str) -> None:
    assert language_name(lang) == name
