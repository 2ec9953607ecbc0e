from __future__ import annotations

import math
import random
import socket
import struct
from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from appliance.http.client.dial import Origin, open_ssl_context
from appliance.http.client.message import StreamedBody, UnusableResponseError
from appliance.http.client.pool import ExchangeLimits, PoolTransport
from tests.doubles.raw_http import (
    Authority,
    Peer,
    answer,
    never_answers,
    open_raw_server,
    says,
    until,
)

SSL_CONTEXT = open_ssl_context()
LIMITS = ExchangeLimits(connect_s=40, response_s=40, max_response_bytes=1_000_000)
SHORT = ExchangeLimits(connect_s=0.3, response_s=0.05, max_response_bytes=1_000_000)


@pytest.fixture
async def pool() -> AsyncIterator[PoolTransport]:
    async with PoolTransport(SSL_CONTEXT) as pool:
        yield pool


async def get(pool: PoolTransport, origin: Origin, limits: ExchangeLimits = LIMITS) -> bytes:
    return (await pool.exchange(origin, "GET", b"/", limits)).body


async def echo_target(peer: Peer) -> None:
    """Answer each request with its own target."""
    while (request := await peer.read()) is not None:
        await peer.send(answer(request.target.encode()))


async def silent(peer: Peer) -> None:
    """Send nothing until the client closes."""
    while await peer.stream.receive_some(65536):
        pass


def reset(peer: Peer) -> None:
    """Close with a reset."""
    assert isinstance(peer.stream, trio.SocketStream)
    peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.stream.socket.close()


async def test_connection_is_used_again(pool: PoolTransport) -> None:
    async with open_raw_server(says(answer())) as server:
        for _ in range(5):
            await get(pool, server.origin)

        assert (server.connections, len(server.requests)) == (1, 5)


async def test_connection_over_tls_is_used_again(authority: Authority) -> None:
    async with (
        open_raw_server(echo_target, tls=authority.server_context) as server,
        PoolTransport(open_ssl_context(authority.ca_file)) as pool,
    ):
        for target in (b"/1", b"/2", b"/3"):
            response = await pool.exchange(server.origin, "GET", target, LIMITS)
            assert response.body == target
        streamed = await pool.exchange(server.origin, "POST", b"/4", LIMITS, body=b"x" * 2_000_000)

        assert streamed.body == b"/4"
        assert len(server.requests[3].body) == 2_000_000
        assert server.connections == 1


async def test_last_used_connection_is_used_first(pool: PoolTransport) -> None:
    async def number(peer: Peer) -> None:
        mine = peer.number
        while await peer.read() is not None:
            await peer.send(answer(b"%d" % mine))

    async with open_raw_server(number) as server:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(get, pool, server.origin)
        assert server.connections == 3

        first = await get(pool, server.origin)
        assert {await get(pool, server.origin) for _ in range(5)} == {first}


@pytest.mark.parametrize("by_reset", [False, True])
async def test_idle_connection_that_the_server_closed_is_replaced_unsent(
    pool: PoolTransport, by_reset: bool
) -> None:
    async def one_each(peer: Peer) -> None:
        await peer.read()
        await peer.send(answer(b"%d" % peer.number))
        if by_reset:
            reset(peer)

    async with open_raw_server(one_each) as server:
        for _ in range(3):
            await get(pool, server.origin)
            await until(lambda: server.open_connections == 0)

        assert server.connections == 3
        assert len(server.requests) == 3


async def test_idle_connection_on_which_something_came_is_not_used(pool: PoolTransport) -> None:
    said_more = trio.Event()

    async def talks(peer: Peer) -> None:
        await peer.read()
        await peer.send(answer(b"mine"))
        await trio.sleep(0.01)
        await peer.send(answer(b"poison"))
        said_more.set()
        await peer.read()

    async with open_raw_server(talks) as server:
        assert await get(pool, server.origin) == b"mine"
        await said_more.wait()

        assert await get(pool, server.origin) == b"mine"
        assert server.connections == 2


