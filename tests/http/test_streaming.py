"""Streamed responses: whole when small, cut off when they fail, ended when the client leaves."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from quart import Response

from appliance.http.messages import ClientGone
from appliance.http.quart_exchange import STALL_S
from appliance.http.streaming import HELD_BYTES, Producer, Sink, stream_response
from tests.doubles.quart_client import Message, QuartClient

DEADLINE_S = 40.0
PIECE = b"x" * HELD_BYTES


def pieces(*parts: bytes, failure: Exception | None = None) -> Producer:
    async def produce(send: Sink) -> None:
        for part in parts:
            await send(part)
        if failure is not None:
            raise failure

    return produce


async def run(client: QuartClient, produce: Producer) -> None:
    async def view() -> Response:
        return await stream_response(produce, "text/plain")

    with trio.fail_after(DEADLINE_S):
        await client.request(view)


@pytest.mark.parametrize("parts", [(b"a", b"", b"b"), (b"ab",), ()])
async def test_small_response_is_sent_whole(parts: tuple[bytes, ...]) -> None:
    client = QuartClient()
    await run(client, pieces(*parts))

    body = b"".join(parts)
    assert client.head[b"content-type"] == b"text/plain"
    assert client.head[b"content-length"] == b"%d" % len(body)
    assert client.body == body
    assert client.is_complete
    assert client.reports == [(200, body)]


async def test_large_response_is_sent_in_pieces() -> None:
    client = QuartClient()
    await run(client, pieces(b"a", PIECE, PIECE, b"z"))

    assert client.sent[0]["headers"] == [
        (b"content-type", b"text/plain"),
        (b"x-request-id", b"id-1"),
    ]
    assert client.body == b"a" + PIECE + PIECE + b"z"
    assert [len(message["body"]) for message in client.sent[1:-1]] == [
        HELD_BYTES + 1,
        HELD_BYTES,
        1,
    ]
    assert client.is_complete
    assert client.reports == [(200, b"")]


async def test_end_after_a_full_piece_is_sent_too() -> None:
    for _ in range(50):  # whether the producer or the view runs first is random
        client = QuartClient()
        await run(client, pieces(PIECE, b"z"))

        assert client.body == PIECE + b"z"


async def test_pieces_of_a_byte_are_collected_in_reasonable_time() -> None:
    async def produce(send: Sink) -> None:
        for _ in range(HELD_BYTES // 1000):
            await trio.lowlevel.checkpoint()
            for _ in range(1000):
                await send(b"x")

    client = QuartClient()
    await run(client, produce)
    assert len(client.body) == HELD_BYTES // 1000 * 1000


@pytest.mark.parametrize(("parts", "started"), [((b"a",), False), ((PIECE, b"b"), True)])
async def test_failure_is_raised_and_the_response_has_no_end(
    parts: tuple[bytes, ...], started: bool
) -> None:
    client = QuartClient()
    with pytest.raises(KeyError):
        await run(client, pieces(*parts, failure=KeyError()))

    assert bool(client.sent) is started
    assert not client.is_complete
    assert client.reports == []


@pytest.mark.parametrize("begun", [False, True])
async def test_work_ends_when_the_client_leaves(begun: bool) -> None:
    client, waiting, ended = QuartClient(), trio.Event(), trio.Event()

    async def produce(send: Sink) -> None:
        if begun:
            await send(PIECE)
        waiting.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async def leave() -> None:
        await waiting.wait()
        client.gone.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        with pytest.raises(ClientGone):
            await run(client, produce)

    assert ended.is_set()


async def test_client_that_takes_nothing_is_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Stuck(QuartClient):
        async def send(self, message: Message) -> None:
            """Take nothing."""
            await trio.sleep_forever()

    began_s = trio.current_time()
    with pytest.raises(ClientGone):
        await run(Stuck(), pieces(PIECE, PIECE))

    assert trio.current_time() - began_s == pytest.approx(STALL_S)


async def test_cancellation_is_passed_on() -> None:
    async def produce(_send: Sink) -> None:
        await trio.sleep_forever()

    with trio.move_on_after(0.05) as scope:
        await run(QuartClient(), produce)
    assert scope.cancelled_caught
