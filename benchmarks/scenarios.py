"""The requests of the API benchmarks, and the expected content of the answers.

Pure: text and hashes, no sockets, no clock. The checksum, hex(SHA-256(call + query + secret)), is
computed here independently of the appliance. Source: BigBlueButton API reference, API security.
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
"""Requests of each kind among 100, in a shuffled order that repeats."""

SUCCESS = b"<returncode>SUCCESS</returncode>"
HEADERS = "Host: 127.0.0.1\r\nUser-Agent: appliance-benchmark\r\nAccept: */*\r\n"
MODERATOR_PASSWORD = "moderator"
ATTENDEE_PASSWORD = "attendee"
NUMBER_DIGITS = 9
"""The default of VOICE_BRIDGE_LEN."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and the expected answer."""

    request: bytes
    status: bytes
    needles: tuple[bytes, ...]
    """Each must occur in the head or body of the answer."""
    creates: str = ""
    """Id of the meeting that the request creates, which is ended after the measurement."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The pool's data that a scenario's requests contain."""

    secret: str
    meetings: Sequence[str]
    """Ids of meetings that exist and have users."""
    label: str
    """Prefix of the ids of new meetings, unique to a measurement."""


def exchanges(scenario: str, work: Workload) -> Iterator[Exchange]:
    """Return an endless iterator of the requests of a scenario or of a single call.

    Raises KeyError: no such scenario.
    """
    if scenario != "mix":
        return _single(scenario, work)
    deck = [call for call, share in MIX_SHARES.items() for _ in range(share)]
    random.Random(1).shuffle(deck)
    sources = {call: _single(call, work) for call in MIX_SHARES}
    return (next(sources[call]) for call in itertools.cycle(deck))


def base_creates(work: Workload) -> list[Exchange]:
    """Return the requests that create the meetings of `work`."""
    return [create(meeting, work.secret) for meeting in work.meetings]


def end(meeting: str, secret: str) -> Exchange:
    """Return the request that ends a meeting."""
    request = _get("end", {"meetingID": meeting, "password": MODERATOR_PASSWORD}, secret)
    return Exchange(request, b"200", (SUCCESS,))


def create(meeting: str, secret: str) -> Exchange:
    """Return the request that creates a meeting, as long as those of Moodle."""
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
    """Return FreeSWITCH's request after a caller typed a PIN: the meeting's first candidate."""
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
