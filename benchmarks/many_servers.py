"""One process that simulates very many BBB servers for the poll benchmark.

    python -m benchmarks.many_servers SERVERS MEETINGS [ATTENDEES]

Server N has the path /sN/bigbluebutton/api on a common port; server 0 has a port of its own, so
that it can refuse connections or hang while the others work. Prints its ports as JSON, then reads
commands from stdin, one word per line, answers each with a line of JSON, and ends at end of file.
Answers are made from a template as long as a real server's answer. Checksums are not verified.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter, defaultdict
from urllib.parse import unquote_plus

from tests.doubles.bbb_state import Meeting, User
from tests.doubles.bbb_xml_answers import created, index, meetings, running

HOST = "127.0.0.1"
AGE_MS = 30 * 60_000
"""Age of all meetings: past the join buffer."""
ATTENDEES = 2
_REQUEST = re.compile(rb"GET /s(\d+)/bigbluebutton/api/?([A-Za-z]*)")
_MEETING = re.compile(rb"[?&]meetingID=([^& ]+)")
_MARK, _TAIL = "MEETING-ID", "</meetings></response>"
_INFO = "<response><returncode>SUCCESS</returncode>"


def meeting_id(server: int, number: int) -> str:
    """Return the id of a meeting on a server."""
    return f"bench-{server:04}-{number:03}"


class Pool:
    """The simulated servers."""

    def __init__(self, servers: int, meetings_each: int, attendees: int) -> None:
        self.servers, self.meetings_each = servers, meetings_each
        self.counts: Counter[tuple[int, str]] = Counter()
        self.hanging = False
        self._pieces, self._head, self._made = _template(attendees)
        self._created: defaultdict[int, list[str]] = defaultdict(list)
        self._index = index("3.0.10", f"http://{HOST}/bigbluebutton")
        self._running = running(True)

    def answer(self, server: int, call: str, meeting: str) -> bytes:
        """Count a call and return the body of its answer."""
        self.counts[server, call or "index"] += 1
        if call == "create":
            self._created[server].append(meeting)
            return meeting.join(self._made).encode()
        if call == "getMeetingInfo":
            details = meeting.join(self._pieces).removeprefix("<meeting>")
            return f"{_INFO}{details.removesuffix('</meeting>')}</response>".encode()
        if call == "getMeetings":
            ids = [meeting_id(server, n) for n in range(self.meetings_each)]
            ids += self._created.get(server, ())
            return (self._head + "".join(id_.join(self._pieces) for id_ in ids) + _TAIL).encode()
        return self._running if call == "isMeetingRunning" else self._index

    def report(self) -> dict[str, list[int]]:
        """Return the number of calls by call and server since the last report, and reset it."""
        counts, self.counts = self.counts, Counter()
        calls = {call for _, call in counts}
        return {call: [counts[n, call] for n in range(self.servers)] for call in calls}


def _template(attendees: int) -> tuple[list[str], str, list[str]]:
    """Return the text of a meeting, split at its id, and the text before the first meeting.

    The third is the answer of a create, split as well.
    """
    users = [User(f"w_{n:012}", f"Student Number {n}", "VIEWER") for n in range(attendees)]
    meeting = Meeting(
        id=_MARK,
        internal_id=f"183f0bf3a0982a127bdb8161e0c44eb696b3e75c-{_MARK}",
        name="Introduction to Botany, lecture",
        create_time_ms=round(time.time() * 1000) - AGE_MS,
        attendee_pw="attendee",
        moderator_pw="moderator",
        voice_bridge="70000",
        metadata={"bbb-origin": "Moodle", "bbb-context-name": "Botany", "bbb-context-id": "1234"},
        has_user_joined=True,
        participants=attendees,
        moderators=1,
        users=users,
    )
    text = meetings([meeting]).decode()
    head, _, rest = text.partition("<meeting>")
    made = created(meeting, new=True).decode().split(_MARK)
    return f"<meeting>{rest.removesuffix(_TAIL)}".split(_MARK), head, made


class _Connection(asyncio.Protocol):
    def __init__(self, pool: Pool, own: set[asyncio.Transport], mortal: bool) -> None:
        self._pool, self._own, self._mortal = pool, own, mortal
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._own.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._own.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            if self._mortal and self._pool.hanging:
                return
            asked = _REQUEST.match(head)
            if asked is None:
                self._transport.abort()
                return
            named = _MEETING.search(head)
            meeting = unquote_plus(named[1].decode()) if named else ""
            body = self._pool.answer(int(asked[1]), asked[2].decode(), meeting)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/xml;charset=utf-8\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )


async def serve(servers: int, meetings_each: int, attendees: int = ATTENDEES) -> None:
    """Serve until stdin ends."""
    pool, loop = Pool(servers, meetings_each, attendees), asyncio.get_running_loop()
    crowd: set[asyncio.Transport] = set()
    first: set[asyncio.Transport] = set()
    common = await loop.create_server(lambda: _Connection(pool, crowd, False), HOST, 0)
    mortal = await loop.create_server(lambda: _Connection(pool, first, True), HOST, 0)
    ports = [each.sockets[0].getsockname()[1] for each in (common, mortal)]
    _write({"port": ports[0], "first_port": ports[1]})
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        word = line.decode().strip()
        if word == "die":
            mortal.close()
        if word in ("die", "hang"):
            pool.hanging = word == "hang"
            for transport in list(first):
                transport.abort()
        if word == "live":
            pool.hanging = False
            if not mortal.is_serving():
                mortal = await loop.create_server(
                    lambda: _Connection(pool, first, True), HOST, ports[1]
                )
        _write(pool.report() if word == "counts" else {})


def _write(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))
