"""The shared connection; the test acts as Redis at the other end of a socket pair."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from appliance.redis.connection import pack
from appliance.redis.errors import RedisDown, RedisError
from appliance.redis.link import MAX_OUTSTANDING, RedisLink
from appliance.system.wire import SocketWire

DEADLINE_S = 0.9


@dataclass(slots=True)
class Bench:
    """A link, the other end of its wire, and the reports of the link."""

    link: RedisLink
    redis: trio.SocketStream
    nursery: trio.Nursery
    refusals: list[str]
    losses: list[str] = field(default_factory=list)
    answers: dict[str, object] = field(default_factory=dict)

    async def run(self) -> None:
        """Serve the link, and record why it ended."""
        self.losses.append(await self.link.run())

    async def ask(self, name: str, count: int = 1) -> None:
        """Send `count` times ECHO name; keep the replies, or the error."""
        data = pack(("ECHO", name)) * count
        try:
            replies = await self.link.exchange(data, count, trio.current_time())
        except (RedisDown, RedisError) as error:
            self.answers[name] = error
        else:
            self.answers[name] = replies

    async def asked(self, *names: str) -> None:
        """Start one asking task per name, in order, and wait until all are blocked."""
        for name in names:
            self.nursery.start_soon(self.ask, name)
            await trio.testing.wait_all_tasks_blocked()

    async def reply(self, data: bytes) -> None:
        """Send bytes to the link and wait until it has processed them."""
        await self.redis.send_all(data)
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    near, far = socket.socketpair()
    redis = trio.SocketStream(trio.socket.from_stdlib_socket(far))
    refusals: list[str] = []
    link = RedisLink(
        SocketWire(near), DEADLINE_S, lambda error: refusals.append(error.reason), lambda: None
    )
    async with redis, trio.open_nursery() as nursery:
        made = Bench(link, redis, nursery, refusals)
        nursery.start_soon(made.run)
        await trio.testing.wait_all_tasks_blocked()
        yield made
        nursery.cancel_scope.cancel()


async def pass_time(clock: trio.testing.MockClock, seconds: float) -> None:
    """Advance the clock in small steps, as in a process that is not blocked."""
    for _ in range(round(seconds / 0.05)):
        clock.jump(0.05)
        await trio.testing.wait_all_tasks_blocked()


def reason(answer: object) -> str:
    assert isinstance(answer, RedisDown)
    return answer.reason


# --- replies --------------------------------------------------------------------------------------


async def test_link_gives_each_caller_its_own_replies_when_they_arrive_in_pieces() -> None:
    async with bench() as b:
        await b.asked("a", "b", "c")
        for byte in b"+A\r\n*2\r\n:1\r\n$-1\r\n$1\r\nC\r\n":
            await b.reply(bytes([byte]))

        assert b.answers == {"a": ["A"], "b": [[1, None]], "c": ["C"]}


async def test_link_sends_simultaneous_commands_together() -> None:
    async with bench() as b:
        for name in "abcd":
            b.nursery.start_soon(b.ask, name)
        await trio.testing.wait_all_tasks_blocked()

        pieces = [await b.redis.receive_some(), b""]
        if len(pieces[0]) < 4 * len(pack(("ECHO", "a"))):
            pieces[1] = await b.redis.receive_some()

        assert sorted(b"".join(pieces).split(b"*2\r\n$4\r\nECHO\r\n$1\r\n")) == [
            b"",
            *(name.encode() + b"\r\n" for name in "abcd"),
        ]


async def test_link_drops_the_reply_of_a_caller_that_was_cancelled() -> None:
    async with bench() as b:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(b.ask, "cancelled", 2)
                await trio.testing.wait_all_tasks_blocked()
                await b.asked("waiting")
                scope.cancel()
        await b.reply(b"+X\r\n+Y\r\n+Z\r\n")

        assert b.answers == {"waiting": ["Z"]}


async def test_link_writes_all_of_a_command_that_does_not_fit_into_the_socket() -> None:
    big = "x" * 5_000_000
    async with bench() as b:
        await b.asked(big)
        await b.asked("small")

        received = bytearray()
        expected = pack(("ECHO", big)) + pack(("ECHO", "small"))
        while len(received) < len(expected):
            received += await b.redis.receive_some()
        await b.reply(b"+BIG\r\n+SMALL\r\n")

        assert received == expected
        assert b.answers == {big: ["BIG"], "small": ["SMALL"]}


async def test_link_raises_an_error_reply_and_continues() -> None:
    async with bench() as b:
        await b.asked("plain", "nested", "fine")
        await b.reply(b"-ERR no\r\n*2\r\n+x\r\n-WRONGTYPE no\r\n+Z\r\n")

        plain, nested = b.answers["plain"], b.answers["nested"]
        assert isinstance(plain, RedisError)
        assert isinstance(nested, RedisError)
        assert (plain.code, nested.code, b.answers["fine"]) == ("ERR", "WRONGTYPE", ["Z"])


async def test_link_raises_the_first_of_several_error_replies() -> None:
    async with bench() as b:
        b.nursery.start_soon(b.ask, "a", 3)
        await trio.testing.wait_all_tasks_blocked()
        await b.reply(b"-ERR first\r\n+x\r\n-OOM second\r\n")

        assert str(b.answers["a"]) == "ERR first"
        assert b.refusals == ["OOM"]


async def test_link_refuses_commands_above_the_limit() -> None:
    async with bench() as b:
        for number in range(MAX_OUTSTANDING):
            b.nursery.start_soon(b.ask, f"c{number}")
        await trio.testing.wait_all_tasks_blocked()
        await b.asked("last")

        assert reason(b.answers["last"]) == "too many commands waiting"


# --- end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"+A\r\n+B\r\n+C\r\n", "a reply without a command"),
        (b"HTTP/1.1 200 OK\r\n", "not a Redis reply"),
        (b"+A\r\n-READONLY You can't write\r\n", "READONLY"),
    ],
)
async def test_link_ends_when_the_replies_are_unusable(answer: bytes, why: str) -> None:
    async with bench() as b:
        await b.asked("a", "b")
        await b.reply(answer)
        await b.asked("late")

        assert b.losses == [why]
        assert reason(b.answers["late"]) == why


async def test_link_fails_all_callers_when_redis_closes() -> None:
    async with bench() as b:
        await b.asked("a", "b")
        await b.redis.send_eof()
        await trio.testing.wait_all_tasks_blocked()

        assert [reason(b.answers[name]) for name in "ab"] == [
            "connection lost: closed by Redis"
        ] * 2


async def test_link_fails_all_callers_when_it_is_closed() -> None:
    async with trio.open_nursery() as callers, bench() as b:
        callers.start_soon(b.ask, "a")
        await trio.testing.wait_all_tasks_blocked()

    assert reason(b.answers["a"]) == "connection lost: closed by the client"


# --- time -----------------------------------------------------------------------------------------


async def test_link_is_lost_when_redis_is_silent(mock_clock: trio.testing.MockClock) -> None:
    async with bench() as b:
        await pass_time(mock_clock, 10)
        await b.asked("a")
        await pass_time(mock_clock, 0.5)
        await b.asked("b")
        await pass_time(mock_clock, 0.5)

        assert reason(b.answers["a"]) == "no reply in time"
        assert reason(b.answers["b"]) == "connection lost: no reply in time"
        assert b.losses == ["no reply in time"]


async def test_link_stays_when_redis_is_slow_but_answers(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with bench() as b:
        await b.asked("a", "b")
        await pass_time(mock_clock, 0.6)
        await b.reply(b"+A\r\n")
        await pass_time(mock_clock, 0.5)

        assert b.answers["a"] == ["A"]
        assert reason(b.answers["b"]) == "no reply in time"

        await b.asked("c")
        await b.reply(b"+B\r\n+C\r\n")

        assert b.answers["c"] == ["C"]
        assert b.losses == []


async def test_link_reads_pending_replies_first_when_the_process_was_blocked(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with bench() as b:
        await b.asked("a")
        await pass_time(mock_clock, 0.2)
        mock_clock.jump(5)
        await b.reply(b"+A\r\n")

        assert b.answers == {"a": ["A"]}
        assert b.losses == []


async def test_link_stays_while_no_caller_waits(mock_clock: trio.testing.MockClock) -> None:
    async with bench() as b:
        for name in ("a", "b"):
            await pass_time(mock_clock, 3)
            await b.asked(name)
            await b.reply(b"+OK\r\n")

        assert b.answers == {"a": ["OK"], "b": ["OK"]}
        assert b.losses == []
