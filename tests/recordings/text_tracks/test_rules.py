"""Captions: language tags, SRT into WebVTT, the player's index."""

from __future__ import annotations

import json

import pytest

from appliance.recordings.text_tracks.rules import (
    TextTrack,
    add_track,
    canonical_lang,
    parse_index,
    read_index,
    render_index,
    to_webvtt,
)

SRT = """1
00:00:01,500 --> 00:00:04,000
Hello, <i>world</i>
second line

2
0:01:02,5 --> 100:00:00,000  X1:40 X2:600
a --> b
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("en", "en"),
        ("EN-us", "en-US"),
        ("pt-br", "pt-BR"),
        ("zh-hant-TW", "zh-Hant-TW"),
        ("sl-rozaj-biske", "sl-rozaj-biske"),
        ("es-419", "es-419"),
        ("de-CH-1901", "de-CH-1901"),
        ("en-a-bbb-x-a-ccc", "en-a-bbb-x-a-ccc"),
        ("X-Class-de", "x-class-de"),
        ("x", None),
        ("", None),
        ("e", None),
        ("en_US", None),
        ("en-", None),
        ("en-US-../..", None),
        ("en\n", None),
        ("abcdefghi", None),
        ("en-" + "-".join(["abcde"] * 20), None),
    ],
)
def test_language_tags_are_checked(text: str, expected: str | None) -> None:
    assert canonical_lang(text) == expected


def test_srt_becomes_webvtt() -> None:
    expected = (
        "WEBVTT\n\n00:00:01.500 --> 00:00:04.000\nHello, <i>world</i>\nsecond line\n\n"
        "00:01:02.500 --> 100:00:00.000\na --&gt; b\n"
    )
    for body in (SRT.encode(), b"\xef\xbb\xbf" + SRT.replace("\n", "\r\n").encode()):
        assert to_webvtt(body) == expected.encode()


@pytest.mark.parametrize("numbers", [("1\n", "2\n"), ("", "")])
def test_cues_of_srt_without_blank_lines_are_told_apart(numbers: tuple[str, str]) -> None:
    first, second = numbers
    body = f"{first}00:00:01,000 --> 00:00:02,000\na\n7\n{second}00:00:03,000 --> 00:00:04,000\nb"
    if not first:  # a number just before the times is that of a cue
        body = body.replace("\n7", "")
    said = "a\n7" if first else "a"
    expected = (
        f"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n{said}\n\n00:00:03.000 --> 00:00:04.000\nb\n"
    )
    assert to_webvtt(body.encode()) == expected.encode()


def test_webvtt_stays_as_it_is() -> None:
    body = b"\xef\xbb\xbfWEBVTT - title\r\n\r\n00:01.000 --> 00:02.000\r\nHi\r\n"
    assert to_webvtt(body) == b"WEBVTT - title\n\n00:01.000 --> 00:02.000\nHi\n"


def test_old_srt_is_read_as_windows_1252() -> None:
    found = to_webvtt("1\n00:00:01,000 --> 00:00:02,000\nGrüße\n".encode("cp1252"))
    assert found is not None
    assert "Grüße" in found.decode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_srt_of_windows_is_read_by_its_byte_order_mark(encoding: str) -> None:
    found = to_webvtt("1\r\n00:00:01,000 --> 00:00:02,000\r\nGrüße 𝄞\r\n".encode(encoding))
    assert found == "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nGrüße 𝄞\n".encode()


@pytest.mark.parametrize("body", [b"", b"hello", b"1\n\n2", b"\x00" * 100, b"WEBVTTX\n"])
def test_what_is_neither_is_refused(body: bytes) -> None:
    assert to_webvtt(body) is None


def test_index_is_read_and_written() -> None:
    tracks = read_index(
        [
            {"locale": "en-US", "localeName": "English"},
            {"locale": "pt_BR", "localeName": 7, "kind": "subtitles", "source": "upload"},
            {"locale": "../x", "localeName": "evil"},
            {"localeName": "none"},
            "no entry",
        ]
    )
    assert tracks == [
        TextTrack("en-US", "English"),
        TextTrack("pt_BR", "pt_BR", "subtitles", "upload"),
    ]
    assert tracks[0].file_name == "caption_en-US.vtt"
    assert read_index({"locale": "en"}) == []
    entries = json.loads(
        render_index(add_track(tracks, TextTrack("en-US", "New", "captions", "upload")))
    )
    assert [(entry["locale"], entry["localeName"]) for entry in entries] == [
        ("pt_BR", "pt_BR"),
        ("en-US", "New"),
    ]


@pytest.mark.parametrize(
    ("lang", "locale"),
    [
        ("en", "en-x-subtitle"),
        ("pt-BR", "pt-BR-x-subtitle"),
        ("x-class", "x-class-subtitle"),
        ("en-x-class", "en-x-class-subtitle"),
    ],
)
def test_kinds_of_one_language_are_two_tracks(lang: str, locale: str) -> None:
    tracks: list[TextTrack] = []
    for label in ("old", "new"):
        tracks = add_track(tracks, TextTrack(lang, label, "captions", "upload"))
        tracks = add_track(tracks, TextTrack(lang, label, "subtitles", "upload"))
        tracks = parse_index(render_index(tracks))
    assert {(one.lang, one.kind, one.label) for one in tracks} == {
        (lang, "captions", "new"),
        (lang, "subtitles", "new"),
    }
    assert len({one.file_name for one in tracks}) == 2
    assert canonical_lang(locale) == locale
    assert locale in {one.locale for one in tracks}


def test_track_gets_a_number_where_another_language_has_its_name() -> None:
    tracks: list[TextTrack] = []
    given = [
        ("subtitles", "en-US-x-captions"),
        ("subtitles", "en-US"),
        ("captions", "en-US"),
        ("captions", "en-US-x-captions-2"),
        ("subtitles", "en-US-x-captions-2"),
    ]
    for kind, lang in given * 2:
        tracks = add_track(tracks, TextTrack(lang, lang, kind, "upload"))
        tracks = parse_index(render_index(tracks))
        assert len({one.file_name.lower() for one in tracks}) == len(tracks)
    assert sorted((one.kind, one.lang) for one in tracks) == sorted(given)


def test_track_replaces_what_bbb_calls_by_an_underscore() -> None:
    tracks = add_track(
        [TextTrack("pt_BR", "Live"), TextTrack("pt", "Other")], TextTrack("pt-BR", "New")
    )
    assert [entry["locale"] for entry in json.loads(render_index(tracks))] == ["pt", "pt-BR"]
