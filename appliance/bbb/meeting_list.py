"""Reads getMeetings answers: the element of each meeting as the server wrote it, and its values.

As strict as xml.py: an answer that is not well-formed is rejected. Consecutive answers of a server
are mostly equal, so a meeting whose bytes were parsed before is not parsed again. An answer that is
not formatted as usual is parsed as a whole; only speed depends on the format. No I/O.
Source: answers of real servers in tests/data/bbb-responses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.bbb.xml import (
    MalformedAnswer,
    ReadMeeting,
    parse_answer,
    parse_meeting_elements,
    read_meeting_elements,
)
from appliance.model import ListedMeeting

_MAX_KNOWN = 50_000
"""Maximum number of cached meetings in each of two generations; about 400 bytes each."""

# Everything before the first meeting. Without attributes (so no namespaces) and in UTF-8, so that
# the meaning of an element does not depend on its context.
_HEAD = re.compile(
    rb"(?:<\?xml version=[\"']1\.\d[\"'](?: encoding=[\"'](?i:utf-8)[\"'])?"
    rb"(?: standalone=[\"']\w+[\"'])? ?\?>\s*)?<response>\s*<returncode>SUCCESS</returncode>"
    rb"(?:\s*<version>[\d.]*</version>)?\s*<meetings>"
).match
_START, _END, _LIST_END = b"<meeting>", b"</meeting>", b"</meetings>"


@dataclass(frozen=True, slots=True)
class MeetingEntry:
    """One meeting of a list."""

    xml: bytes = field(repr=False)
    """Its element as the server wrote it, in UTF-8."""
    read: ReadMeeting


@dataclass(frozen=True, slots=True)
class MeetingList:
    """A well-formed getMeetings answer."""

    succeeded: bool
    message_key: str | None
    entries: tuple[MeetingEntry, ...] = field(repr=False)

    @property
    def listed(self) -> tuple[ListedMeeting, ...]:
        """Return the meetings that have an id."""
        return tuple(one.read.listed for one in self.entries if one.read.listed is not None)


class MeetingListReader:
    """Reads lists, with a cache of parsed meetings.

    The key is Python's keyed 64-bit hash of all bytes of the meeting. Thread-safe.
    """

    def __init__(
        self,
        max_known: int = _MAX_KNOWN,
        *,
        keep_s: float = math.inf,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Drop meetings that no list contained for `keep_s` to twice that time.

        `clock` returns seconds. Each of two generations has at most `max_known` meetings.
        """
        self._max_known = max_known
        self._keep_s = keep_s
        self._clock = clock
        self._rotate_s = clock() + keep_s
        """When the recent generation replaces the previous one."""
        self._recent: dict[int, ReadMeeting] = {}
        self._previous: dict[int, ReadMeeting] = {}

    def read(self, body: bytes) -> MeetingList:
        """Read an answer. Raises MalformedAnswer as `xml.parse_answer`."""
        usual = self._read_usual_form(body)
        if usual is not None:
            return usual
        answer = parse_answer(body)
        if not answer.succeeded:
            return MeetingList(False, answer.message_key, ())
        found = tuple(MeetingEntry(*one) for one in parse_meeting_elements(body))
        return MeetingList(True, answer.message_key, found)

    def _read_usual_form(self, body: bytes) -> MeetingList | None:
        """Return the meetings; None: the answer is not formatted as usual, and may be invalid."""
        head = _HEAD(body)
        if head is None:
            return None
        *pieces, tail = body[head.end() :].split(_END)
        tail = tail.lstrip()
        if not tail.startswith(_LIST_END):
            return None
        elements = [piece.lstrip() + _END for piece in pieces]
        if not all(element.startswith(_START) for element in elements):
            return None
        try:
            frame = parse_answer(head[0] + tail)
        except MalformedAnswer:
            return None
        read = self._read(elements)
        if read is None:
            return None
        return MeetingList(True, frame.message_key, tuple(map(MeetingEntry, elements, read)))

    def _read(self, elements: list[bytes]) -> list[ReadMeeting] | None:
        keys = [hash(element) for element in elements]
        found = {key: known for key in keys if (known := self._recall(key)) is not None}
        new = {
            key: element for key, element in zip(keys, elements, strict=True) if key not in found
        }
        if new:
            read = read_meeting_elements(list(new.values()))
            if read is None:
                return None
            found.update(zip(new, read, strict=True))
        self._remember(found)
        return [found[key] for key in keys]

    def _recall(self, key: int) -> ReadMeeting | None:
        return self._recent.get(key) or self._previous.get(key)

    def _remember(self, found: dict[int, ReadMeeting]) -> None:
        now_s = self._clock()
        if now_s >= self._rotate_s or len(self._recent) + len(found) > self._max_known:
            self._previous, self._recent = self._recent, {}
            self._rotate_s = now_s + self._keep_s
        self._recent.update(found)
