"""getRecordings as front-ends read it."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from appliance.recordings.recording import PlaybackFormat, Recording, Thumbnail
from appliance.recordings.xml import (
    LISTING_END,
    LISTING_HEAD,
    LISTING_TAIL,
    NO_RECORDINGS,
    RecordingWriter,
    render_deleted,
    render_published,
    render_updated,
)
from tests.doubles.recordings import make_format, make_recording

BASE = "https://bbb.example.org"


def write(
    recording: Recording, *, show_protected: bool = False, tokens: tuple[str, ...] = ()
) -> etree._Element:
    writer = RecordingWriter(BASE, show_protected=show_protected)
    body = LISTING_HEAD + writer.write(recording, tokens).encode() + LISTING_TAIL + LISTING_END
    return etree.fromstring(body)[1][0]


def test_recording_has_its_elements_in_order() -> None:
    element = write(make_recording(), show_protected=True)

    assert [(child.tag, child.text) for child in list(element)[:10]] == [
        ("recordID", "rec-1"),
        ("meetingID", "math"),
        ("internalMeetingID", "rec-1"),
        ("name", "Maths & more"),
        ("published", "true"),
        ("protected", "false"),
        ("state", "published"),
        ("startTime", "1700000000123"),
        ("endTime", "1700003600000"),
        ("participants", "7"),
    ]
    assert [child.tag for child in list(element)[10:]] == ["metadata", "playback"]


def test_format_has_its_elements_in_order() -> None:
    element = write(make_recording(formats=(make_format("presentation", thumbnails=2),)))

    (shown,) = element.iterfind("playback/format")
    assert [(child.tag, child.text) for child in list(shown)[:4]] == [
        ("type", "presentation"),
        ("url", f"{BASE}/playback/presentation/2.3/rec-1"),
        ("length", "60"),
        ("processingTime", "4882"),
    ]
    assert [dict(image.attrib) for image in shown.iterfind("preview/images/image")] == [
        {"alt": "slide 0 & more", "width": "176", "height": "136"},
        {"alt": "slide 1 & more", "width": "176", "height": "136"},
    ]
    assert shown.findtext("preview/images/image") == f"{BASE}/presentation/rec-1/thumb-0.png"


def test_nulls_are_left_out() -> None:
    image = Thumbnail(None, None, None, "/x.png", 0)
    bare = Recording(
        "r", None, None, False, None, None, None, None,
        formats=(PlaybackFormat("video", "/video/r/", None, None, (image,)),),
    )  # fmt: skip
    element = write(bare)

    assert [child.tag for child in element] == [
        "recordID",
        "internalMeetingID",
        "published",
        "metadata",
        "playback",
    ]
    assert [child.tag for child in element.iterfind("playback/format/*")] == [
        "type",
        "url",
        "preview",
    ]
    assert [dict(image.attrib) for image in element.iterfind(".//image")] == [{}]


def test_empty_value_is_an_empty_cdata_section() -> None:
    text = RecordingWriter(BASE, show_protected=False).write(make_recording())
    assert "<empty><![CDATA[]]></empty>" in text


def test_protected_recording_has_a_token_for_each_format_and_no_preview() -> None:
    formats = (make_format("presentation"), make_format("video"))
    element = write(make_recording(protected=True, formats=formats), tokens=("t-1", "t/2"))

    assert [url.text for url in element.iterfind("playback/format/url")] == [
        f"{BASE}/recording/rec-1/presentation?token=t-1",
        f"{BASE}/recording/rec-1/video?token=t/2",
    ]
    assert element.find(".//preview") is None
    assert element.find("protected") is None


@pytest.mark.parametrize(
    ("changes", "odd"),
    [
        ({}, False),
        ({"metadata": (("a b", "x"), ("ok", "y"))}, True),
        ({"metadata": (("ok", "x\x07y"),)}, True),
        ({"name": "bell \x07"}, True),
        ({"name": "a & b\r\n"}, False),
        ({"meeting_id": "\ufffe"}, True),
        ({"formats": (PlaybackFormat("v", "/v\x01", 1, 1, ()),)}, True),
    ],
)
def test_what_xml_cannot_hold_is_left_out_and_noted(changes: dict[str, Any], odd: bool) -> None:
    writer = RecordingWriter(BASE, show_protected=False)
    element = etree.fromstring(writer.write(make_recording(**changes)).encode())

    assert writer.invalid == ({"rec-1"} if odd else set())
    assert element.find("metadata/ok") is None or element.findtext("metadata/ok") in ("y", "xy")


def test_host_cannot_break_the_answer() -> None:
    writer = RecordingWriter("http://<evil>&", show_protected=False)
    element = etree.fromstring(writer.write(make_recording()).encode())
    assert (element.findtext("playback/format/url") or "").startswith("http://<evil>&/playback")


def test_other_answers_are_as_bbb_gives_them() -> None:
    assert b"<recordings/><messageKey>noRecordings</messageKey>" in NO_RECORDINGS
    assert render_published(False).endswith(b"<published>false</published></response>")
    assert render_updated(True).endswith(b"<updated>true</updated></response>")
    assert render_deleted().endswith(b"<deleted>true</deleted></response>")
