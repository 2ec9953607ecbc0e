"""Quart views in an Exchange: bodies in parts, clients that leave, and the end of responses."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from quart import Response, request

from appliance.http.errors import HttpError
from appliance.http.messages import Chunks, ClientGone, read_body
from appliance.http.quart_exchange import current_exchange
from tests.doubles.quart_client import TIMEOUTS, QuartClient, part

DEADLINE_S = 40.0
LENGTH_4 = [(b"content-length", b"4")]


async def hello() -> Response:
    return Response(b"hello", content_type="text/plain")


async def test_response_has_its_length_and_the_request_id() -> None:
    client = QuartClient()
    await client.request(hello)

    assert client.sent[0]["status"] == 200
    assert client.head == {
        b"content-type": b"text/plain",
        b"content-length": b"5",
        b"x-request-id": b"id-1",
    }
    assert (client.body, client.is_complete) == (b"hello", True)
    assert client.reports == [(200, b"hello")]


async def test_body_is_read_as_the_view_reads_it() -> None:
    client = QuartClient(part(b"ab"), part(b""), part(b"cd", more=False), headers=LENGTH_4)

    async def view() -> Response:
        left = [len(client.left)]
        async for chunk in Chunks(current_exchange().request, 4):
            left.append(len(client.left))
            assert chunk in (b"ab", b"cd")
        return Response(repr(left).encode())

    await client.request(view)

    assert client.body == b"[3, 2, 0]"
    assert b"connection" not in client.head


async def test_body_is_empty_for_quart() -> None:
    async def view() -> Response:
        return Response(await request.get_data())

    client = QuartClient(part(b"ab"), part(b"cd", more=False), headers=LENGTH_4)
    with trio.fail_after(DEADLINE_S):
        await client.request(view)

    assert client.body == b""


async def test_body_that_stalls_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async def view() -> Response:
        with pytest.raises(HttpError) as caught:
            await read_body(current_exchange().request, 4)
        return Response(b"", caught.value.status)

    client = QuartClient(part(b"ab"), headers=LENGTH_4)
    await client.request(view)

    assert client.sent[0]["status"] == 408


@pytest.mark.parametrize(
    ("rest", "waited_s"), [([], TIMEOUTS.linger_s), ([part(b"d", more=False)], 0.0)]
)
async def test_body_that_was_not_read_is_discarded_after_the_response(
    rest: list[dict[str, object]], waited_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    client = QuartClient(part(b"abc"), *rest, method="POST", headers=LENGTH_4)
    began_s = trio.current_time()

    await client.request(hello)

    assert client.head[b"connection"] == b"close"
    assert [(m["body"], m["more_body"]) for m in client.sent[1:]] == [
        (b"hello", True),
        (b"", False),
    ]
    assert client.left == []
    assert trio.current_time() - began_s == pytest.approx(waited_s)


async def test_view_runs_to_its_end_when_the_client_leaves() -> None:
    client, ended = QuartClient(), trio.Event()

    async def view() -> Response:
        client.gone.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        ended.set()
        return await hello()

    with trio.fail_after(DEADLINE_S):
        await client.request(view)

    assert ended.is_set()


async def test_client_that_leaves_during_its_body_ends_the_view() -> None:
    client = QuartClient(part(b"ab"), headers=LENGTH_4)
    client.gone.set()

    async def view() -> Response:
        await read_body(current_exchange().request, 4)
        raise AssertionError("not expected")

    with trio.fail_after(DEADLINE_S), pytest.raises(ClientGone):
        await client.request(view)

    assert client.sent == []


async def test_view_of_a_watched_client_is_cancelled_when_it_leaves() -> None:
    client = QuartClient()

    async def view() -> Response:
        current_exchange().watch_client()
        client.gone.set()
        await trio.sleep_forever()
        raise AssertionError("not expected")

    with trio.fail_after(DEADLINE_S), pytest.raises(ClientGone):
        await client.request(view)

    assert client.reports == []


async def test_watched_client_that_has_left_when_its_response_begins_is_gone() -> None:
    """Quart raises its own error then, which is no fault of the appliance."""
    client = QuartClient()

    async def view() -> Response:
        current_exchange().watch_client()
        client.gone.set()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked(0.01)
        return await hello()

    with trio.fail_after(DEADLINE_S), pytest.raises(ClientGone):
        await client.request(view)

    assert client.sent == []


async def test_error_without_a_handler_is_raised_as_it_is() -> None:
    async def view() -> Response:
        raise KeyError("a defect")

    client = QuartClient()
    with pytest.raises(KeyError):
        await client.request(view)

    assert client.sent == []
