"""The traffic of the API benchmarks: which requests are sent, and what a right answer holds.

Pure: text and hashes, no sockets, no clock. Shares of the mix: docs/performance targets of the
project (10 create, 45 join, 25 isMeetingRunning, 15 getMeetingInfo, 5 getMeetings). The checksum is
the BBB API's: hex(SHA-256(call + query + secret)), written apart from the appliance's own.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from appliance.meetings.voice_bridge import candidates
from tests.doubles.dialplan import basic, form

PREFIX = "/bigbluebutton/api"
SCENARIOS = (
    *("index", "isMeetingRunning", "getMeetingInfo", "join", "create", "mix", "fsapi"),
    "getMeetings",
)
MIX_SHARES = {
    "create": 10,
    "join": 45,
    "isMeetingRunning": 25,
    "getMeetingInfo": 15,
    "getMeetings": 5,
}
"""Of each 100 requests, in a shuffled order that repeats."""

SUCCESS = b"<returncode>SUCCESS</returncode>"
HEADERS = "Host: 127.0.0.1\r\nUser-Agent: appliance-benchmark\r\nAccept: */*\r\n"
MODERATOR_PASSWORD = "moderator"
ATTENDEE_PASSWORD = "attendee"
NUMBER_DIGITS = 9
"""The default of VOICE_BRIDGE_LEN."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and what its answer must look like."""

    request: bytes
    status: bytes
    needles: tuple[bytes, ...]
    """Each must be somewhere in the answer, head or body."""
    creates: str = ""
    """The meeting that exists afterwards; it is ended after the measurement."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What a scenario needs to know of the pool it is sent to."""

    secret: str
    meetings: Sequence[str]
    """Ids of meetings that exist and have users."""
    label: str
    """Begins the ids of new meetings; different for each measurement."""


def exchanges(scenario: str, work: Workload) -> Iterator[Exchange]:
    """Return the endless requests of a scenario (or of a single call, such as getMeetings).

    Raises: KeyError: there is no such scenario.
    """
    if scenario != "mix":
        return _single(scenario, work)
    deck = [call for call, share in MIX_SHARES.items() for _ in range(share)]
    random.Random(1).shuffle(deck)
    sources = {call: _single(call, work) for call in MIX_SHARES}
    return (next(sources[call]) for call in itertools.cycle(deck))


def base_creates(work: Workload) -> list[Exchange]:
    """Return the requests that make the meetings of `work`."""
    return [create(meeting, work.secret) for meeting in work.meetings]


def end(meeting: str, secret: str) -> Exchange:
    """Return the request that ends a meeting."""
    request = _get("end", {"meetingID": meeting, "password": MODERATOR_PASSWORD}, secret)
    return Exchange(request, b"200", (SUCCESS,))


def create(meeting: str, secret: str) -> Exchange:
    """Return the request that makes a meeting, as long as Moodle's are."""
    params = {
        "meetingID": meeting,
        "name": "Introduction to Botany, lecture",
        "attendeePW": ATTENDEE_PASSWORD,
        "moderatorPW": MODERATOR_PASSWORD,
        "logoutURL": "https://moodle.example.org/mod/bigbluebuttonbn/bbb_view.php?id=4711",
        "welcome": "Welcome to <b>Introduction to Botany</b>!",
        "record": "true",
        "meta_bbb-origin": "Moodle",
        "meta_bbb-origin-server-name": "moodle.example.org",
        "meta_bbb-context-name": "Introduction to Botany",
    }
    needles = (SUCCESS, _meeting_element(meeting))
    return Exchange(_get("create", params, secret), b"200", needles, creates=meeting)


def _single(call: str, work: Workload) -> Iterator[Exchange]:
    if call == "create":
        return (create(f"{work.label}-{n}", work.secret) for n in itertools.count(1))
    make = _CALLS[call]
    return itertools.cycle([make(meeting, work.secret) for meeting in work.meetings])


def _index(_meeting: str, _secret: str) -> Exchange:
    return Exchange(_encode(PREFIX), b"200", (SUCCESS, b"<version>"))


def _is_meeting_running(meeting: str, secret: str) -> Exchange:
    request = _get("isMeetingRunning", {"meetingID": meeting}, secret)
    return Exchange(request, b"200", (SUCCESS, b"<running>true</running>"))


def _get_meeting_info(meeting: str, secret: str) -> Exchange:
    request = _get("getMeetingInfo", {"meetingID": meeting}, secret)
    return Exchange(request, b"200", (SUCCESS, _meeting_element(meeting), b"<attendees>"))


def _get_meetings(meeting: str, secret: str) -> Exchange:
    return Exchange(_get("getMeetings", {}, secret), b"200", (SUCCESS, _meeting_element(meeting)))


def _join(meeting: str, secret: str) -> Exchange:
    params = {
        "meetingID": meeting,
        "fullName": "Ada Lovelace",
        "password": ATTENDEE_PASSWORD,
        "userID": "moodle-4711",
        "redirect": "true",
    }
    needles = (f"{PREFIX}/join?".encode(), f"meetingID={meeting}&".encode(), b"&checksum=")
    return Exchange(_get("join", params, secret), b"302", needles)


def _get_recordings(meeting: str, secret: str) -> Exchange:
    needles = (SUCCESS, b"<recordID>", f"<meetingID>{meeting}</meetingID>".encode())
    return Exchange(_get("getRecordings", {"meetingID": meeting}, secret), b"200", needles)


def _fsapi(meeting: str, secret: str) -> Exchange:
    """A caller has typed the number of a meeting: it is the first that the meeting draws."""
    (pin,) = candidates(meeting, NUMBER_DIGITS, count=1)
    body = form("pin", pin=pin)
    head = (
        f"POST /fsapi HTTP/1.1\r\n{HEADERS}{basic('fsapi', secret)}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    needles = (b'"bridge_to_bbb_server"', f"meeting_id={meeting}".encode(), f"/{pin}@".encode())
    return Exchange(head.encode() + body, b"200", needles)


_CALLS: dict[str, Callable[[str, str], Exchange]] = {
    "index": _index,
    "isMeetingRunning": _is_meeting_running,
    "getMeetingInfo": _get_meeting_info,
    "getMeetings": _get_meetings,
    "getRecordings": _get_recordings,
    "join": _join,
    "fsapi": _fsapi,
}


def _meeting_element(meeting: str) -> bytes:
    return f"<meetingID>{meeting}</meetingID>".encode()


def _get(call: str, params: dict[str, str], secret: str) -> bytes:
    query = urlencode(params)
    checksum = hashlib.sha256(f"{call}{query}{secret}".encode()).hexdigest()
    return _encode(f"{PREFIX}/{call}?{query}{'&' if query else ''}checksum={checksum}")


def _encode(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\n{HEADERS}\r\n".encode()
