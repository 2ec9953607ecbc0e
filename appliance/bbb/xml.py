"""The XML of the BBB API: parses answers of servers, renders answers to front-ends.

Answers that are not well-formed or have a DTD are rejected: a recovering parser, as in Scalelite,
takes a truncated list for that of an empty server. Errors contain no part of an answer, since
answers contain passwords. No I/O. Source: BigBlueButton API reference; answers of real servers in
tests/data/bbb-responses.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any, cast

from lxml import etree

from appliance.bbb.listed_meeting import ListedMeeting, ReadMeeting
from appliance.bbb.xml_text import has_dtd, replace_forbidden
from appliance.model import KnownMeeting

XML_TYPE = "text/xml; charset=utf-8"
"""As BBB answers: clients exist that refuse application/xml."""

# CDATA is kept, so that answers are passed on as the server wrote them.
_OPTIONS: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "huge_tree": False,
    "recover": False,
    "strip_cdata": False,
}
_PARSER = etree.XMLParser(**_OPTIONS)

_UTF8_TOO = frozenset({"UTF-8", "UTF8", "US-ASCII", "ASCII"})
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

_ODD_END = re.compile(rb"</meeting\s").search

_MAX_DIGITS = 15
_MAX_TAGS = 1_000_000
"""Of an answer that is parsed as a whole; each element takes some 100 bytes of memory."""
_ORIGINAL_KEY = "tenant-meeting-id"
"""Metadata key of tenants/scoped_id.py."""
_MAX_NAME_CHARACTERS = 256
"""Longer names of meetings are shortened before they are stored."""

_NO_MEETINGS = (
    b"<response><returncode>SUCCESS</returncode><meetings/><messageKey>noMeetings</messageKey>"
    b"<message>no meetings were found on this server</message></response>"
)
_NO_SESSIONS = (
    b"<response><returncode>SUCCESS</returncode><sessions/><messageKey>noSessions</messageKey>"
    # BBB's text, with its mistake.
    b"<message>no sessions were found on this serverr</message></response>"
)
_SESSIONS_HEAD = b"<response><returncode>SUCCESS</returncode><sessions>"
_SESSIONS_TAIL = b"</sessions></response>"
_MEETINGS_HEAD = b"<response><returncode>SUCCESS</returncode><meetings>"
_MEETINGS_TAIL = b"</meetings></response>"
_NOT_RUNNING = b"<response><returncode>SUCCESS</returncode><running>false</running></response>"


class MalformedAnswer(Exception):
    """An answer of a server cannot be used. The text is safe to log."""


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """A well-formed answer of a server."""

    succeeded: bool
    message_key: str | None
    body: bytes = field(repr=False)
    """In UTF-8, as XML_TYPE says."""
    created: str | None = None
    """createTime, which is different for each run of a meeting."""


def parse_answer(body: bytes) -> ServerAnswer:
    """Parse an answer: success, messageKey, and the createTime of a create.

    Any returncode except SUCCESS is a failure. Raises MalformedAnswer: not well-formed, a DTD, or
    no returncode.
    """
    root = parse_tree(body)
    created = (root.findtext("createTime") or "")[:_MAX_DIGITS] or None
    return ServerAnswer(_succeeded(root), _text(root, "messageKey"), _in_utf8(body, root), created)


def _in_utf8(body: bytes, root: etree._Element) -> bytes:
    """Return an answer unchanged if it is UTF-8, else converted to UTF-8."""
    declared = (root.getroottree().docinfo.encoding or "UTF-8").upper()
    if declared in _UTF8_TOO and not body.startswith(_UTF16_MARKS):
        return body
    return etree.tostring(root, encoding="utf-8")


def read_meeting_elements(elements: Sequence[bytes]) -> list[ReadMeeting] | None:
    """Parse `<meeting>` elements that were obtained by splitting an answer at `</meeting>`.

    None: they are not well-formed, or it is not certain that each is exactly one element.
    """
    joined = b"<meetings>" + b"".join(elements) + b"</meetings>"
    # Without comments, CDATA and processing instructions, in which a tag would be mere text, and
    # without end tags in another form, each split is the end of an element. If the document is
    # well-formed, each part is one element.
    if b"<!" in joined or b"<?" in joined or _ODD_END(joined):
        return None
    try:
        return [_read_meeting(*one) for one in zip(parse_tree(joined), elements, strict=True)]
    except MalformedAnswer:
        return None


class MeetingElementParser:
    """Parses a getMeetings answer in blocks; holds no meeting longer than it is parsed.

    Every method raises MalformedAnswer. May be used in another thread for each block.
    """

    def __init__(self) -> None:
        self._parser = etree.XMLPullParser(events=("end",), tag="meeting", **_OPTIONS)
        self._began = False

    def feed(self, block: bytes) -> Iterator[tuple[bytes, ReadMeeting]]:
        """Parse a block; yield the element and the values of each meeting that ends in it."""
        if not self._began:
            self._began = True
            _refuse_dtd(block)
        with _translated():
            self._parser.feed(block)
        for _, ended in self._parser.read_events():
            meeting = cast(etree._Element, ended)  # as the only event is "end"
            if _is_listed(meeting):
                # Without the tail, which is white space between the elements.
                xml = etree.tostring(meeting, encoding="utf-8", with_tail=False)
                yield xml, _read_meeting(meeting, xml)
                meeting.clear()

    def close(self) -> tuple[bool, str | None]:
        """Return whether the call succeeded, and the messageKey."""
        with _translated():
            root = self._parser.close()
        _refuse_internal_dtd(root)
        return _succeeded(root), _text(root, "messageKey")


def _is_listed(meeting: etree._Element) -> bool:
    """Return whether an element is at `/response/meetings/meeting`, whatever the root's name."""
    parent = meeting.getparent()
    root = None if parent is None or parent.tag != "meetings" else parent.getparent()
    return root is not None and root.getparent() is None


