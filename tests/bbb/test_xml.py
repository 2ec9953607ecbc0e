"""Reading and writing the XML of the BBB API."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from appliance.bbb import errors
from appliance.bbb.meeting_list import MeetingListReader
from appliance.bbb.xml import (
    MalformedAnswer,
    parse_answer,
    parse_version,
    render_error,
    render_index,
    render_not_running,
)

DATA = Path(__file__).parents[1] / "data" / "bbb-responses"
REAL = {path.stem: path.read_bytes() for path in DATA.glob("*.xml")}


def answer(inside: str) -> bytes:
    return f"<response><returncode>SUCCESS</returncode>{inside}</response>".encode()


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


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("iso-8859-1", "ISO-8859-1"),
        ("cp1252", "windows-1252"),
        ("utf-16", "UTF-16"),
        ("utf-16", None),
    ],
)
def test_answer_in_another_encoding_is_handed_on_in_utf_8(
    encoding: str, declared: str | None
) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    text = "<response><returncode>SUCCESS</returncode><n><![CDATA[é & è]]></n></response>"

    read = parse_answer((head + text).encode(encoding))

    assert (read.succeeded, read.body) == (True, text.encode())


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
    for parse in (MeetingListReader().read, parse_version):
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
