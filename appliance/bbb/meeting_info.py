"""Reads a getMeetingInfo answer for the operator, without passwords.

Pure. The answer was already checked by xml.py: it is well-formed and has no DTD. Source:
BigBlueButton API reference, getMeetingInfo.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from appliance.bbb.xml import ServerAnswer

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class MeetingInfo:
    """The fields of one meeting that operators see."""

    name: str
    internal_id: str
    created: str
    """As the server writes it (`Tue Oct 05 15:42:14 UTC 2021`)."""
    recording: bool
    running: bool
    participants: int
    moderators: int
    videos: int
    metadata: tuple[tuple[str, str], ...]


def parse_meeting_info(answer: ServerAnswer) -> MeetingInfo:
    """Parse a getMeetingInfo answer; missing values are empty, 0 or false."""
    root = etree.fromstring(answer.body, _PARSER)
    metadata = root.find("metadata")
    return MeetingInfo(
        name=_text(root, "meetingName"),
        internal_id=_text(root, "internalMeetingID"),
        created=_text(root, "createDate"),
        recording=_text(root, "recording") == "true",
        running=_text(root, "running") == "true",
        participants=_number(root, "participantCount"),
        moderators=_number(root, "moderatorCount"),
        videos=_number(root, "videoCount"),
        metadata=tuple(
            (str(entry.tag), (entry.text or "").strip())
            for entry in (() if metadata is None else metadata)
            if isinstance(entry.tag, str)  # no comments
        ),
    )


def _text(root: etree._Element, name: str) -> str:
    return (root.findtext(name) or "").strip()


def _number(root: etree._Element, name: str) -> int:
    text = _text(root, name)
    if len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()):
        return 0
    return int(text)
