"""A list that is read piece by piece, from memory or not, says what the whole document says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.bbb_xml import MalformedAnswer, parse_answer, parse_meetings
from appliance.core.meeting_list import MeetingListReader

REAL = Path("tests/data/bbb-responses/getMeetingsSuccess.xml").read_bytes()
HEAD = b"<response><returncode>SUCCESS</returncode><meetings>"
TAIL = b"</meetings></response>"


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
    answer = parse_answer(body)

    for _ in range(2):  # the second time from memory
        read = reader.read(body)

        assert (read.succeeded, read.message_key) == (answer.succeeded, answer.message_key)
        assert read.listed == (parse_meetings(body) if answer.succeeded else ())


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

    assert len(reader._young) + len(reader._old) <= 20


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
                expected = parse_meetings(body)
            except MalformedAnswer:
                expected = None
            try:
                read = reader.read(body)
                found = read.listed if read.succeeded else None
            except MalformedAnswer:
                found = None
            assert found == expected
