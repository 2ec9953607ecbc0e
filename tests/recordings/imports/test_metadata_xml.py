"""metadata.xml of real servers is read; what is hostile or garbage is refused or left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recordings.imports.metadata_xml import (
    MAX_BYTES,
    MalformedMetadata,
    parse_metadata_tree,
    parse_metadata_xml,
    without_metadata,
)
from appliance.recordings.recording import is_format, is_record_id
from tests.doubles.recording_tars import metadata_xml

DATA = Path(__file__).resolve().parents[2] / "data/recordings"
GOOD = metadata_xml("r1", "video", name="Ä & b", metadata={"a": "1", "empty": ""})


def test_parse_metadata_xml_reads_a_presentation() -> None:
    parsed = parse_metadata_xml((DATA / "metadata.xml").read_bytes())
    recording = parsed.recording
    assert (recording.record_id, recording.meeting_id) == ("record-2342", "meeting-2342")
    assert (recording.name, recording.published, recording.state) == ("neuraum", True, "published")
    assert (recording.start_ms, recording.end_ms) == (1647181479536, 1647181557090)
    assert recording.participants == 1
    assert dict(recording.metadata) == {
        "bbb-origin-server-name": "greenlight1.foobar", "gl-listed": "false",
        "bbb-origin": "Greenlight", "bbb-origin-version": "2.11.1",
    }  # fmt: skip
    assert parsed.format.format == "presentation"
    assert parsed.format.url == "/playback/presentation/2.3/record-2342"
    assert (parsed.format.length_min, parsed.format.processing_time_ms) == (1, 4882)


def test_parse_metadata_xml_reads_a_video_that_is_available() -> None:
    parsed = parse_metadata_xml((DATA / "metadata.m4v.xml").read_bytes())
    assert parsed.recording.state == "published"
    assert parsed.recording.participants is None
    assert dict(parsed.recording.metadata)["bbb-origin-version"] == ""
    assert (parsed.format.format, parsed.format.processing_time_ms) == ("video", None)
    assert parsed.format.url == "/playback/video/record-2342/"


def test_parse_metadata_xml_reads_thumbnails() -> None:
    image = parse_metadata_xml(GOOD.encode()).format.thumbnails[0]
    assert (image.width, image.height, image.alt) == (176, 136, "Übersicht")
    assert (image.url, image.sequence) == ("/video/r1/thumb-1.png", 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<id>r1</id>", ""),
        ("<id>r1</id>", "<id>../r1</id>"),
        ("<id>r1</id>", f"<id>{'r' * 256}</id>"),
        ("<format>video</format>", ""),
        ("<format>video</format>", "<format>Video</format>"),
        ("<format>video</format>", "<format>..</format>"),
        ("<link>https://bbb1.example.org/playback/video/2.3/r1</link>", ""),
        ("https://bbb1.example.org/playback/video/2.3/r1", "https://[::1/"),
        ("</recording>", ""),
        ("<recording>", "<recordings>"),
        ('<?xml version="1.0"?>', '<!DOCTYPE recording SYSTEM "file:///etc/passwd">'),
        ('<?xml version="1.0"?>', '<!DOCTYPE recording [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        ("<meetingId>", f"<meetingId>{'ä' * 1000}"),
        ("Ä &amp; b", "&unknown;"),
        ("Ä &amp; b", "\x00"),
    ],
)
def test_parse_metadata_xml_refuses_what_it_cannot_use(old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises(MalformedMetadata):
        parse_metadata_xml(GOOD.replace(old, new).encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_parse_metadata_xml_refuses_a_dtd_in_any_encoding(encoding: str) -> None:
    text = GOOD.replace('<?xml version="1.0"?>', "<!DOCTYPE recording [<!ENTITY x 'y'>]>")
    with pytest.raises(MalformedMetadata):
        parse_metadata_xml(text.encode(encoding))


@pytest.mark.parametrize("body", [b"", b"\0", b"<", b"x" * (MAX_BYTES + 1)])
def test_parse_metadata_xml_refuses_garbage(body: bytes) -> None:
    with pytest.raises(MalformedMetadata):
        parse_metadata_xml(body)


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://h/p/q?a=b&amp;c#frag", "/p/q?a=b&c"),
        ("https://h", "/"),
        ("/p", "/p"),
        ("https://h//evil.example/x", "/evil.example/x"),
        ("https://h/\\evil.example", "/%5Cevil.example"),
        ("https://h/a b/ü", "/a%20b/%C3%BC"),
        ("https://h/a%20b", "/a%20b"),
        ("javascript:alert(1)", "/alert(1)"),
    ],
)
def test_parse_metadata_xml_keeps_path_and_query_of_links(link: str, url: str) -> None:
    text = GOOD.replace("https://bbb1.example.org/playback/video/2.3/r1", link)
    assert parse_metadata_xml(text.encode()).format.url == url


@pytest.mark.parametrize("number", ["", "-1", "x", "1.5", "9" * 20, "٣", "99999999999"])
def test_parse_metadata_xml_takes_a_number_that_is_none_for_missing(number: str) -> None:
    text = GOOD.replace("<participants>3<", f"<participants>{number}<")
    assert parse_metadata_xml(text.encode()).recording.participants is None


@pytest.mark.parametrize(
    ("ms", "minutes"), [("0", 0), ("29999", 0), ("30000", 1), ("89999", 1), ("90000", 2)]
)
def test_parse_metadata_xml_rounds_the_duration(ms: str, minutes: int) -> None:
    text = GOOD.replace("<duration>92860<", f"<duration>{ms}<")
    assert parse_metadata_xml(text.encode()).format.length_min == minutes


def test_parse_metadata_xml_leaves_out_keys_with_a_namespace() -> None:
    text = GOOD.replace("<a>1</a>", "<a>1</a><a>2</a><x:y xmlns:x='u'>3</x:y><p:q>4</p:q>")
    parsed = parse_metadata_xml(text.encode())
    assert dict(parsed.recording.metadata) == {"a": "2", "empty": ""}
    assert parsed.left_out == ("y", "p:q")


def test_parse_metadata_xml_leaves_out_keys_that_no_index_takes() -> None:
    long, longer = "ä" * 500, "ä" * 501
    text = GOOD.replace("<a>1</a>", f"<{long}>1</{long}><{longer}>2</{longer}>")
    parsed = parse_metadata_xml(text.encode())
    assert dict(parsed.recording.metadata) == {long: "1", "empty": ""}
    assert parsed.left_out == ("ä" * 100,)


@pytest.mark.parametrize(
    ("text", "published"), [("true", True), ("false", False), ("FALSE", False), ("", True)]
)
def test_parse_metadata_xml_reads_whether_it_is_published(text: str, published: bool) -> None:
    body = GOOD.replace("<published>true<", f"<published>{text}<").encode()
    assert parse_metadata_xml(body).recording.published is published


@given(st.binary(max_size=200), st.integers(0, 600))
def test_parse_metadata_xml_never_fails_otherwise(noise: bytes, at: int) -> None:
    body = GOOD.encode()
    try:
        parsed = parse_metadata_xml(body[:at] + noise + body[at + len(noise) :])
    except MalformedMetadata:
        return
    assert is_record_id(parsed.recording.record_id)
    assert is_format(parsed.format.format)
    assert parsed.format.url.startswith("/")
    assert not parsed.format.url.startswith("//")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, {"tenant-id", "meetingId", "meetingName", "isBreakout"}),
        ("Ada", {"tenant-id", "meetingId", "meetingName", "isBreakout", "course"}),
    ],
)
def test_without_metadata_keeps_what_is_about_the_meeting(
    value: str | None, kept: set[str]
) -> None:
    extra = (
        "<meta><meetingId>m</meetingId><meetingName>Ada</meetingName><isBreakout>false</isBreakout>"
        "<tenant-id>t</tenant-id><owner>Ada</owner><a:b>Ada</a:b><course>Ada B</course></meta>"
    )
    body = f"<recording><id>r</id>{extra}</recording>".encode()

    rest = without_metadata(body, value)

    assert rest is not None
    assert {one.tag for one in parse_metadata_tree(rest).iterfind("meta/*")} == kept
    assert without_metadata(rest, value) is None
    assert without_metadata(b"<recording/>", value) is None