def parse_version(body: bytes) -> str | None:
    """Return the bbbVersion of an index answer, None if it is missing.

    Raises MalformedAnswer as `parse_answer`.
    """
    root = parse_tree(body)
    _succeeded(root)
    return _text(root, "bbbVersion")


def render_error(key: str, message: str) -> bytes:
    """Render a FAILED answer. Characters that XML forbids become U+FFFD."""
    return (
        "<response><returncode>FAILED</returncode>"
        f"<messageKey>{_escape(key)}</messageKey><message>{_escape(message)}</message></response>"
    ).encode()


def render_success(key: str, message: str) -> bytes:
    """Render a SUCCESS answer that consists of a message."""
    return (
        "<response><returncode>SUCCESS</returncode>"
        f"<messageKey>{_escape(key)}</messageKey><message>{_escape(message)}</message></response>"
    ).encode()


def render_index(build: str | None, bbb_version: str | None = None) -> bytes:
    """Render the answer of the API's index, without what is not known.

    `build` is BUILD_NUMBER, `bbb_version` that of the servers.
    """
    version = f"<bbbVersion>{_escape(bbb_version)}</bbbVersion>" if bbb_version else ""
    build_element = f"<build>{_escape(build)}</build>" if build else ""
    return (
        "<response><returncode>SUCCESS</returncode><version>2.0</version>"
        f"<apiVersion>2.0</apiVersion>{version}{build_element}</response>"
    ).encode()


def render_not_running() -> bytes:
    """Render the isMeetingRunning answer for an unknown meeting."""
    return _NOT_RUNNING


def render_meetings(elements: Sequence[bytes]) -> tuple[bytes, ...]:
    """Render the getMeetings answer with these (groups of) `<meeting>` elements, or for none.

    Return it in parts, so that a large one is not copied.
    """
    if not any(elements):
        return (_NO_MEETINGS,)
    return (_MEETINGS_HEAD, *elements, _MEETINGS_TAIL)


def select_sessions(body: bytes, meetings: Collection[str]) -> list[bytes]:
    """Return the elements of a getSessions answer that are about meetings with these internal ids.

    Raises MalformedAnswer.
    """
    return [
        etree.tostring(session, encoding="utf-8", with_tail=False)
        for session in parse_tree(body).iterfind("sessions/meeting")
        if _text(session, "meetingID") in meetings
    ]


def render_sessions(elements: Sequence[bytes]) -> bytes:
    """Render the getSessions answer with these `<meeting>` elements, or for none."""
    if not elements:
        return _NO_SESSIONS
    return b"".join((_SESSIONS_HEAD, *elements, _SESSIONS_TAIL))


def render_known_meeting(meeting: KnownMeeting) -> bytes:
    """Render the `<meeting>` of a getMeetings answer for a meeting whose server does not answer.

    Without what only its server knows. BBB makes the internal id of meetingID and createTime.
    """
    created = ""
    if meeting.created_ms is not None:
        digest = hashlib.sha1(meeting.id.encode("utf-8", "replace"), usedforsecurity=False)
        created = (
            f"<internalMeetingID>{digest.hexdigest()}-{meeting.created_ms}</internalMeetingID>"
            f"<createTime>{meeting.created_ms}</createTime>"
        )
    name = f"<meetingName>{_escape(meeting.name)}</meetingName>" if meeting.name else ""
    running = "true" if meeting.participants else "false"
    # As its server lists it: the view of the tenant has the front-end's id instead.
    metadata = ""
    if meeting.original_id:
        original = f"<{_ORIGINAL_KEY}>{_escape(meeting.original_id)}</{_ORIGINAL_KEY}>"
        metadata = f"<metadata>{original}</metadata>"
    return (
        f"<meeting>{name}<meetingID>{_escape(meeting.id)}</meetingID>{created}"
        f"<voiceBridge>{_escape(meeting.voice_bridge)}</voiceBridge><running>{running}</running>"
        f"<participantCount>{meeting.participants}</participantCount>"
        f"<videoCount>{meeting.videos}</videoCount>"
        f"<moderatorCount>{meeting.moderators}</moderatorCount>{metadata}</meeting>"
    ).encode()


