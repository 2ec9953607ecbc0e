"""One live connection to Redis, shared by all tasks: matches replies to callers, with deadlines.

Redis replies in the order of the commands, so a queue is enough. A cancelled caller keeps its place
in the queue: its reply is read and dropped. Nothing is sent twice. A link ends with its connection;
client.py reconnects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import outcome
import trio

from appliance.redis.connection import new_reader
from appliance.redis.errors import LOST, RedisDown, RedisError, lost_reason, reply_error
from appliance.system.wire import Wire

MAX_OUTSTANDING = 4096
"""Maximum number of batches that wait for replies; further ones would miss their deadline."""
_CHECK_S = 0.05
"""Minimum interval between deadline checks."""
_MISSING = object()


class _Exchange:
    """A batch of commands that was sent, and the task that waits for its replies."""

    __slots__ = ("count", "error", "replies", "started", "task")

    def __init__(self, count: int, started: float) -> None:
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        self.count = count
        self.started = started
        self.replies: list[Any] = []
        self.error: RedisDown | RedisError | None = None

    def abandon(self, _raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        """Release a cancelled caller; its replies will be read and dropped."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def answer(self) -> None:
        """Wake the caller, if it still waits, with the replies or the error."""
        if self.task is None:
            return
        task, self.task = self.task, None
        result: outcome.Outcome[list[Any]] = outcome.Value(self.replies)
        if self.error is not None:
            result = outcome.Error(self.error)
        trio.lowlevel.reschedule(task, result)

    def fail(self, reason: str) -> None:
        """Wake the caller, if it still waits, with RedisDown."""
        self.error = RedisDown(reason, sent=True)
        self.answer()


class RedisLink:
    """One live connection: a queue of exchanges, and three tasks that serve it."""

    def __init__(
        self,
        wire: Wire,
        deadline_s: float,
        on_refusal: Callable[[RedisDown], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._wire = wire
        self._deadline_s = deadline_s
        self._on_refusal = on_refusal
        self._on_lost = on_lost
        self._waiting: deque[_Exchange] = deque()
        self._unsent: list[bytes] = []
        self._reply_error: RedisDown | RedisError | None = None
        self._reader = new_reader(self._note_error, _MISSING)
        self._progress_at = trio.current_time()
        self._writing = False
        self._write_more = trio.lowlevel.ParkingLot()
        self._idle = False
        self._first_waiting = trio.lowlevel.ParkingLot()
        self._tasks = trio.CancelScope()
        self._lost: str | None = None

    async def run(self) -> str:
        """Serve until the connection is lost; return why. Waiting callers get RedisDown."""
        try:
            with self._tasks:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._until_lost, self._receive)
                    nursery.start_soon(self._until_lost, self._send)
                    nursery.start_soon(self._until_lost, self._watch)
        finally:
            self.drop("closed by the client")
            self._wire.close()
            for exchange in self._waiting:
                exchange.fail(f"connection lost: {self._lost}")
            self._waiting.clear()
        return self._lost or ""

    async def exchange(self, data: bytes, count: int, started: float) -> list[Any]:
        """Send packed commands and wait for `count` replies. Raises RedisDown, RedisError."""
        if self._lost is not None or len(self._waiting) >= MAX_OUTSTANDING:
            await trio.lowlevel.checkpoint()  # a caller that retries must not spin
            raise RedisDown(self._lost or "too many commands waiting")
        exchange = _Exchange(count, started)
        alone = not self._waiting
        self._waiting.append(exchange)
        if self._idle:
            self._idle = False
            self._first_waiting.unpark()
        if alone and not self._writing:
            data = data[self._wire.send_now(data) :]
        if data:
            self._unsent.append(data)
            if not self._writing:
                self._writing = True
                self._write_more.unpark()
        replies: list[Any] = await trio.lowlevel.wait_task_rescheduled(exchange.abandon)
        return replies

    def drop(self, reason: str) -> None:
        """Give the connection up; `run` returns the reason and waiting callers get RedisDown."""
        if self._lost is None:
            self._lost = reason
            self._on_lost()
            self._tasks.cancel()

    async def _until_lost(self, serve: Callable[[], Any]) -> None:
        try:
            await serve()
        except LOST as error:
            self.drop(lost_reason(error))
        except RedisDown as error:
            self.drop(error.reason)

    async def _send(self) -> None:
        while True:
            if not self._unsent:
                self._writing = False
                await self._write_more.park()
            batch = b"".join(self._unsent)
            self._unsent.clear()
            await self._wire.send_all(batch)

    async def _receive(self) -> None:
        receive, feed, gets, waiting = (
            self._wire.receive_some,
            self._reader.feed,
            self._reader.gets,
            self._waiting,
        )
        while data := await receive():
            feed(data)
            self._progress_at = trio.current_time()
            while (reply := gets()) is not _MISSING:
                if not waiting:
                    raise RedisDown("a reply without a command")
                exchange = waiting[0]
                exchange.replies.append(reply)
                if self._reply_error is not None:
                    self._take_error(exchange)
                if len(exchange.replies) == exchange.count:
                    waiting.popleft()
                    exchange.answer()
            if self._lost is not None:
                return
        raise RedisDown("closed by Redis")

    def _note_error(self, text: str) -> RedisDown | RedisError:
        """Note an error reply; the parser calls this for those within arrays, too."""
        error = reply_error(text)
        self._reply_error = self._reply_error or error
        return error

    def _take_error(self, exchange: _Exchange) -> None:
        error, self._reply_error = self._reply_error, None
        exchange.error = exchange.error or error
        if isinstance(error, RedisDown):
            self._on_refusal(error)
            if error.reason == "READONLY":  # after a failover this is no longer the master
                self.drop(error.reason)

    async def _watch(self) -> None:
        """Fail callers whose deadline has passed; give up a connection without any reply."""
        while True:
            if not self._waiting:
                self._idle = True
                await self._first_waiting.park()
            now = trio.current_time()
            first = min((one.started for one in self._waiting), default=now)
            due = max(first + self._deadline_s, now + _CHECK_S)
            await trio.sleep_until(due)
            if trio.current_time() - due > 4 * _CHECK_S:
                continue  # this process was blocked: read the replies that have arrived first
            self._check(trio.current_time())

    def _check(self, now: float) -> None:
        for exchange in self._waiting:
            if exchange.task is not None and now - exchange.started >= self._deadline_s:
                exchange.fail("no reply in time")
        if self._waiting:
            silent_since = max(self._progress_at, self._waiting[0].started)
            if now - silent_since >= self._deadline_s:
                raise RedisDown("no reply in time")