@pytest.mark.parametrize("by_reset", [False, True])
async def test_request_is_sent_once_when_the_server_closes_after_reading_it(
    pool: PoolTransport, by_reset: bool
) -> None:
    async def closes_at_second(peer: Peer) -> None:
        await peer.read()
        await peer.send(answer())
        await peer.read()
        if by_reset:
            reset(peer)

    async with open_raw_server(closes_at_second) as server:
        await get(pool, server.origin)

        with pytest.raises(httpx.ReadError):
            await get(pool, server.origin)

        assert (server.connections, len(server.requests)) == (1, 2)


async def test_refused_connection_was_not_sent(pool: PoolTransport) -> None:
    async with open_raw_server(never_answers) as server:
        pass

    with pytest.raises(httpx.ConnectError):
        await get(pool, server.origin)

    assert pool.open_connections == 0


async def test_connecting_has_its_own_limit(pool: PoolTransport) -> None:
    async with open_raw_server(silent) as server:
        with pytest.raises(httpx.ConnectTimeout):  # the TLS handshake hangs
            await get(pool, Origin(True, "127.0.0.1", server.port), SHORT)

        assert pool.open_connections == 0
        await until(lambda: server.connections == 1 and server.open_connections == 0)


async def test_callers_deadline_while_connecting_is_a_connect_timeout(pool: PoolTransport) -> None:
    async with open_raw_server(silent) as server:
        with pytest.raises(httpx.ConnectTimeout):
            await pool.exchange(
                Origin(True, "127.0.0.1", server.port),
                "GET",
                b"/",
                LIMITS,
                deadline=trio.current_time() + 0.05,
            )


async def test_exchange_waits_for_a_slot_no_longer_than_to_connect() -> None:
    async with (
        open_raw_server(never_answers) as server,
        PoolTransport(SSL_CONTEXT, max_per_origin=2) as pool,
        trio.open_nursery() as nursery,
    ):
        for _ in range(2):
            nursery.start_soon(get, pool, server.origin, ExchangeLimits(40, 40, 1000))
        await until(lambda: len(server.requests) == 2)

        with pytest.raises(httpx.PoolTimeout):
            await get(pool, server.origin, SHORT)

        assert server.connections == 2
        nursery.cancel_scope.cancel()


async def test_waiting_exchanges_get_the_slots_that_become_free() -> None:
    async with (
        open_raw_server(echo_target) as server,
        PoolTransport(SSL_CONTEXT, max_per_origin=2) as pool,
    ):
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(get, pool, server.origin)

        assert len(server.requests) == 50
        assert server.connections <= 2


async def test_cancelled_waiters_take_no_slot_with_them() -> None:
    """httpcore loses a slot for each waiter that is cancelled at the wrong moment."""
    rng = random.Random(1)
    async with (
        open_raw_server(echo_target) as server,
        PoolTransport(SSL_CONTEXT, max_per_origin=4) as pool,
    ):

        async def cancelled_early() -> None:
            with trio.move_on_after(rng.random() * 0.02):
                await get(pool, server.origin)

        for _ in range(5):
            async with trio.open_nursery() as nursery:
                for _ in range(60):
                    nursery.start_soon(cancelled_early)

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(get, pool, server.origin)
        assert pool.open_connections <= 4


async def test_no_answer_reaches_another_request_when_many_are_cancelled(
    pool: PoolTransport,
) -> None:
    rng = random.Random(2)
    outcomes = {"right": 0, "cancelled": 0}

    async def answers_late(peer: Peer) -> None:
        while (request := await peer.read()) is not None:
            await trio.sleep(rng.random() * 0.01)
            await peer.send(answer(request.target.encode() + b" " + request.body[:20]))

    async with open_raw_server(answers_late) as server:

        async def client(number: int) -> None:
            for turn in range(25):
                target = b"/%d/%d" % (number, turn)
                body = (None, target, StreamedBody(_parts(target), None))[turn % 3]
                limit_s = rng.choice([math.inf, rng.random() * 0.016])
                with trio.move_on_after(limit_s) as scope:
                    response = await pool.exchange(server.origin, "POST", target, LIMITS, body=body)
                    sent = b"" if body is None else target
                    assert response.body == target + b" " + sent
                    outcomes["right"] += 1
                outcomes["cancelled"] += scope.cancelled_caught

        async with trio.open_nursery() as nursery:
            for number in range(16):
                nursery.start_soon(client, number)

        assert outcomes["right"] > 50
        assert outcomes["cancelled"] > 50
        assert sum(outcomes.values()) == 400
        await until(lambda: server.open_connections == pool.open_connections)
        await pool.aclose()
        assert pool.open_connections == 0
        await until(lambda: server.open_connections == 0)


