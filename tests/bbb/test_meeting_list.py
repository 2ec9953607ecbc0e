"""A list that is read piece by piece, from memory or not, says what the whole document says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.bbb.meeting_list import MeetingList, MeetingListReader
from appliance.bbb.xml import (
    MalformedAnswer,
    MeetingElementParser,
    parse_answer,
    render_error,
    render_meetings,
)
from appliance.tenants.view import show_list

DATA = Path(__file__).parents[1] / "data" / "bbb-responses"
REAL = (DATA / "getMeetingsSuccess.xml").read_bytes()
HEAD = b"<response><returncode>SUCCESS</returncode><meetings>"
TAIL = b"</meetings></response>"
NO_MEETINGS = b"".join(render_meetings(()))


def listed_in(body: bytes) -> tuple[ListedMeeting, ...]:
    """The meetings of the whole document, parsed at once."""
    parser = MeetingElementParser()
    listed = tuple(read.listed for _, read in parser.feed(body) if read.listed)
    parser.close()
    return listed


def parse_meetings(body: bytes) -> tuple[ListedMeeting, ...]:
    return MeetingListReader().read(body).listed


def merge_meetings(bodies: list[bytes], *, tenant_id: str | None) -> bytes:
    lists = [MeetingListReader().read(body) for body in bodies]
    return b"".join(render_meetings([show_list(one, tenant_id) for one in lists]))


def answer(inside: str) -> bytes:
    return f"<response><returncode>SUCCESS</returncode>{inside}</response>".encode()


def listing_of(*meetings: str) -> bytes:
    inside = "".join(f"<meeting>{meeting}</meeting>" for meeting in meetings)
    return answer(f"<meetings>{inside}</meetings>")


def meeting(name: str, users: int = 2, extra: bytes = b"") -> bytes:
    return (
        f"<meeting><meetingID>{name}</meetingID><createTime>1531240585189</createTime>"
        f"<participantCount>{users}</participantCount><moderatorCount>1</moderatorCount>"
        "<videoCount>1</videoCount><isBreakout>false</isBreakout>"
    ).encode() + (extra + b"</meeting>")


def listing(*meetings: bytes) -> bytes:
    return HEAD + b"".join(meetings) + TAIL


@pytest.mark.parametrize(
    "body",
    [
        REAL,
        listing(),
        listing(meeting("a"), meeting("b", 7)),
        HEAD + b"\n  " + meeting("a") + b"\n\t" + meeting("b") + b"\n" + TAIL + b"\n",
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + listing(meeting("a")),
        b'<?xml version="1.0" encoding="ISO-8859-1"?>'
        + listing(meeting("caf\xe9".encode().decode("latin-1"))),
        listing(meeting("a", extra=b"<meetingName><![CDATA[</meeting>]]></meetingName>")),
        listing(meeting("a", extra=b"<!-- </meeting> -->")),
        listing(meeting("a", extra=b"<x></x >"), b"<meeting></meeting >"),
        listing(b"<meeting><meeting/></meeting>", meeting("a")),
        listing(meeting("a", extra=b"<metadata><tenant-id> t1 </tenant-id></metadata>")),
        listing(b"<meeting><meetingName>no id</meetingName></meeting>", meeting("a")),
        b"<response><returncode>SUCCESS</returncode><meetings/><messageKey>noMeetings</messageKey></response>",
        b"<response><returncode>FAILED</returncode><messageKey>checksumError</messageKey></response>",
    ],
)
def test_list_says_what_the_document_says(body: bytes) -> None:
    reader = MeetingListReader()
    whole = parse_answer(body)

    for _ in range(2):  # the second time from memory
        read = reader.read(body)

        assert (read.succeeded, read.message_key) == (whole.succeeded, whole.message_key)
        assert read.listed == (listed_in(body) if whole.succeeded else ())


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize(
    "body",
    [
        REAL,
        HEAD + b"\n  " + meeting("a") + b"\n\t" + meeting("b") + b"\n" + TAIL + b"\n",
        listing(*(meeting(str(number)) for number in range(20))),
        listing(meeting("a"), meeting("b", extra=b"<x><![CDATA[</meeting>]]></x>"), meeting("c")),
        listing(meeting("a"), b"<meeting><meeting/></meeting>", meeting("b")),
        b'<?xml version="1.0" encoding="UTF-16"?>'.decode().encode("utf-16")
        + listing(meeting("a")).decode().encode("utf-16-le"),
        listing(meeting("a"))[:-1],
        listing(meeting("a")) + b"x",
        b"",
    ],
)
@pytest.mark.parametrize("kept", [True, False])
def test_list_is_the_same_in_blocks_of_any_size(size: int, body: bytes, kept: bool) -> None:
    def read_in_blocks() -> MeetingList:
        stream = MeetingListReader().begin(keeps_elements=kept)
        for begin in range(0, len(body), size):
            stream.feed(body[begin : begin + size])
        return stream.finish()

    try:
        whole = MeetingListReader().read(body)
    except MalformedAnswer:
        with pytest.raises(MalformedAnswer):
            read_in_blocks()
    else:
        found = read_in_blocks()
        assert (found.listed, found.message_key) == (whole.listed, whole.message_key)
        assert whole.listed
        assert all(bool(entry.xml) is kept for entry in found.entries)


@pytest.mark.parametrize("extra", [b"", b"<!-- parsed in the other way -->"])
def test_list_with_too_many_meetings_is_refused_when_it_has_them(extra: bytes) -> None:
    reader = MeetingListReader(max_meetings=3)
    meetings = [meeting(str(number), extra=extra) for number in range(4)]
    assert len(reader.read(listing(*meetings[:3])).entries) == 3

    stream = reader.begin()
    stream.feed(HEAD + b"".join(meetings[:3]))
    with pytest.raises(MalformedAnswer, match="more than 3 meetings"):
        stream.feed(meetings[3])


def test_entries_are_the_bytes_of_the_server() -> None:
    texts = meeting("a"), meeting("b", extra=b"<metadata><tenant-id>t1</tenant-id></metadata>")

    entries = MeetingListReader().read(listing(*texts)).entries

    assert tuple(entry.xml for entry in entries) == texts
    assert [entry.read.tenant_id for entry in entries] == [None, "t1"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        listing(meeting("a"))[:-1],
        listing(meeting("a"))[:200],
        HEAD + meeting("a") + b"</meetings>",
        HEAD + meeting("a") + TAIL + b"<x/>",
        listing(meeting("a"), b"<meeting><meetingID>b</meetingID>"),
        listing(meeting("a", extra=b"<b></i>")),
        listing(meeting("a", extra=b"&nbsp;")),
        listing(meeting("a", extra=b"\xff")),
        listing(b"<meeting><!--</meeting>", meeting("a")),
        listing(b"<meeting><meeting></meeting>", b"<meeting></meeting ></meeting>", b"<meeting>"),
        b"<!DOCTYPE response [<!ENTITY x 'y'>]>" + listing(meeting("a")),
        listing(meeting("a")).replace(b"<returncode>SUCCESS</returncode>", b""),
    ],
)
def test_what_is_no_answer_is_refused_whatever_is_remembered(body: bytes) -> None:
    reader = MeetingListReader()
    reader.read(listing(meeting("a")))

    with pytest.raises(MalformedAnswer):
        reader.read(body)


def test_nothing_is_remembered_of_a_list_that_was_refused() -> None:
    reader = MeetingListReader()
    halves = b"<meeting><a></meeting>", b"<meeting></a></meeting>"
    with pytest.raises(MalformedAnswer):
        reader.read(listing(*halves))

    with pytest.raises(MalformedAnswer):
        reader.read(listing(halves[0]))


def test_memory_is_bounded() -> None:
    reader = MeetingListReader(max_known=10)
    for number in range(200):
        reader.read(listing(meeting(f"m{number}"), meeting("always")))

    assert len(reader._recent) + len(reader._previous) <= 20


def test_only_meetings_that_are_still_listed_are_remembered() -> None:
    now_s = 0.0
    reader = MeetingListReader(keep_s=90, clock=lambda: now_s)
    for number in range(100):  # a meeting comes and goes with each poll, another one stays
        reader.read(listing(meeting(f"m{number}"), meeting("always")))
        now_s += 60
    stays = hash(meeting("always"))

    assert reader._recall(stays) is not None
    assert len(reader._recent.keys() | reader._previous.keys()) <= 5


def test_list_longer_than_the_memory_is_read() -> None:
    reader = MeetingListReader(max_known=3)
    body = listing(*(meeting(f"m{number}") for number in range(20)))

    assert len(reader.read(body).listed) == len(reader.read(body).listed) == 20


PIECES = st.sampled_from(
    [
        HEAD,
        TAIL,
        b"<meeting>",
        b"</meeting>",
        b"</meeting >",
        b"<meeting/>",
        b"<meetingID>x</meetingID>",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<?pi ?>",
        b"</meetings>",
        b"<meetings>",
        b"<a>",
        b"</a>",
        b" ",
        meeting("a"),
        meeting("b"),
    ]
)


@given(st.lists(st.lists(PIECES, max_size=9).map(b"".join), max_size=4))
@settings(max_examples=300, deadline=None)
def test_reader_agrees_with_the_parser_on_anything(inner: list[bytes]) -> None:
    reader = MeetingListReader()
    reader.read(listing(meeting("a")))
    for text in inner:
        for body in (listing(text), text):
            try:
                expected = listed_in(body) if parse_answer(body).succeeded else None
            except MalformedAnswer:
                expected = None
            try:
                read = reader.read(body)
                found = read.listed if read.succeeded else None
            except MalformedAnswer:
                found = None
            assert found == expected


def test_meetings_of_a_real_server_are_read() -> None:
    name = "Demo Meeting"
    assert parse_meetings(REAL) == (ListedMeeting(name, 1531241258036, 0, 0, 0, False, name),)


def test_meetings_are_read_in_order_with_their_numbers() -> None:
    body = listing_of(
        "<meetingID>a&amp;ü</meetingID><createTime>17</createTime>"
        "<participantCount>5</participantCount><moderatorCount>2</moderatorCount>"
        "<videoCount>3</videoCount><isBreakout>true</isBreakout>"
        "<attendees><attendee><videoCount>9</videoCount></attendee></attendees>",
        "<meetingID><![CDATA[b]]></meetingID><participantCount> 4\n</participantCount>",
    )

    assert parse_meetings(body) == (
        ListedMeeting("a&ü", 17, 5, 2, 3, True),
        ListedMeeting("b", 0, 4, 0, 0, False),
    )


def test_what_usage_is_made_of_is_read() -> None:
    caller = "<attendee><userID>v_7</userID><clientType>dial-in-user</clientType></attendee>"
    body = listing_of(
        "<meetingID>a</meetingID><recording>true</recording><listenerCount>4</listenerCount>"
        "<voiceParticipantCount>3</voiceParticipantCount>"
        f"<attendees>{caller}{caller}<attendee><userID>w_1</userID></attendee></attendees>"
        "<metadata><bbb-origin>Moodle</bbb-origin><tenant-id>t-1</tenant-id>"
        "<bbb-origin-server-name>lms.example.org</bbb-origin-server-name></metadata>",
        "<meetingID>b</meetingID><isBreakout>true</isBreakout>"
        "<breakout><parentMeetingID>p-1</parentMeetingID></breakout>",
    )

    first, second = parse_meetings(body)

    assert (first.recorded, first.listeners, first.voice, first.dial_in) == (True, 4, 3, 2)
    assert (first.origin, first.origin_server) == ("Moodle", "lms.example.org")
    assert first.tenant_id == "t-1"
    assert (second.parent_id, second.dial_in, second.origin) == ("p-1", 0, "")


@pytest.mark.parametrize(
    "text", ["", " ", "x", "-3", "1.5", "1e3", "0x1", "1_0", "٣", "²", "9" * 5000, "<b>1</b>"]
)
def test_number_of_a_meeting_is_zero_when_it_is_garbage(text: str) -> None:
    names = ("createTime", "participantCount", "moderatorCount", "videoCount", "isBreakout")
    fields = "".join(f"<{name}>{text}</{name}>" for name in names)

    meetings = parse_meetings(listing_of(f"<meetingID>a</meetingID>{fields}"))

    assert meetings == (ListedMeeting("a", 0, 0, 0, 0, False),)


def test_meeting_is_left_out_when_it_has_no_id() -> None:
    body = listing_of("", "<meetingID/>", "<meetingID></meetingID>", "<meetingID>a</meetingID>")

    assert [meeting.id for meeting in parse_meetings(body)] == ["a"]


@pytest.mark.parametrize("body", [NO_MEETINGS, answer(""), answer("<meetings/>")])
def test_meetings_are_none_when_the_server_lists_none(body: bytes) -> None:
    assert parse_meetings(body) == ()


def test_list_says_so_when_the_server_says_failed() -> None:
    read = MeetingListReader().read(render_error("checksumError", "no"))

    assert (read.succeeded, read.message_key, read.listed) == (False, "checksumError", ())


def meetings_in(body: bytes) -> list[str | None]:
    root = etree.fromstring(body)
    assert root.findtext("returncode") == "SUCCESS"
    return [meeting.findtext("meetingID") for meeting in root.iterfind("meetings/meeting")]


ODD = (
    '<meetingID>o</meetingID><name a="1 &amp; 2"><![CDATA[<b> & ]]]]><![CDATA[>]]></name>'
    "<n>ü &lt; 日本 \U0001f600 &#13;</n><!-- c --><?p i?>\n  <empty/>"
)


def test_merged_meetings_keep_their_content() -> None:
    merged = merge_meetings([REAL, listing_of(ODD, "<meetingID>o</meetingID>")], tenant_id=None)

    assert meetings_in(merged) == ["Demo Meeting", "o", "o"]
    assert f"<meeting>{ODD}</meeting>".encode() in merged
    real = REAL
    start = real.index(b"<meetingName>")
    end = real.index(b"<attendees />")
    assert real[start:end] in merged


def test_merged_meetings_are_utf8_whatever_the_servers_encoding() -> None:
    body = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><response><returncode>SUCCESS</returncode>'
        "<meetings><meeting><meetingID>ü</meetingID></meeting></meetings></response>"
    ).encode("latin-1")

    assert meetings_in(merge_meetings([body], tenant_id=None)) == ["ü"]


@pytest.mark.parametrize(
    "bodies",
    [
        [],
        [NO_MEETINGS],
        [answer(""), answer("<meetings>\n</meetings>")],
        [render_error("checksumError", "no")],
    ],
)
def test_merged_meetings_say_so_when_there_are_none(bodies: list[bytes]) -> None:
    merged = merge_meetings(bodies, tenant_id=None)

    assert merged == NO_MEETINGS
    assert parse_answer(merged).message_key == "noMeetings"


def owned(meeting_id: str, tenant: str) -> str:
    metadata = f"<metadata><a>b</a>{tenant}</metadata>"
    return f"<meetingID>{meeting_id}</meetingID>{metadata}"


@pytest.mark.parametrize(
    ("tenant_id", "seen"),
    [(None, ["none", "blank", "elsewhere"]), ("t1", ["one"]), ("t2", ["two"]), ("t", [])],
)
def test_merged_meetings_are_those_of_the_tenant(tenant_id: str | None, seen: list[str]) -> None:
    body = listing_of(
        owned("none", ""),
        owned("one", "<tenant-id>t1</tenant-id>"),
        owned("two", "<tenant-id><![CDATA[t2]]></tenant-id>"),
        owned("blank", "<tenant-id/>"),
        "<meetingID>elsewhere</meetingID><tenant-id>t1</tenant-id>",
    )

    assert meetings_in(merge_meetings([body], tenant_id=tenant_id)) == seen


def test_merging_refuses_an_answer_that_is_malformed() -> None:
    with pytest.raises(MalformedAnswer):
        merge_meetings([listing_of("<meetingID>a</meetingID>"), b"<response>"], tenant_id=None)
