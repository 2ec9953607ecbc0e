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
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from appliance.bbb.listed_meeting import ListedMeeting, ReadMeeting
from appliance.bbb.xml import (
    MalformedAnswer,
    MeetingElementParser,
    parse_answer,
    read_meeting_elements,
)

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


class MeetingEntry(msgspec.Struct, frozen=True, gc=False):
    """One meeting of a list. Not seen by the garbage collector: listed_meeting.py."""

    xml: bytes
    """Its element as the server wrote it, in UTF-8; empty if it was not to be kept."""
    read: ReadMeeting

    def __repr__(self) -> str:
        return f"MeetingEntry({self.read!r})"  # the element holds passwords


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


@dataclass(frozen=True, slots=True)
class RawList:
    """An answer with its bytes, to recognise the next one if it is the same."""

    body: bytes = field(repr=False)
    meetings: MeetingList

    @property
    def succeeded(self) -> bool:
        """Return whether the server listed its meetings."""
        return self.meetings.succeeded

    @property
    def message_key(self) -> str | None:
        """Return the messageKey."""
        return self.meetings.message_key


@dataclass(frozen=True, slots=True)
class HashedList:
    """An answer without its bytes, with what recognises the next one if it is the same."""

    hash: int | None
    """Python's keyed 64-bit hash of all bytes; None: it was too long for that."""
    meetings: MeetingList


class MeetingListReader:
    """Reads lists, with a cache of parsed meetings.

    The key is Python's keyed 64-bit hash of all bytes of the meeting. Thread-safe.
    """

    def __init__(
        self,
        max_known: int = _MAX_KNOWN,
        *,
        max_meetings: float = math.inf,
        keep_s: float = math.inf,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Drop meetings that no list contained for `keep_s` to twice that time.

        `clock` returns seconds. A list with more than `max_meetings` is refused. Each of two
        generations has at most `max_known` meetings.
        """
        self._max_known = max_known
        self._max_meetings = max_meetings
        self._keep_s = keep_s
        self._clock = clock
        self._rotate_s = clock() + keep_s
        """When the recent generation replaces the previous one."""
        self._recent: dict[int, ReadMeeting] = {}
        self._previous: dict[int, ReadMeeting] = {}

    def read(self, body: bytes, *, keeps_elements: bool = True) -> MeetingList:
        """Read a whole answer. Raises MalformedAnswer, also for more than `max_meetings`."""
        stream = self.begin(keeps_elements=keeps_elements)
        stream.feed(body)
        return stream.finish()

    def begin(self, *, keeps_elements: bool = True) -> MeetingListStream:
        """Begin to read an answer in blocks; without its elements it may be of any size."""
        return MeetingListStream(
            self.read_elements, self._max_meetings, keeps_elements=keeps_elements
        )

    def read_elements(self, elements: list[bytes]) -> list[ReadMeeting] | None:
        """Return the values of `<meeting>` elements; None: one may not be an element by itself."""
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


class MeetingListStream:
    """Reads one answer in blocks of any size; each may be fed in another thread."""

    def __init__(
        self,
        read_elements: Callable[[list[bytes]], list[ReadMeeting] | None],
        max_meetings: float,
        *,
        keeps_elements: bool = True,
    ) -> None:
        self._keeps_elements = keeps_elements
        self._read_elements = read_elements
        self._max_meetings = max_meetings
        self._head = b""
        """Everything before the first meeting, once that is known to be as usual."""
        self._pending: list[bytes] = []
        """The bytes after the last whole meeting."""
        self._entries: list[MeetingEntry] = []
        self._parser: MeetingElementParser | None = None
        """Parses an answer that is not formatted as usual."""

    def feed(self, block: bytes) -> None:
        """Read a block. Raises MalformedAnswer."""
        if self._parser is not None:
            self._parse(self._parser, block)
            return
        before = self._pending[-1][1 - len(_END) :] if self._pending else b""
        self._pending.append(block)
        if self._head and _END not in before + block:
            return
        head, pending = self._head, b"".join(self._pending)
        if not self._read_usual_form(pending):
            self._leave_usual_form(head, pending)

    def finish(self) -> MeetingList:
        """Return the list at the end of the answer. Raises MalformedAnswer."""
        if self._parser is None:
            tail = b"".join(self._pending)
            if self._head and tail.lstrip().startswith(_LIST_END):
                with suppress(MalformedAnswer):
                    key = parse_answer(self._head + tail).message_key
                    return MeetingList(True, key, tuple(self._entries))
            parser = self._leave_usual_form(self._head, tail)
        else:
            parser = self._parser
        succeeded, key = parser.close()
        return MeetingList(succeeded, key, tuple(self._entries) if succeeded else ())

    def _read_usual_form(self, pending: bytes) -> bool:
        """Read the whole meetings in `pending`; False: they may not be what they look like."""
        begin = 0
        if not self._head:
            head = _HEAD(pending)
            if head is None:
                return False
            self._head, begin = head[0], head.end()
        *pieces, rest = pending[begin:].split(_END)
        elements = [piece.lstrip() + _END for piece in pieces]
        if not all(element.startswith(_START) for element in elements):
            return False
        self._limit(len(elements))
        read = self._read_elements(elements)
        if read is None:
            return False
        kept = elements if self._keeps_elements else [b""] * len(elements)
        self._entries.extend(map(MeetingEntry, kept, read))
        self._pending = [rest]
        return True

    def _leave_usual_form(self, head: bytes, pending: bytes) -> MeetingElementParser:
        """Parse what follows the meetings that were read, without assumptions about its format.

        `head` is the part that stood before those, if it was read: where they were, the parser is
        inside the same elements as right after the head.
        """
        parser = self._parser = MeetingElementParser()
        self._pending = []
        self._parse(parser, head + pending)
        return parser

    def _parse(self, parser: MeetingElementParser, block: bytes) -> None:
        for xml, read in parser.feed(block):
            self._limit(1)
            self._entries.append(MeetingEntry(xml if self._keeps_elements else b"", read))

    def _limit(self, more: int) -> None:
        if len(self._entries) + more > self._max_meetings:
            limit = f"{self._max_meetings:.0f} meetings (MAX_MEETINGS_PER_SERVER)"
            raise MalformedAnswer(f"the list has more than {limit}")
