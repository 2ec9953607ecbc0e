"""Streamed responses: whole when small, cut off when they fail, ended when the client leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from appliance.http.messages import Body, ClientGone, ClientTimeouts, Request, Response
from appliance.http.streaming import HELD_BYTES, ResponseStream, Sink, StreamedResponse

DEADLINE_S = 40.0
PIECE = b"x" * HELD_BYTES


class Client:
    """A client that takes everything until it goes away."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = trio.Event()

    async def receive(self) -> dict[str, Any]:
        """Wait for the end of the connection."""
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Take a part of the answer."""
        await trio.lowlevel.checkpoint()
        self.sent.append(message)

    def stream(self) -> ResponseStream:
        """Return a stream to this client."""
        body = Body(self.receive, ClientTimeouts())
        return ResponseStream(self.send, Request("GET", "/", b"", {}, body, None), b"id-1")

    @property
    def body(self) -> bytes:
        """The bytes sent after the head."""
        return b"".join(message.get("body", b"") for message in self.sent)


def pieces(*parts: bytes, failure: Exception | None = None) -> StreamedResponse:
    async def produce(send: Sink) -> None:
        for part in parts:
            await send(part)
        if failure is not None:
            raise failure

    return StreamedResponse(b"text/plain", produce)


async def run(client: Client, answer: StreamedResponse) -> tuple[ResponseStream, Response | None]:
    stream = client.stream()
    with trio.fail_after(DEADLINE_S):
        return stream, await stream.run(answer)


async def test_small_answer_is_returned_whole() -> None:
    client = Client()
    stream, response = await run(client, pieces(b"a", b"", b"b"))

    assert response == Response(200, b"text/plain", b"ab")
    assert not stream.started
    assert client.sent == []


async def test_large_answer_goes_out_in_pieces() -> None:
    client = Client()
    stream, response = await run(client, pieces(b"a", PIECE, PIECE, b"z"))

    assert response is None
    assert stream.started
    assert client.sent[0]["headers"] == [
        (b"content-type", b"text/plain"),
        (b"x-request-id", b"id-1"),
    ]
    assert client.body == b"a" + PIECE + PIECE + b"z"
    assert [message.get("more_body") for message in client.sent] == [None, True, True, False]


@pytest.mark.parametrize(("parts", "started"), [((b"a",), False), ((PIECE, b"b"), True)])
async def test_failure_is_raised_as_it_is(parts: tuple[bytes, ...], started: bool) -> None:
    client = Client()
    stream = client.stream()
    with trio.fail_after(DEADLINE_S), pytest.raises(KeyError):
        await stream.run(pieces(*parts, failure=KeyError()))

    assert stream.started is started
    assert not any(message.get("more_body") is False for message in client.sent)


async def test_work_ends_when_the_client_goes_away() -> None:
    client, waiting = Client(), trio.Event()

    async def produce(send: Sink) -> None:
        await send(PIECE)
        waiting.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:

        async def leave() -> None:
            await waiting.wait()
            client.gone.set()

        nursery.start_soon(leave)
        with trio.fail_after(DEADLINE_S), pytest.raises(ClientGone):
            await client.stream().run(StreamedResponse(b"text/plain", produce))


async def test_client_that_takes_nothing_is_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Stuck(Client):
        async def send(self, message: dict[str, Any]) -> None:
            """Take nothing."""
            await trio.sleep_forever()

    with pytest.raises(ClientGone):
        await Stuck().stream().run(pieces(PIECE))


async def test_cancellation_is_passed_on() -> None:
    async def produce(_send: Callable[[bytes], Awaitable[None]]) -> None:
        await trio.sleep_forever()

    with trio.move_on_after(0.05) as scope:
        await Client().stream().run(StreamedResponse(b"text/plain", produce))
    assert scope.cancelled_caught
