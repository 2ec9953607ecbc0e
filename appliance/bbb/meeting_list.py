"""Read the getMeetings answer of a server: each meeting as the server wrote it, and what it says.

As strict as bbb_xml: what is not well-formed is no answer. It is fast where an answer repeats what
the last one said, and most of it does: a meeting whose bytes were found well-formed before is not
parsed again. What does not look as BBB writes it is parsed whole, so only speed depends on that.
Does no I/O. Truth: answers of real servers in tests/data/bbb-responses.
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
"""Meetings that a reader remembers in each of two generations; some 400 bytes each."""

# All up to the first meeting. Without attributes (no namespaces) and in UTF-8, so that a meeting
# means the same wherever it stands.
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
    """Reads lists, and remembers by their hash the meetings that it has read.

    The hash is Python's keyed one of 64 bits over all bytes of the meeting. May be used in several
    threads at once.
    """

    def __init__(
        self,
        max_known: int = _MAX_KNOWN,
        *,
        keep_s: float = math.inf,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Forget what no list has held for `keep_s` to twice that, by the clock (seconds).

        At most `max_known` are remembered in each of two generations.
        """
        self._max_known = max_known
        self._keep_s = keep_s
        self._clock = clock
        self._turn_s = clock() + keep_s
        """When the young ones become the old."""
        self._young: dict[int, ReadMeeting] = {}
        self._old: dict[int, ReadMeeting] = {}

    def read(self, body: bytes) -> MeetingList:
        """Read an answer. Raises MalformedAnswer as `bbb_xml.parse_answer`."""
        usual = self._read_usual_form(body)
        if usual is not None:
            return usual
        answer = parse_answer(body)
        if not answer.succeeded:
            return MeetingList(False, answer.message_key, ())
        found = tuple(MeetingEntry(*one) for one in parse_meeting_elements(body))
        return MeetingList(True, answer.message_key, found)

    def _read_usual_form(self, body: bytes) -> MeetingList | None:
        """Return the meetings; None: it does not look as usual, and may be anything."""
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
        return self._young.get(key) or self._old.get(key)

    def _remember(self, found: dict[int, ReadMeeting]) -> None:
        now_s = self._clock()
        if now_s >= self._turn_s or len(self._young) + len(found) > self._max_known:
            self._old, self._young = self._young, {}
            self._turn_s = now_s + self._keep_s
        self._young.update(found)