async def _parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 2):
        yield data[start : start + 2]
        await trio.lowlevel.checkpoint()


async def test_hung_origin_does_not_disturb_another(pool: PoolTransport) -> None:
    limits = ExchangeLimits(2, 60, 1000)
    failed = 0

    async with (
        open_raw_server(never_answers) as hung,
        open_raw_server(echo_target) as healthy,
        trio.open_nursery() as nursery,
    ):

        async def hangs() -> None:
            nonlocal failed
            try:
                await get(pool, hung.origin, limits)
            except httpx.PoolTimeout:
                failed += 1

        for _ in range(140):  # more than MAX_PER_ORIGIN
            nursery.start_soon(hangs)
        await until(lambda: len(hung.requests) == 128)

        with trio.fail_after(40):
            for _ in range(20):
                assert await get(pool, healthy.origin) == b"/"
        await until(lambda: failed == 12)

        assert healthy.connections == 1
        nursery.cancel_scope.cancel()


async def test_total_is_kept_by_closing_the_longest_idle() -> None:
    async with (
        open_raw_server(says(answer())) as one,
        open_raw_server(says(answer())) as two,
        PoolTransport(SSL_CONTEXT, max_total=1) as pool,
    ):
        await get(pool, one.origin)
        await get(pool, two.origin)

        assert pool.open_connections == 1
        await until(lambda: one.open_connections == 0)
        assert two.open_connections == 1


async def test_total_is_kept_by_refusing_when_none_is_idle() -> None:
    async with (
        open_raw_server(never_answers) as one,
        open_raw_server(says(answer())) as two,
        PoolTransport(SSL_CONTEXT, max_total=1) as pool,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(get, pool, one.origin)
        await until(lambda: one.requests)

        with pytest.raises(httpx.PoolTimeout, match="too many"):
            await get(pool, two.origin)

        nursery.cancel_scope.cancel()


async def test_connection_idle_too_long_is_not_used() -> None:
    async with (
        open_raw_server(says(answer())) as server,
        PoolTransport(SSL_CONTEXT, idle_s=0.02) as pool,
    ):
        await get(pool, server.origin)
        await trio.sleep(0.03)
        await get(pool, server.origin)

        assert server.connections == 2


async def test_connections_idle_too_long_are_closed_by_calls_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("appliance.http.client.pool.SWEEP_S", 0.01)
    async with (
        open_raw_server(says(answer())) as one,
        open_raw_server(says(answer())) as two,
        PoolTransport(SSL_CONTEXT, idle_s=0.02) as pool,
    ):
        await get(pool, one.origin)
        await trio.sleep(0.03)
        await get(pool, two.origin)

        await until(lambda: one.open_connections == 0)


async def test_closed_pool_closes_what_is_idle_and_refuses_more() -> None:
    async with open_raw_server(says(answer())) as server:
        pool = PoolTransport(SSL_CONTEXT)
        await get(pool, server.origin)

        await pool.aclose()

        await until(lambda: server.open_connections == 0)
        with pytest.raises(httpx.ConnectError, match="closed"):
            await get(pool, server.origin)


async def test_exchange_under_way_ends_well_when_the_pool_is_closed(pool: PoolTransport) -> None:
    go_on = trio.Event()

    async def waits(peer: Peer) -> None:
        await peer.read()
        await go_on.wait()
        await peer.send(answer(b"late"))
        await peer.read()

    bodies = []
    async with open_raw_server(waits) as server:

        async def ask() -> None:
            bodies.append(await get(pool, server.origin))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: server.requests)
            await pool.aclose()
            go_on.set()

        assert bodies == [b"late"]
        assert pool.open_connections == 0


