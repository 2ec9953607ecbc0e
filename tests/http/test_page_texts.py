"""Texts of the error pages by language, with overrides of the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.http.page_texts import LOCALE_DIRS, load_error_texts
from appliance.meetings.join_pages import FALLBACK as JOIN_FALLBACK
from appliance.recordings.playback.error_pages import FALLBACK
from tests.doubles.features import EventBook

OWN = "{0}:\n  errors:\n    recording_not_found:\n      title: {1}\n"


def test_texts_of_the_operator_override_single_texts(tmp_path: Path) -> None:
    (tmp_path / "de.yml").write_text(OWN.format("de", "Nicht da"))
    log = EventBook()

    texts = load_error_texts("de", log, (*LOCALE_DIRS[:2], tmp_path))

    assert texts["recording_not_found"]["title"] == "Nicht da"
    assert texts["recording_not_found"]["info"].startswith("Die Aufzeichnung")
    assert not log.events


def test_region_falls_back_to_its_language(tmp_path: Path) -> None:
    (tmp_path / "de-AT.yml").write_text(OWN.format("de-AT", "Ned do"))

    texts = load_error_texts("de_AT", EventBook(), (*LOCALE_DIRS[:2], tmp_path))

    assert texts["recording_not_found"]["title"] == "Ned do"
    assert "recordings_unavailable" in texts


def test_unknown_language_has_no_texts(tmp_path: Path) -> None:
    assert load_error_texts("xx", EventBook(), (tmp_path,)) == {}


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"a: !!python/name:os.system"])
def test_broken_file_is_logged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "en.yml").write_bytes(content)
    log = EventBook()

    assert load_error_texts("en", log, (tmp_path,)) == {}
    assert len(log.named("locale_not_read")) == 1


@pytest.mark.parametrize("content", ["", "[]", "en: 1", "en: {errors: {recording_not_found: 3}}"])
def test_unexpected_structure_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "en.yml").write_text(content)

    texts = load_error_texts("en", EventBook(), (tmp_path,))

    assert texts.get("recording_not_found", {}) == {}


@pytest.mark.parametrize("language", ["en", "de"])
def test_shipped_files_have_every_text(language: str) -> None:
    texts = load_error_texts(language, EventBook(), LOCALE_DIRS[1:2])

    assert {name: set(words) for name, words in texts.items()} == {
        name: set(words) for name, words in (*FALLBACK.items(), *JOIN_FALLBACK.items())
    }
