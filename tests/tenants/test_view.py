"""What a tenant's front-end sees of servers' answers: its own ids, and nothing of the
appliance's."""

from __future__ import annotations

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from appliance.bbb.meeting_list import MeetingListReader
from appliance.bbb.xml import parse_answer, render_meetings
from appliance.recordings.tenant_view import show_metadata_xml, show_recording
from appliance.tenants.scoped_id import scoped_id
from appliance.tenants.view import needs_view, show_answer, show_list
from tests.doubles.recording_tars import metadata_xml
from tests.doubles.recordings import make_recording

T1 = "588d7588-5557-41f9-9533-a75d5f42cb21"
T2 = "981810d6-1b91-4022-9f8d-71c128cd378e"
LONG = "x" * 256


def answer(content: str) -> bytes:
    return f"<response><returncode>SUCCESS</returncode>{content}</response>".encode()


def merge_meetings(bodies: list[bytes], *, tenant_id: str) -> bytes:
    lists = [MeetingListReader().read(body) for body in bodies]
    return b"".join(render_meetings([show_list(one, tenant_id) for one in lists]))


def listing(*meetings: str) -> bytes:
    return answer(
        f"<meetings>{''.join(f'<meeting>{one}</meeting>' for one in meetings)}</meetings>"
    )


def meeting(meeting_id: str, *metadata: str, rest: str = "", tenant: str = T2) -> str:
    own = f"<tenant-id>{tenant}</tenant-id>{''.join(metadata)}"
    return f"<meetingID>{meeting_id}</meetingID>{rest}<metadata>{own}</metadata>"


@pytest.mark.parametrize(
    ("meeting_id", "written"),
    [
        ("room", f"room~{T2}"),
        ("a&b ü", f"a&amp;b ü~{T2}"),
        ("a<b", f"<![CDATA[a<b~{T2}]]>"),
        (f"room~{T2}", f"room~{T2}~{T2}"),
        (f"room~{T1}", f"room~{T1}~{T2}"),
        (LONG, scoped_id(LONG, T2)),
    ],
)
@pytest.mark.parametrize("text", ["{}", "A meeting {} exists."])
def test_scoped_id_is_turned_back(meeting_id: str, written: str, text: str) -> None:
    elements = ("meetingID", "meetingName", "message")
    content = "".join(f"<{name}>{text.format(written)}</{name}>" for name in elements)

    shown = etree.fromstring(show_answer(answer(content), T2, meeting_id))

    assert [shown.findtext(name) for name in elements] == [text.format(meeting_id)] * 3
    assert parse_answer(etree.tostring(shown)).succeeded


XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=2
)


@given(meeting_id=XML_TEXT, around=XML_TEXT)
def test_any_scoped_id_is_turned_back(meeting_id: str, around: str) -> None:
    kept = scoped_id(meeting_id, T2)
    content = f"<meetingID>{escape(kept)}</meetingID><m>{escape(around + kept)}</m>"

    shown = etree.fromstring(show_answer(answer(content), T2, meeting_id))

    assert shown.findtext("meetingID") == meeting_id
    assert shown.findtext("m") == around + meeting_id


@pytest.mark.parametrize(
    "content",
    [
        "<meetingID>room</meetingID>",
        f"<meetingID>room~{T1}</meetingID>",
        "<meetingID>ro~om</meetingID><!-- kept -->",
        f"<metadata><tenant-id>{T2}</tenant-id></metadata>",
    ],
)
def test_other_answer_is_handed_on_as_it_is(content: str) -> None:
    assert show_answer(answer(content), T2, "room") is not None
    assert show_answer(answer(content), T2, "room") == answer(content)
    assert not needs_view(answer(content), T2)


def test_answer_without_tenant_is_handed_on_as_it_is() -> None:
    body = answer(f"<meetingID>room~{T2}</meetingID><secret-lrs-payload/>")
    assert show_answer(body, None, "room") == body


def test_metadata_of_ours_is_hidden_and_that_of_front_ends_is_not_touched() -> None:
    metadata = f"<secret-lrs-payload>U2Fs</secret-lrs-payload><a>room~{T2}</a><b/>"
    metadata += f"<tenant-meeting-id>{LONG}</tenant-meeting-id>"
    content = f"<meetingID>room</meetingID><metadata>{metadata}</metadata>"

    shown = etree.fromstring(show_answer(answer(content), T2, "room"))

    entries = {entry.tag: entry.text for entry in shown.iterfind("metadata/*")}
    assert entries == {"a": f"room~{T2}", "b": None}


RELAY = (
    "https://us.example/bigbluebutton/api/end_callback?url=https%3A%2F%2Fgl.example%2F&meeting=m"
)


def test_url_of_ours_is_shown_as_the_front_ends() -> None:
    entry = f"<endcallbackurl><![CDATA[{RELAY}]]></endcallbackurl>"
    plain = "<endcallbackurl>https://gl.example/</endcallbackurl>"
    bodies = [
        show_answer(answer(f"<metadata>{entry}</metadata>"), T2, "room"),
        merge_meetings([listing(meeting("room", entry))], tenant_id=T2),
        merge_meetings([listing(meeting("room", plain))], tenant_id=T2),
    ]

    found = [etree.fromstring(body).findtext(".//endcallbackurl") for body in bodies]

    assert found == ["https://gl.example/"] * 3
    metadata = (("tenant-id", T2), ("endCallbackUrl", RELAY), ("x", RELAY))
    seen = show_recording(make_recording("r1", meeting_id="room", metadata=metadata))
    assert dict(seen.metadata) == {**dict(metadata), "endCallbackUrl": "https://gl.example/"}