# --- through httpx --------------------------------------------------------------------------------


@pytest.fixture
async def client(pool: PoolTransport) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=pool, timeout=40) as client:
        yield client


async def test_httpx_client_gets_and_posts(client: httpx.AsyncClient) -> None:
    async with open_raw_server(says(answer(b"hello", 201, b"X-Kind: test\r\n"))) as server:
        first = await client.get(f"{server.url}/a?b=c", headers={"Accept": "text/plain"})
        await client.post(f"{server.url}/form", data={"x": "1 2"})
        await client.put(f"{server.url}/stream", content=_parts(b"abcd"))
        sized = {"Content-Length": "4"}
        await client.put(f"{server.url}/sized", content=_parts(b"abcd"), headers=sized)

        assert (first.status_code, first.text, first.headers["x-kind"]) == (201, "hello", "test")
        assert [(r.method, r.target, r.body) for r in server.requests] == [
            ("GET", "/a?b=c", b""),
            ("POST", "/form", b"x=1+2"),
            ("PUT", "/stream", b"abcd"),
            ("PUT", "/sized", b"abcd"),
        ]
        assert server.requests[0].headers["accept"] == "text/plain"
        assert server.requests[0].headers["accept-encoding"] == "identity"
        assert server.requests[3].headers["content-length"] == "4"
        assert server.connections == 1


async def test_httpx_client_follows_no_redirect(client: httpx.AsyncClient) -> None:
    async with open_raw_server(says(answer(b"", 302, b"Location: /elsewhere\r\n"))) as server:
        response = await client.get(server.url)

        assert response.status_code == 302
        assert len(server.requests) == 1


async def test_httpx_stream_that_is_left_early_closes_its_connection(
    client: httpx.AsyncClient, pool: PoolTransport
) -> None:
    async with open_raw_server(says(answer(b"x" * 500_000))) as server:
        async with client.stream("GET", server.url) as response:
            assert response.status_code == 200

        assert pool.open_connections == 0
        async with client.stream("GET", server.url) as response:
            size = sum([len(part) async for part in response.aiter_raw()])
        assert size == 500_000
        assert pool.open_connections == 1


@pytest.mark.parametrize(
    ("said", "error"),
    [(b"", httpx.ReadTimeout), (answer(b"12345")[:-1], httpx.ReadTimeout)],
)
async def test_httpx_read_timeout_is_kept(
    client: httpx.AsyncClient, pool: PoolTransport, said: bytes, error: type[Exception]
) -> None:
    async with open_raw_server(says(said)) as server:
        with pytest.raises(error):
            await client.get(server.url, timeout=0.05)

        assert pool.open_connections == 0


async def test_httpx_errors_carry_their_request(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.UnsupportedProtocol) as caught:
        await client.get("ftp://a.example/x")

    assert caught.value.request.url.host == "a.example"


@pytest.mark.parametrize(
    "said",
    [
        answer(b"x" * 101),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"
        + b"x" * 101
        + b"\r\n0\r\n\r\n",
    ],
)
async def test_httpx_answer_beyond_the_pools_limit_is_refused(said: bytes) -> None:
    async with (
        open_raw_server(says(said)) as server,
        PoolTransport(SSL_CONTEXT, max_streamed_bytes=100) as pool,
        httpx.AsyncClient(transport=pool) as client,
    ):
        with pytest.raises(UnusableResponseError):
            await client.get(server.url)

        assert pool.open_connections == 0


async def test_httpx_and_exchange_share_the_connections(
    client: httpx.AsyncClient, pool: PoolTransport
) -> None:
    async with open_raw_server(says(answer())) as server:
        await client.get(server.url)
        await get(pool, server.origin)

        assert server.connections == 1
