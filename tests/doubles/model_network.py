"""A network between appliances and two simulated BBB servers, whose every message a test moves.

A call waits until the test says what becomes of it: the server executes it, now or late, its answer
arrives, or is lost. Calls are those of BbbClient; the servers have the meetings and the answers of
tests/doubles/bbb_state.py and bbb_xml_answers.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import trio

from appliance.bbb.meeting_list import HashedList, MeetingList, MeetingListReader
from appliance.bbb.xml import ServerAnswer, parse_answer
from appliance.faults import Ambiguous, BbbError, NotSent, ServerFault
from appliance.model import Target
from tests.doubles import bbb_xml_answers as answers
from tests.doubles.bbb_state import Meeting, Refused, State

LATE_MS = 55_000
"""How late a request may be executed after it was sent: less than the product reckons with."""

front_end_call: ContextVar[Any] = ContextVar("front_end_call", default=None)
"""The front-end's call on whose behalf a request is made; None: the appliance's own."""


@dataclass(slots=True, eq=False)
class Message:
    """One request, and what has become of it."""

    server: str
    call: str
    params: dict[str, str]
    sent_ms: int
    cause: Any
    answer: bytes | None = None
    """Not None: it has been executed."""
    error: BbbError | None = None
    settled: trio.Event = field(default_factory=trio.Event)
    """The caller does not wait any more."""


class Network:
    """Carries requests to the servers when it is told to."""

    def __init__(self, names: tuple[str, ...], now_ms: Callable[[], int]) -> None:
        self.servers = {name: State() for name in names}
        self.away: set[str] = set()
        self.waiting: list[Message] = []
        """Requests whose callers wait, oldest first."""
        self.late: list[Message] = []
        """Requests that nobody waits for, but that may still be executed."""
        self.on_end: Callable[[str, Meeting, Any], None] = lambda *_: None
        """Called when an `end` has ended a meeting: server, meeting, cause."""
        self.history: list[object] = []
        self._now_ms = now_ms
        self._lists = MeetingListReader()

    # The calls of BbbClient

    async def call(self, target: Target, call: str, params: Any, **_: Any) -> ServerAnswer:
        """Make one call."""
        return parse_answer(await self._exchange(target, call, dict(params)))

    async def list_meetings(self, target: Target, params: Any = (), **_: Any) -> MeetingList:
        """Ask for all meetings."""
        return self._lists.read(await self._exchange(target, "getMeetings", dict(params)))

    async def poll_meetings(self, target: Target, before: HashedList | None) -> HashedList:
        """Ask for all meetings, as a poll does."""
        body = await self._exchange(target, "getMeetings", {})
        if before is not None and before.hash == hash(body):
            return before
        return HashedList(hash(body), self._lists.read(body))

    async def version(self, target: Target) -> str:
        """Return the version of a server, which is asked for over another path than its calls."""
        await trio.lowlevel.checkpoint()
        return "3.0.0"

    def join_url(self, target: Target, params: Any) -> str:
        """Return the server of a join."""
        return str(target.id)

    async def _exchange(self, target: Target, call: str, params: dict[str, str]) -> bytes:
        if target.id in self.away:
            raise NotSent(target.id, "refused")
        cause = front_end_call.get()
        message = Message(target.id, call, params, self._now_ms(), cause)
        self.waiting.append(message)
        try:
            await message.settled.wait()
        finally:
            if message in self.waiting:  # cancelled
                self._give_up(message)
        if message.error is not None:
            raise message.error
        assert message.answer is not None
        return message.answer

    def _give_up(self, message: Message) -> None:
        self.waiting.remove(message)
        if message.answer is None:
            self.late.append(message)

    # What becomes of a message

    def execute(self, message: Message) -> None:
        """Have the server execute a request, once."""
        if message.answer is None:
            message.answer = self._execute(message)
            self.history.append(f"{message.server} executed {message.call} {message.params}")
        if message in self.late:
            self.late.remove(message)

    def deliver(self, message: Message) -> None:
        """Have the server execute a request, and its answer arrive."""
        self.execute(message)
        self._settle(message, None)

    def refuse(self, message: Message) -> None:
        """Answer 503; what was not executed by now never is."""
        self._settle(message, ServerFault(self._id(message), "HTTP status 503", status=503))

    def lose(self, message: Message) -> None:
        """End the wait of the caller without an answer; the request may still be executed."""
        self.history.append(f"{message.server} gives no answer to {message.call} {message.params}")
        self._give_up(message)
        message.error = Ambiguous(self._id(message), "no answer in time")
        message.settled.set()

    def drop_too_late(self) -> None:
        """Drop requests that cannot be executed any more."""
        now_ms = self._now_ms()
        self.late = [one for one in self.late if now_ms - one.sent_ms < LATE_MS]

    def _settle(self, message: Message, error: BbbError | None) -> None:
        self.history.append(f"{message.server} answers {message.call} {message.params}: {error}")
        self.waiting.remove(message)
        message.error = error
        message.settled.set()

    @staticmethod
    def _id(message: Message) -> Any:
        return message.server

    # The servers

    def holders(self, meeting_id: str) -> list[str]:
        """Return the servers that have a meeting."""
        return [name for name, state in self.servers.items() if meeting_id in state.meetings]

    def _execute(self, message: Message) -> bytes:
        state = self.servers[message.server]
        try:
            return self._answer(state, message)
        except Refused as refusal:
            return answers.failed(*refusal.args)

    def _answer(self, state: State, message: Message) -> bytes:
        if message.call == "create":
            time.sleep(0.002)  # so that no two runs have the same internal id
            return answers.created(*state.create(message.params))
        if message.call == "getMeetings":
            return answers.meetings(list(state.meetings.values()))
        meeting = state.find(message.params.get("meetingID", ""))
        if message.call == "getMeetingInfo":
            return answers.meeting_info(meeting)
        if message.call != "end":
            return answers.failed("unsupportedRequest", "This request is not supported.")
        password = message.params.get("password")
        if password and password != meeting.moderator_pw:
            raise Refused("invalidPassword", "The supplied moderator password is incorrect")
        state.end(meeting)
        self.on_end(message.server, meeting, message.cause)
        return answers.succeeded("sentEndMeetingRequest", answers.END_SENT)
