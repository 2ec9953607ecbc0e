"""Subtitles in SSA/ASS."""

from __future__ import annotations

import pytest

from appliance.recordings.text_tracks.rules import to_webvtt

HEAD = "[Script Info]\nTitle: x\n\n[V4+ Styles]\nFormat: Name\n\n[Events]\n"
FORMAT = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
LATER = "Dialogue: 0,0:01:02.5,10:00:00.00,Default,,0,0,0,,a, b\\Nc <i> & -->\n"
FIRST = "Dialogue: 0,0:00:01.50,0:00:04.00,Default,Ann,0,0,0,,{\\i1}Hello,{\\i0}\\hworld\n"
LEFT_OUT = (
    "Comment: 0,0:00:01.50,0:00:04.00,Default,,0,0,0,,note\n"
    "Dialogue: 0,soon,0:00:04.00,Default,,0,0,0,,x\n"
    "Dialogue: 0,0:00:01.50,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 9 9\n"
    "Dialogue: 0,0:00:01.50,0:00:04.00,Default,,0,0,0,,{\\pos(1,2)}\\N\n"
    "Dialogue: 0\n"
)
WEBVTT = (
    "WEBVTT\n\n00:00:01.500 --> 00:00:04.000\nHello, world\n\n"
    "00:01:02.500 --> 10:00:00.000\na, b\nc &lt;i&gt; &amp; --&gt;\n"
)


@pytest.mark.parametrize("format", [FORMAT, "", FORMAT.replace("Layer", "Marked")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_dialogue_becomes_cues(format: str, end: str) -> None:
    script = f"{HEAD}{format}{LATER}{LEFT_OUT}{FIRST}[Fonts]\n{LATER}".replace("\n", end)
    assert (to_webvtt(script.encode("utf-8-sig")) or b"").decode() == WEBVTT


def test_columns_are_those_of_the_format() -> None:
    script = f"{HEAD}Format: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.00,a, b\n"
    found = to_webvtt(script.encode())
    assert found == b"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\na, b\n"


def test_script_without_dialogue_is_refused() -> None:
    assert to_webvtt((HEAD + FORMAT + LEFT_OUT).encode()) is None
