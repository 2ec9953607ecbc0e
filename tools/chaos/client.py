"""The front-end: calls both appliances through the proxy, and keeps the ledger."""

from __future__ import annotations

import hashlib
import os
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import httpx
import trio

from tests.doubles.recording_tars import recording_tar
from tests.doubles.signing import sign_url
from tools.chaos.laboratory import SECRET, Laboratory
from tools.chaos.ledger import Ledger, Room, Sample, State

PASSWORDS = {"attendeePW": "chaos-attendee", "moderatorPW": "chaos-moderator"}
LIMIT_S = 15.0
MAX_UNDER_WAY = 150
"""Calls beyond this are not begun: an outage must not fill the client."""
LIVE_ROOMS = 60
IMPORT_PAUSE_S = 1.5
_API = "/bigbluebutton/api"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a call; an empty status means that there was none."""

    status: int = 0
    xml: ElementTree.Element | None = None
    location: str = ""

    def text(self, path: str) -> str:
        """Return the text of an element, or ''."""
        return "" if self.xml is None else self.xml.findtext(path) or ""

    @property
    def succeeded(self) -> bool:
        """Return whether it is a SUCCESS."""
        return self.text("returncode") == "SUCCESS"


@dataclass(slots=True)
class Client:
    """Visits meetings at random, at a steady rate, until it is cancelled."""

    lab: Laboratory
    ledger: Ledger
    rng: random.Random
    rate: float
    http: httpx.AsyncClient
    prefix: str = "room"
    paused: bool = True
    under_way: int = 0
    spooled: int = 0
    _tars: Path = field(init=False)

    def __post_init__(self) -> None:
        self._tars = self.lab.directory / "tars"
        self._tars.mkdir()

    # -- traffic ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Begin visits while not paused."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hand_over_recordings)
            while True:
                await trio.sleep(self.rng.expovariate(self.rate))
                if not self.paused and self.under_way < MAX_UNDER_WAY:
                    nursery.start_soon(self._visit)

    async def quiesce(self) -> None:
        """Pause, and wait until no call is under way."""
        self.paused = True
        with trio.fail_after(4 * LIMIT_S):
            while self.under_way:  # noqa: ASYNC110
                await trio.sleep(0.02)

    async def _visit(self) -> None:
        self.under_way += 1
        try:
            await self._choose_visit()
        finally:
            self.under_way -= 1

    async def _choose_visit(self) -> None:
        live, draw = self.ledger.of_state(State.LIVE), self.rng.random()
        waiting = self.ledger.of_state(State.ASKED, State.ENDING)
        waiting = [room for room in waiting if not room.busy.locked()]
        if waiting and draw < 0.25:  # front-ends try again
            room = self.rng.choice(waiting)
        elif not live or (draw < 0.45 and len(live) < LIVE_ROOMS):
            room = self.ledger.new_room(self.prefix)
        else:
            room = self.rng.choice(live)
        if room.busy.locked():
            return
        async with room.busy:
            await self._do(room)

    async def _do(self, room: Room) -> None:
        draw = self.rng.random()
        if room.state is State.ASKED:
            await self.create(room)
        elif room.state is State.ENDING or draw < 0.12:
            await self.end(room)
        elif draw < 0.45:
            # A front-end repeats its create before each join.
            if await self.create(room):
                await self.join(room)
        elif draw < 0.6:
            await self.join(room)
        else:
            await self.look_up(room)

    # -- calls -----------------------------------------------------------------------------------

    async def create(self, room: Room) -> bool:
        """Create or repeat; return whether it was acknowledged."""
        receiver = self.lab.receiver
        if not room.repeated_ms:
            room.repeated_ms, room.home = int(time.time() * 1000), room.server
        urls = {
            "meetingEndedURL": receiver.url(f"/ended/{room.id}"),
            "meta_bbb-recording-ready-url": receiver.url(f"/ready/{room.id}"),
        }
        answer = await self.call(
            "create", room, meetingID=room.id, name=room.id, record="true", **PASSWORDS, **urls
        )
        if not answer.succeeded:
            room.unanswered = True
            return False
        self._check_owner(room, answer.text("meetingID"))
        internal_id = answer.text("internalMeetingID")
        if room.internal_id != internal_id:
            room.server, room.internal_id = None, internal_id
        room.state, room.repeated_ms = State.LIVE, 0
        return True

    async def join(self, room: Room) -> None:
        """Join, and arrive at the server in every second case."""
        answer = await self.call(
            *("join", room), meetingID=room.id, fullName="Ada", password=PASSWORDS["attendeePW"]
        )
        server = self.lab.server_of(answer.location)
        if answer.status != 302 or server is None:
            return
        room.server = server
        if self.rng.random() < 0.5:
            with trio.move_on_after(1):
                with suppress(httpx.HTTPError):
                    await self.http.get(answer.location)

    async def end(self, room: Room) -> None:
        """End; notFound counts when it is the answer to a repeat."""
        repeated, room.state = room.state is State.ENDING, State.ENDING
        answer = await self.call("end", room, meetingID=room.id, password=PASSWORDS["moderatorPW"])
        if answer.succeeded or (repeated and answer.text("messageKey") == "notFound"):
            room.state, room.ended_s = State.ENDED, trio.current_time()
        elif answer.text("messageKey") == "notFound":
            room.state = State.LIVE  # its server is away: nothing was ended

    async def look_up(self, room: Room) -> None:
        """Ask about a meeting."""
        call = self.rng.choice(("getMeetingInfo", "isMeetingRunning"))
        answer = await self.call(call, room, meetingID=room.id)
        if answer.succeeded and call == "getMeetingInfo":
            self._check_owner(room, answer.text("meetingID"))

    def _check_owner(self, room: Room, answered: str) -> None:
        if answered != room.id:
            self.ledger.crossed.append(f"{room.id} was answered about {answered}")

    async def known_as(self, room: Room) -> str | None:
        """Return the internal id under which the appliances know a meeting."""
        answer = await self.fetch("getMeetingInfo", {"meetingID": room.id})
        return answer.text("internalMeetingID") if answer.succeeded else None

    async def call(self, call: str, room: Room, /, **params: str) -> Answer:
        """Make a signed call through the proxy, and record it."""
        server, began_s = room.server, trio.current_time()
        answer = await self.fetch(call, params)
        took_s = trio.current_time() - began_s
        acknowledged = answer.succeeded or answer.status == 302
        key = answer.text("messageKey") or answer.text("returncode") or str(answer.status)
        room.calls.append(f"{time.time():.3f} after {took_s:.2f} s: {call} {key} {answer.location}")
        self.ledger.samples.append(Sample(began_s, call, server, took_s, acknowledged))
        return answer

    async def fetch(self, call: str, params: dict[str, str]) -> Answer:
        """Make a signed call without recording it."""
        base = f"http://127.0.0.1:{self.lab.front.port}{_API}"
        try:
            response = await self.http.get(sign_url(base, call, params, SECRET))
        except httpx.HTTPError:
            return Answer()
        location = response.headers.get("location", "")
        try:
            return Answer(response.status_code, ElementTree.fromstring(response.content), location)
        except ElementTree.ParseError:
            return Answer(response.status_code, None, location)

    # -- recordings ------------------------------------------------------------------------------

    async def _hand_over_recordings(self) -> None:
        while True:
            await trio.sleep(IMPORT_PAUSE_S)
            live = self.ledger.of_state(State.LIVE)
            if live and not self.paused:
                await self.hand_over(self.rng.choice(live))

    async def hand_over(self, room: Room) -> None:
        """Put the tar of a recording into the spool as a BBB server does."""
        number, self.spooled = self.spooled, self.spooled + 1
        digest = hashlib.sha1(f"{self.prefix}{number}{room.id}".encode()).hexdigest()
        record_id = f"{digest}-{int(time.time() * 1000)}"
        files = {"presentation": {f"{page}.svg": os.urandom(20_000) for page in range(10)}}
        with trio.CancelScope(shield=True):
            tar = await trio.to_thread.run_sync(
                lambda: recording_tar(self._tars, record_id, files, meeting_id=room.id)
            )
            handed = await trio.to_thread.run_sync(self._move_to_spool, tar)
        if handed:
            self.ledger.recordings[record_id] = room

    def _move_to_spool(self, tar: Path) -> bool:
        part = self.lab.spool / f".{tar.name}"
        try:
            part.write_bytes(tar.read_bytes())
            part.rename(part.with_name(tar.name))
        except OSError:  # a full disk: not handed over
            part.unlink(missing_ok=True)
            return False
        finally:
            tar.unlink()
        return True
