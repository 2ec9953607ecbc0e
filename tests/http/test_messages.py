"""Requests as values, bodies with limits, and responses that keep the connection in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from appliance.http.errors import HttpError
from appliance.http.messages import (
    LINGERS,
    Body,
    Chunks,
    ClientGone,
    ClientTimeouts,
    Request,
    Response,
    read_request,
    send_response,
)

Message = dict[str, Any]
TIMEOUTS = ClientTimeouts(rate_s=10.0, body_s=100.0, linger_s=5.0)


def part(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def request_of(
    *messages: Message, method: str = "POST", headers: dict[bytes, bytes] | None = None
) -> Request:
    """Make a request whose body is these messages, then nothing."""
    left = list(messages)

    async def receive() -> Message:
        await trio.lowlevel.checkpoint()
        if not left:
            await trio.sleep_forever()
        return left.pop(0)

    return Request(
        method=method,
        path="/",
        query=b"",
        headers=headers or {},
        body=Body(receive, TIMEOUTS),
        peer=None,
    )


async def collect(chunks: Chunks) -> list[bytes]:
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize(
    ("headers", "has_body", "length"),
    [
        ({}, False, None),
        ({b"content-length": b"0"}, False, 0),
        ({b"content-length": b"00"}, False, 0),
        ({b"content-length": b"7"}, True, 7),
        ({b"content-length": b"x"}, True, None),
        ({b"content-length": b"-1"}, True, None),
        ({b"content-length": b"\xb2"}, True, None),
        ({b"content-length": b"9" * 5000}, True, None),
        ({b"transfer-encoding": b"chunked"}, True, None),
    ],
)
def test_announced_body_is_recognised(
    headers: dict[bytes, bytes], has_body: bool, length: int | None
) -> None:
    request = request_of(headers=headers)

    assert request.has_body() is has_body
    assert request.content_length() == length


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        (b"text/xml", "text/xml"),
        (b"Text/XML ; charset=utf-8", "text/xml"),
        (b";", ""),
        (b"\xff", "\xff"),
    ],
)
def test_media_type_is_lower_case_and_bare(value: bytes, media_type: str) -> None:
    assert request_of(headers={b"content-type": value}).media_type() == media_type
    assert request_of().media_type() == ""


def test_repr_does_not_show_signed_data() -> None:
    request = Request("GET", "/a", b"checksum=abc", {}, request_of().body, "::1")

    assert "abc" not in repr(request)
    assert "secret" not in repr(Response(302, b"text/html", b"secret", ((b"location", b"secret"),)))


async def test_chunks_are_yielded_as_they_arrive_except_empty_ones() -> None:
    request = request_of(part(b"ab"), part(b""), part(b"c"), part(b"", more=False))

    assert await collect(Chunks(request, 3)) == [b"ab", b"c"]
    assert request.body.ended


async def test_chunks_that_are_put_back_come_first_and_are_not_counted_again() -> None:
    chunks = Chunks(request_of(part(b"ab"), part(b"cd"), part(b"e", more=False)), 5)
    taken = [await anext(chunks), await anext(chunks)]
    chunks.put_back(taken)

    assert await collect(chunks) == [b"ab", b"cd", b"e"]


@pytest.mark.parametrize(
    ("headers", "messages"),
    [
        ({b"content-length": b"4"}, []),
        ({}, [part(b"ab"), part(b"cd")]),
    ],
)
async def test_body_over_the_limit_is_refused(
    headers: dict[bytes, bytes], messages: list[Message]
) -> None:
    with pytest.raises(HttpError) as caught:
        await collect(Chunks(request_of(*messages, headers=headers), 3))

    assert caught.value.status == 413


async def test_body_that_stalls_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()

    with pytest.raises(HttpError) as caught:
        await collect(Chunks(request_of(part(b"ab")), 100))

    assert caught.value.status == 408
    assert trio.current_time() - began == pytest.approx(TIMEOUTS.rate_s)


def request_of_drops(size: int, interval_s: float, drops: int) -> Request:
    """Make a request whose body comes in parts of a size, one each interval."""
    left, due_s = drops, trio.current_time() + interval_s

    async def receive() -> Message:
        nonlocal left, due_s
        await trio.sleep_until(due_s)  # a receive that was cancelled is not late
        due_s = trio.current_time() + interval_s
        left -= 1
        return part(b"x" * size, more=left > 0)

    return Request("POST", "/", b"", {}, Body(receive, TIMEOUTS), None)


@pytest.mark.parametrize(
    ("size", "interval_s", "drops", "ended_s"),
    [
        (1, 1.0, 9, 9),  # a body that ends before its rate is looked at
        (1, 1.0, 99, 10),
        (1024, 1.01, 30, 10),
        (1024, 0.99, 30, 0.99 * 30),
        (100 * 1024, 8.0, 5, 40),
        (100 * 1024, 1.0, 1000, 100),  # body_s
    ],
)
async def test_body_below_the_minimum_rate_or_over_its_time_is_given_up(
    size: int, interval_s: float, drops: int, ended_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    began_s, status = trio.current_time(), 200
    try:
        await collect(Chunks(request_of_drops(size, interval_s, drops), 10**9))
    except HttpError as error:
        status = error.status

    assert trio.current_time() - began_s == pytest.approx(ended_s)
    assert status == (200 if ended_s == pytest.approx(drops * interval_s) else 408)


async def test_time_in_which_a_body_is_not_read_does_not_count(
    autojump_clock: trio.testing.MockClock,
) -> None:
    received = 0
    async for chunk in Chunks(request_of_drops(1024, 0.9, 20), 10**9):
        received += len(chunk)
        await trio.sleep(1000)
    assert received == 20 * 1024


async def test_client_that_is_gone_ends_the_body() -> None:
    with pytest.raises(ClientGone):
        await collect(Chunks(request_of(part(b"ab"), {"type": "http.disconnect"}), 100))


# --- answers --------------------------------------------------------------------------------------

ANSWER = Response(200, b"text/plain", b"hello", ((b"x-more", b"1"),))


class Recorder:
    """Keeps the messages that were sent, with the time."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, Message]] = []

    async def send(self, message: Message) -> None:
        self.sent.append((trio.current_time(), message))
        await trio.lowlevel.checkpoint()

    @property
    def head(self) -> dict[bytes, bytes]:
        assert self.sent[0][1]["type"] == "http.response.start"
        return dict(self.sent[0][1]["headers"])

    @property
    def bodies(self) -> list[tuple[bytes, bool]]:
        return [(message["body"], message["more_body"]) for _, message in self.sent[1:]]


