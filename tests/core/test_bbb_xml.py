"""Reading and writing the XML of the BBB API."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from appliance.core import errors
from appliance.core.bbb_xml import (
    MalformedAnswer,
    can_splice,
    merge_meetings,
    parse_answer,
    parse_meetings,
    parse_version,
    render_error,
    render_index,
    render_no_meetings,
    render_not_running,
)
from appliance.core.model import ListedMeeting

DATA = Path(__file__).parents[1] / "data" / "bbb-responses"
REAL = {path.stem: path.read_bytes() for path in DATA.glob("*.xml")}


def answer(inside: str) -> bytes:
    return f"<response><returncode>SUCCESS</returncode>{inside}</response>".encode()


def listing(*meetings: str) -> bytes:
    inside = "".join(f"<meeting>{meeting}</meeting>" for meeting in meetings)
    return answer(f"<meetings>{inside}</meetings>")


def bomb(levels: int) -> str:
    """Build the entities of a "billion laughs" document, the last of which is `e<levels>`."""
    entities = ['<!ENTITY e0 "laugh">']
    entities += [f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, levels + 1)]
    return "".join(entities)


@pytest.mark.parametrize(
    ("name", "message_key"),
    [
        ("createSuccess", "duplicateWarning"),
        ("endSuccess", "sentEndMeetingRequest"),
        ("getMeetingInfoSuccess", None),
        ("getMeetingInfoSuccess-breakout", None),
        ("getMeetingInfoSuccess-breakoutParent", None),
        ("getMeetingsSuccess", None),
        ("isMeetingRunningSuccess", None),
        ("joinSuccess", "successfullyJoined"),
    ],
)
def test_answer_of_a_real_server_is_read(name: str, message_key: str | None) -> None:
    read = parse_answer(REAL[name])

    assert read.succeeded
    assert read.message_key == message_key
    assert read.body is REAL[name]


@pytest.mark.parametrize(
    ("body", "succeeded", "message_key"),
    [
        (b"<response><returncode>SUCCESS</returncode></response>", True, None),
        (b"<response><returncode>\n SUCCESS\t</returncode></response>", True, None),
        (b"<response><returncode><![CDATA[SUCCESS]]></returncode></response>", True, None),
        (b"<response><returncode>FAILED</returncode></response>", False, None),
        (b"<response><returncode>success</returncode></response>", False, None),
        (
            b"<response><returncode>FAILED</returncode><messageKey> notFound </messageKey>"
            b"</response>",
            False,
            "notFound",
        ),
        (
            b"<response><messageKey/><returncode>FAILED</returncode><message/></response>",
            False,
            None,
        ),
        (
            b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<!-- <!DOCTYPE no> -->\n'
            b"<response><returncode>SUCCESS</returncode></response>",
            True,
            None,
        ),
        (answer("<meetingName><![CDATA[<!DOCTYPE html>]]></meetingName>"), True, None),
        (answer("<!-- <!DOCTYPE html> -->"), True, None),
    ],
)
def test_answer_is_read(body: bytes, succeeded: bool, message_key: str | None) -> None:
    read = parse_answer(body)

    assert (read.succeeded, read.message_key, read.body) == (succeeded, message_key, body)


def test_answer_does_not_show_its_body_when_printed() -> None:
    assert "moderatorPW" not in repr(parse_answer(REAL["createSuccess"]))


HOSTILE = {
    "empty": b"",
    "blank": b" \n",
    "text": b"Bad Gateway",
    "json": b'{"response":{"returncode":"SUCCESS"}}',
    "html": b"<html><body>Welcome to nginx!</body></html>",
    "unclosed html": b"<html><body>Welcome<br></body></html>",
    "no returncode": b"<response><messageKey>x</messageKey></response>",
    "empty returncode": b"<response><returncode> </returncode></response>",
    "returncode too deep": b"<r><response><returncode>SUCCESS</returncode></response></r>",
    "two roots": answer("") * 2,
    "not utf-8": b"<response><returncode>SUCCESS</returncode><n>\xff</n></response>",
    "control character": answer("<n>\x01</n>"),
    "escaped control character": answer("<n>&#1;</n>"),
    "nul": b"\x00" * 100,
    "unknown encoding": b'<?xml version="1.0" encoding="klingon"?>' + answer(""),
    "unknown prefix": answer("<a:b/>"),
    "unknown entity": answer("<n>&nbsp;</n>"),
    "doctype": b"<!DOCTYPE response>" + answer(""),
    "doctype after a declaration": b"<?xml version='1.0'?>\n<!DOCTYPE response>" + answer(""),
    "doctype after a comment": b"<!-- a > b -->\n<?p <x ?><!DOCTYPE response>" + answer(""),
    "doctype in utf-16": "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE response><response>"
    "<returncode>SUCCESS</returncode></response>".encode("utf-16"),
    "external dtd": b'<!DOCTYPE response SYSTEM "http://127.0.0.1:9/a.dtd">' + answer(""),
    "external entity": b'<!DOCTYPE response [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    + answer("<n>&e;</n>"),
    "external parameter entity": b'<!DOCTYPE r [<!ENTITY % e SYSTEM "file:///etc/passwd">%e;]>'
    + answer(""),
    "billion laughs": f"<!DOCTYPE r [{bomb(12)}]>".encode() + answer("<n>&e12;</n>"),
    "billion laughs in utf-16": (
        f"<?xml version='1.0' encoding='utf-16'?><!DOCTYPE r [{bomb(12)}]>"
        "<response a='&e12;'><returncode>SUCCESS</returncode><n>&e12;</n></response>"
    ).encode("utf-16"),
    "quadratic blow-up": f'<!DOCTYPE r [<!ENTITY e "{"x" * 100_000}">]>'.encode()
    + answer("<n>" + "&e;" * 100_000 + "</n>"),
    "deeply nested": b"<a>" * 100_000 + b"</a>" * 100_000,
    "endless prolog": b"<!-- -->" * 100_000 + b"<!-- ",
    "endless white space": b" " * 1_000_000,
    "many unclosed instructions": b"<?x " * 200_000,
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_answer_is_refused_at_once_when_malformed(name: str) -> None:
    began = time.perf_counter()

    with pytest.raises(MalformedAnswer):
        parse_answer(HOSTILE[name])

    assert time.perf_counter() - began < 1
    for parse in (parse_meetings, parse_version):
        with pytest.raises(MalformedAnswer):
            parse(HOSTILE[name])


@pytest.mark.parametrize("name", sorted(REAL))
def test_answer_is_refused_wherever_it_is_cut_off(name: str) -> None:
    body = REAL[name].rstrip()

    for end in range(len(body)):
        with pytest.raises(MalformedAnswer):
            parse_answer(body[:end])


def test_malformed_answer_tells_where_but_quotes_nothing() -> None:
    with pytest.raises(MalformedAnswer) as raised:
        parse_answer(answer("<moderatorPW>\n<s3cret></moderatorPW>"))

    assert str(raised.value).startswith("the answer is not well-formed XML (line 2, column ")
    assert "s3cret" not in str(raised.value)
    assert raised.value.__suppress_context__


@given(st.binary() | st.text("<>/a&;![]?-CDATA\x00").map(str.encode))
@example(b"<a/>")
def test_anything_else_a_server_sends_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse_answer(body)


def test_meetings_of_a_real_server_are_read() -> None:
    assert parse_meetings(REAL["getMeetingsSuccess"]) == (
        ListedMeeting("Demo Meeting", 1531241258036, 0, 0, 0, False),
    )


def test_meetings_are_read_in_order_with_their_numbers() -> None:
    body = listing(
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


@pytest.mark.parametrize(
    "text", ["", " ", "x", "-3", "1.5", "1e3", "0x1", "1_0", "٣", "²", "9" * 5000, "<b>1</b>"]
)
def test_number_of_a_meeting_is_zero_when_it_is_garbage(text: str) -> None:
    names = ("createTime", "participantCount", "moderatorCount", "videoCount", "isBreakout")
    fields = "".join(f"<{name}>{text}</{name}>" for name in names)

    meetings = parse_meetings(listing(f"<meetingID>a</meetingID>{fields}"))

    assert meetings == (ListedMeeting("a", 0, 0, 0, 0, False),)


def test_meeting_is_left_out_when_it_has_no_id() -> None:
    body = listing("", "<meetingID/>", "<meetingID></meetingID>", "<meetingID>a</meetingID>")

    assert [meeting.id for meeting in parse_meetings(body)] == ["a"]


@pytest.mark.parametrize("body", [render_no_meetings(), answer(""), answer("<meetings/>")])
def test_meetings_are_none_when_the_server_lists_none(body: bytes) -> None:
    assert parse_meetings(body) == ()


def test_meetings_are_refused_when_the_server_says_failed() -> None:
    with pytest.raises(MalformedAnswer):
        parse_meetings(render_error("checksumError", "no"))


@pytest.mark.parametrize(
    ("inside", "version"),
    [
        ("<version>2.0</version><bbbVersion>3.0.4</bbbVersion>", "3.0.4"),
        ("<version>2.0</version><bbbVersion> 2.7.1\n</bbbVersion>", "2.7.1"),
        ("<version>2.0</version><bbbVersion/>", None),
        ("<version>0.9</version>", None),
    ],
)
def test_version_is_read_from_the_index(inside: str, version: str | None) -> None:
    assert parse_version(answer(inside)) == version


def meetings_in(body: bytes) -> list[str | None]:
    root = etree.fromstring(body)
    assert root.findtext("returncode") == "SUCCESS"
    return [meeting.findtext("meetingID") for meeting in root.iterfind("meetings/meeting")]


ODD = (
    '<meetingID>o</meetingID><name a="1 &amp; 2"><![CDATA[<b> & ]]]]><![CDATA[>]]></name>'
    "<n>ü &lt; 日本 \U0001f600 &#13;</n><!-- c --><?p i?>\n  <empty/>"
)


def test_merged_meetings_keep_their_content() -> None:
    merged = merge_meetings(
        [REAL["getMeetingsSuccess"], listing(ODD, "<meetingID>o</meetingID>")], tenant_id=None
    )

    assert meetings_in(merged) == ["Demo Meeting", "o", "o"]
    assert f"<meeting>{ODD}</meeting>".encode() in merged
    real = REAL["getMeetingsSuccess"]
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
        [render_no_meetings()],
        [answer(""), answer("<meetings>\n</meetings>")],
        [render_error("checksumError", "no")],
    ],
)
def test_merged_meetings_say_so_when_there_are_none(bodies: list[bytes]) -> None:
    merged = merge_meetings(bodies, tenant_id=None)

    assert merged == render_no_meetings()
    assert parse_answer(merged).message_key == "noMeetings"


def owned(meeting_id: str, tenant: str) -> str:
    metadata = f"<metadata><a>b</a>{tenant}</metadata>"
    return f"<meetingID>{meeting_id}</meetingID>{metadata}"


@pytest.mark.parametrize(
    ("tenant_id", "seen"),
    [(None, ["none", "blank", "elsewhere"]), ("t1", ["one"]), ("t2", ["two"]), ("t", [])],
)
def test_merged_meetings_are_those_of_the_tenant(tenant_id: str | None, seen: list[str]) -> None:
    body = listing(
        owned("none", ""),
        owned("one", "<tenant-id>t1</tenant-id>"),
        owned("two", "<tenant-id><![CDATA[t2]]></tenant-id>"),
        owned("blank", "<tenant-id/>"),
        "<meetingID>elsewhere</meetingID><tenant-id>t1</tenant-id>",
    )

    assert meetings_in(merge_meetings([body], tenant_id=tenant_id)) == seen


def test_merging_refuses_an_answer_that_is_malformed() -> None:
    with pytest.raises(MalformedAnswer):
        merge_meetings([listing("<meetingID>a</meetingID>"), b"<response>"], tenant_id=None)


def test_error_is_rendered_in_the_words_of_bbb() -> None:
    failure = errors.CHECKSUM_ERROR

    assert render_error(failure.key, failure.message) == (
        b"<response><returncode>FAILED</returncode><messageKey>checksumError</messageKey>"
        b"<message>You did not pass the checksum security check</message></response>"
    )


@pytest.mark.parametrize(
    ("text", "written", "read"),
    [
        ("a<b>&\"'", "a&lt;b&gt;&amp;\"'", "a<b>&\"'"),
        ("]]>", "]]&gt;", "]]>"),
        ("a\x00\x1b\ufffe\ud800b", "a\ufffd\ufffd\ufffd\ufffdb", "a\ufffd\ufffd\ufffd\ufffdb"),
        ("a\r\n\tb", "a&#13;\n\tb", "a\r\n\tb"),
        ("ü日\U0001f600", "ü日\U0001f600", "ü日\U0001f600"),
    ],
)
def test_error_is_escaped(text: str, written: str, read: str) -> None:
    body = render_error("key", text)

    assert f"<message>{written}</message>".encode() in body
    assert etree.fromstring(body).findtext("message") == read


@given(st.text(st.characters()), st.text(st.characters()))
def test_error_is_well_formed_whatever_its_text(key: str, message: str) -> None:
    body = render_error(key, message)

    assert not parse_answer(body).succeeded
    assert len(etree.fromstring(body).findtext("message") or "") == len(message)


@pytest.mark.parametrize(
    ("build", "element"),
    [(None, ""), ("", ""), ("1.2.3", "<build>1.2.3</build>"), ("<&", "<build>&lt;&amp;</build>")],
)
def test_index_names_the_build_when_it_is_set(build: str | None, element: str) -> None:
    assert render_index(build) == answer(
        f"<version>2.0</version><apiVersion>2.0</apiVersion>{element}"
    )


def test_meeting_that_nobody_knows_is_not_running() -> None:
    assert render_not_running() == answer("<running>false</running>")


LIST = b"<response><returncode>SUCCESS</returncode><meetings>%s</meetings></response>"
MEETING = b"<meeting><meetingID>a</meetingID></meeting>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (LIST % MEETING, True),
        (b'<?xml version="1.0"?>\n' + LIST % MEETING, True),
        (b"<?xml version='1.0' encoding='utf-8' standalone='yes'?>" + LIST % MEETING, True),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?>' + LIST % MEETING, False),
        (LIST % b"<meeting><meetingID><![CDATA[</meetings>]]></meetingID></meeting>", False),
        (LIST % b"<!-- </meetings> -->", False),
        (LIST % b"<?p </meetings> ?>", False),
        (LIST % b"<meeting><metadata><tenant-id>t</tenant-id></metadata></meeting>", False),
        (LIST % (MEETING + b"</meetings><meetings>"), False),
        (b"<response><returncode>SUCCESS</returncode><meetings/></response>", False),
        (b"\xef\xbb\xbf" + LIST % MEETING, False),
        ("<response><meetings></meetings></response>".encode("utf-16"), False),
    ],
)
def test_can_splice_only_what_cannot_be_read_otherwise(body: bytes, expected: bool) -> None:
    assert can_splice(body, None) is expected


def test_can_splice_nothing_for_a_tenant() -> None:
    assert not can_splice(LIST % MEETING, "t")


@pytest.mark.parametrize(
    "text", [b"a", b"<![CDATA[</meetings><meeting>]]>", b"&lt;/meetings&gt;", "ü".encode()]
)
def test_merge_meetings_is_the_same_spliced_and_parsed(text: bytes) -> None:
    one = b"<meeting><meetingID>%s</meetingID></meeting>" % text
    spliced = merge_meetings([LIST % one, LIST % MEETING], tenant_id=None)
    parsed = merge_meetings([LIST % (one + b"<!-- -->"), LIST % MEETING], tenant_id=None)
    assert parse_meetings(spliced) == parse_meetings(parsed)
    assert len(parse_meetings(spliced)) == 2