@pytest.mark.parametrize("kept", [f"room~{T2}", scoped_id(LONG, T2), "room"])
def test_published_file_shows_the_front_ends_id_and_nothing_of_ours(kept: str) -> None:
    shown = "room" if kept.startswith("room") else LONG
    ours = {"tenant-id": T2, "secret-lrs-payload": "U2Fs", "endcallbackurl": RELAY, "a": "~ü&"}
    more = {"tenant-meeting-id": LONG} if shown == LONG else {}
    text = metadata_xml("r1", meeting_id=kept, metadata=ours | more)

    found = show_metadata_xml(text.encode())

    assert found is not None
    root = etree.fromstring(found)
    assert (root.findtext("meta/meetingId"), root.xpath("string(meeting/@externalId)")) == (
        shown,
        shown,
    )
    meta = {entry.tag: entry.text for entry in root.iterfind("meta/*")}
    assert meta == {
        "meetingName": "A meeting",
        "isBreakout": "false",
        "meetingId": shown,
        "tenant-id": T2,
        "endcallbackurl": "https://gl.example/",
        "a": "~ü&",
    }
    assert root.findtext("playback/format") == "presentation"
    assert show_metadata_xml(found) is None


@pytest.mark.parametrize(
    ("kept", "metadata"),
    [
        ("room", {"tenant-id": T2}),
        (f"room~{T2}", {}),
        (f"room~{T2}", {"tenant-id": T1}),
        (f"room~{T2}", {"tenant-id": ""}),
        ("a~b", {"secret-lrs-payload": "its own"}),
    ],
)
def test_published_file_of_others_stays_as_it_is(kept: str, metadata: dict[str, str]) -> None:
    text = metadata_xml("r1", meeting_id=kept, metadata=metadata)
    assert show_metadata_xml(text.encode()) is None


def test_listed_meetings_have_the_front_ends_ids() -> None:
    kept = scoped_id(LONG, T2)
    original = f"<tenant-meeting-id>{LONG}</tenant-meeting-id>"
    inherited = "<breakout><parentMeetingID>{}</parentMeetingID></breakout>".format
    bodies = [
        listing(
            meeting("first"),
            meeting("room", tenant=T1),
            meeting(f"room~{T2}", rest=f"<meetingName>Room of room~{T2}</meetingName>"),
            meeting("breakout-1", rest=inherited(f"room~{T2}")),
        ),
        listing(
            meeting("breakout-2", original, rest=inherited(kept)),
            meeting(kept, original, "<secret-lrs-payload>x</secret-lrs-payload>"),
            meeting("breakout-3", rest=inherited("internal-1")),
        ),
        listing(meeting("last", rest="<n><![CDATA[kept]]></n>")),
    ]

    merged = merge_meetings(bodies, tenant_id=T2)

    root = etree.fromstring(merged)
    ids = [element.text for element in root.iter("meetingID")]
    assert ids == ["first", "room", "breakout-1", "breakout-2", LONG, "breakout-3", "last"]
    assert [one.text for one in root.iter("parentMeetingID")] == ["room", LONG, "internal-1"]
    assert root.findtext("meetings/meeting/meetingName") == "Room of room"
    assert f"~{T2}".encode() not in merged
    assert b"tenant-meeting-id" not in merged
    assert b"secret-lrs-payload" not in merged
    assert b"<![CDATA[kept]]>" in merged


def test_listed_meetings_of_one_id_are_each_tenants_own() -> None:
    body = listing(meeting("room", tenant=T1), meeting(f"room~{T2}"))
    for tenant in (T1, T2):
        root = etree.fromstring(merge_meetings([body], tenant_id=tenant))
        assert [element.text for element in root.iter("meetingID")] == ["room"]
        assert root.findtext(".//tenant-id") == tenant


@pytest.mark.parametrize(
    ("kept", "metadata", "shown"),
    [
        ("room", {}, "room"),
        (f"room~{T2}", {"tenant-id": T2}, "room"),
        (f"room~{T2}", {"tenant-id": T1}, f"room~{T2}"),
        (f"room~{T2}", {}, f"room~{T2}"),
        (scoped_id(LONG, T2), {"tenant-id": T2, "tenant-meeting-id": LONG}, LONG),
        ("breakout", {"tenant-id": T2, "tenant-meeting-id": LONG}, "breakout"),
        (None, {"tenant-id": T2}, None),
    ],
)
def test_recording_has_the_front_ends_id(
    kept: str | None, metadata: dict[str, str], shown: str | None
) -> None:
    secret = {"secret-lrs-payload": "U2Fs", "a": "b"}
    recording = make_recording("r1", meeting_id=kept, metadata=tuple((metadata | secret).items()))

    seen = show_recording(recording)

    assert seen.meeting_id == shown
    assert set(dict(seen.metadata)) == ({"tenant-id"} & set(metadata)) | {"a"}