async def test_answer_has_its_length_and_headers() -> None:
    recorder = Recorder()
    await send_response(recorder.send, ANSWER, request_of(method="GET"), b"id-1")

    assert recorder.sent[0][1]["status"] == 200
    assert recorder.head == {
        b"content-type": b"text/plain",
        b"content-length": b"5",
        b"x-more": b"1",
        b"x-request-id": b"id-1",
    }
    assert recorder.bodies == [(b"hello", False)]


async def test_answer_to_head_has_no_body() -> None:
    recorder = Recorder()
    await send_response(recorder.send, ANSWER, request_of(method="HEAD"), None)

    assert recorder.head[b"content-length"] == b"5"
    assert recorder.bodies == [(b"", False)]


async def test_read_body_keeps_the_connection() -> None:
    recorder, request = (
        Recorder(),
        request_of(part(b"abc", more=False), headers={b"content-length": b"3"}),
    )
    await collect(Chunks(request, 3))
    await send_response(recorder.send, ANSWER, request, None)

    assert b"connection" not in recorder.head
    assert recorder.bodies == [(b"hello", False)]


def _nothing() -> list[Message]:
    return []


def _gone() -> list[Message]:
    return [part(b"c"), {"type": "http.disconnect"}]


def _rest() -> list[Message]:
    return [part(b"c"), part(b"d", more=False)]


@pytest.mark.parametrize(
    ("still_to_come", "waited_s"), [(_nothing, TIMEOUTS.linger_s), (_gone, 0.0), (_rest, 0.0)]
)
async def test_unread_body_is_read_for_a_while_after_the_answer(
    still_to_come: Callable[[], list[Message]],
    waited_s: float,
    autojump_clock: trio.testing.MockClock,
) -> None:
    recorder, began = Recorder(), trio.current_time()
    request = request_of(part(b"ab"), *still_to_come(), headers={b"content-length": b"4"})
    await send_response(recorder.send, ANSWER, request, None)

    assert recorder.head[b"connection"] == b"close"
    assert recorder.bodies == [(b"hello", True), (b"", False)]
    assert recorder.sent[1][0] == began
    assert recorder.sent[2][0] - began == pytest.approx(waited_s)


@pytest.mark.parametrize(
    ("headers", "is_late"),
    [
        ({b"content-length": b"65536"}, False),
        ({b"content-length": b"65537"}, True),
        ({b"transfer-encoding": b"chunked"}, True),
    ],
)
async def test_answer_is_late_when_a_large_body_is_not_read(
    headers: dict[bytes, bytes], is_late: bool, autojump_clock: trio.testing.MockClock
) -> None:
    recorder, began = Recorder(), trio.current_time()
    await send_response(recorder.send, ANSWER, request_of(part(b"a"), headers=headers), None)

    assert (recorder.sent[0][0] > began) is is_late


async def test_unread_body_is_left_to_a_connection_that_drops_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    recorder, began = Recorder(), trio.current_time()
    scope = {
        **{"method": "POST", "path": "/", "query_string": b"", "state": {LINGERS: True}},
        "headers": [(b"content-length", b"4")],
    }
    request = read_request(scope, trio.sleep_forever, TIMEOUTS)
    await send_response(recorder.send, ANSWER, request, None)

    assert trio.current_time() == began
    assert recorder.bodies[-1] == (b"", False)