def parse_tree(body: bytes) -> etree._Element:
    """Parse an answer; one with a DTD or too many elements is refused. Raises MalformedAnswer."""
    _refuse_dtd(body)
    if body.count(b"<") > _MAX_TAGS:
        raise MalformedAnswer("the answer has too many elements")
    with _translated():
        root = etree.fromstring(body, _PARSER)
    _refuse_internal_dtd(root)
    return root


def _refuse_dtd(beginning: bytes) -> None:
    """Refuse a document with a DTD before its entities are read."""
    if has_dtd(beginning):
        raise MalformedAnswer("the answer has a DTD")


def _refuse_internal_dtd(root: etree._Element) -> None:
    """Refuse a DTD in an encoding whose bytes look different (UTF-16)."""
    if root.getroottree().docinfo.internalDTD is not None:
        raise MalformedAnswer("the answer has a DTD")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn lxml's errors, which quote the answer, into one that does not."""
    try:
        yield
    except etree.XMLSyntaxError as error:
        line, column = error.position
        where = f"line {line}, column {column}"
        raise MalformedAnswer(f"the answer is not well-formed XML ({where})") from None


def _succeeded(root: etree._Element) -> bool:
    code = _text(root, "returncode")
    if code is None:
        raise MalformedAnswer("the answer has no returncode")
    return code == "SUCCESS"


def _text(element: etree._Element, path: str) -> str | None:
    """Return the stripped text at a path; None if it is missing or blank."""
    return (element.findtext(path) or "").strip() or None


def _read_meeting(meeting: etree._Element, xml: bytes) -> ReadMeeting:
    # One reverse pass, in which the first of equal names wins, takes a third of the time of six
    # searches.
    children = list(meeting.iterchildren(reversed=True))
    texts = {str(child.tag): child.text or "" for child in children}
    metadata = _read_metadata(children)
    tenant_id = metadata.get("tenant-id")
    # Not stripped: white space is significant in an id.
    meeting_id = texts.get("meetingID")
    if not meeting_id:
        return ReadMeeting(None, tenant_id)
    is_breakout = texts.get("isBreakout", "").strip() == "true"
    listed = ListedMeeting(
        id=meeting_id,
        create_time_ms=_number(texts, "createTime"),
        participants=_number(texts, "participantCount"),
        moderators=_number(texts, "moderatorCount"),
        videos=_number(texts, "videoCount"),
        is_breakout=is_breakout,
        name=texts.get("meetingName", "").strip()[:_MAX_NAME_CHARACTERS],
        tenant_id=tenant_id,
        original_id=metadata.get(_ORIGINAL_KEY),
        voice=_number(texts, "voiceParticipantCount"),
        listeners=_number(texts, "listenerCount"),
        dial_in=_count_callers(xml),
        recorded=texts.get("recording", "").strip() == "true",
        origin=metadata.get("bbb-origin", "")[:_MAX_NAME_CHARACTERS],
        origin_server=metadata.get("bbb-origin-server-name", "")[:_MAX_NAME_CHARACTERS],
        parent_id=_parent_of(meeting, texts) if is_breakout else "",
    )
    return ReadMeeting(listed, tenant_id)


def _read_metadata(children: Sequence[etree._Element]) -> dict[str, str]:
    """Return the metadata of a meeting, given its children in reverse; blank values are absent."""
    found: dict[str, str] = {}
    for child in children:
        if child.tag == "metadata":
            pairs = ((str(one.tag), (one.text or "").strip()) for one in child)
            found = {name: value for name, value in pairs if value} | found
    return found


def _count_callers(xml: bytes) -> int:
    """Return the number of callers by telephone: BBB gives them user ids that begin with `v_`.

    Counted in the text: searching the attendees would take half as long as parsing does.
    """
    lowered = xml.lower()
    return max(lowered.count(b"<userid>v_"), lowered.count(b"<clienttype>dial-in"))


def _parent_of(meeting: etree._Element, texts: Mapping[str, str]) -> str:
    # BBB 2.x has it in an element of its own.
    return (
        texts.get("parentMeetingID", "").strip() or _text(meeting, "breakout/parentMeetingID") or ""
    )


def _number(texts: Mapping[str, str], name: str) -> int:
    text = texts.get(name, "").strip()
    if not text or len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()):
        return 0
    return int(text)


def _escape(text: str) -> str:
    return escape(replace_forbidden(text, "\ufffd"), quote=False).replace("\r", "&#13;")
