from __future__ import annotations

import gzip
import math
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trio.testing

from appliance.http.client.dial import open_ssl_context
from appliance.http.client.exchange import ExchangeDeadline, PooledConnection
from appliance.http.client.message import Headers, StreamedBody, UnusableResponseError, make_head
from appliance.http.client.pool import ExchangeLimits, PoolTransport, RawResponse
from tests.doubles.raw_http import (
    Handler,
    Peer,
    RawServer,
    answer,
    never_answers,
    open_raw_server,
    says,
    until,
)

SSL_CONTEXT = open_ssl_context()
LIMITS = ExchangeLimits(connect_s=40, response_s=40, max_response_bytes=1_000_000)
SHORT = ExchangeLimits(connect_s=40, response_s=0.3, max_response_bytes=1_000_000)


@pytest.fixture
async def pool() -> AsyncIterator[PoolTransport]:
    async with PoolTransport(SSL_CONTEXT) as pool:
        yield pool


async def ask(
    pool: PoolTransport, handler: Handler, limits: ExchangeLimits = LIMITS
) -> RawResponse:
    """Make one GET to a server of that behaviour."""
    async with open_raw_server(handler) as server:
        return await pool.exchange(server.origin, "GET", b"/x", limits)


async def failure(
    pool: PoolTransport, handler: Handler, limits: ExchangeLimits = LIMITS
) -> httpx.TransportError:
    """Make one GET that fails, and check that no connection is left."""
    async with open_raw_server(handler) as server:
        with pytest.raises(httpx.TransportError) as caught:
            await pool.exchange(server.origin, "GET", b"/x", limits)
        assert pool.open_connections == 0
        assert len(server.requests) <= 1
        return caught.value


async def test_request_has_its_framing_and_asks_for_no_compression(
    pool: PoolTransport,
) -> None:
    async with open_raw_server(says(answer())) as server:
        await pool.exchange(
            server.origin, "GET", b"/a?b=c", LIMITS, headers=[(b"X-Request-ID", b"7")]
        )

        (request,) = server.requests
        assert (request.method, request.target, request.body) == ("GET", "/a?b=c", b"")
        assert request.headers == {
            "host": f"127.0.0.1:{server.port}",
            "accept-encoding": "identity",
            "x-request-id": "7",
        }


@pytest.mark.parametrize(
    "name",
    [b"Host", b"content-length", b"Transfer-Encoding", b"CONNECTION", b"Upgrade", b"Expect"],
)
async def test_request_drops_headers_that_belong_to_the_connection(
    pool: PoolTransport, name: bytes
) -> None:
    async with open_raw_server(says(answer())) as server:
        await pool.exchange(server.origin, "GET", b"/", LIMITS, headers=[(name, b"5")])

        assert "5" not in server.requests[0].headers.values()


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", b"/a b", []),
        ("GET", b"/a\r\nX: y", []),
        ("GET", b"/a\x00", []),
        ("GE T", b"/", []),
        ("GET\r\n", b"/", []),
        ("GÉT", b"/", []),
        ("GET", b"/", [(b"X", b"a\r\nY: b")]),
        ("GET", b"/", [(b"X", b"a\nY: b")]),
        ("GET", b"/", [(b"X\r\nY", b"a")]),
        ("GET", b"/", [(b"X Y", b"a")]),
        ("GET", b"/", [(b"X", b"\x00")]),
        ("GET", b"", []),
    ],
)
async def test_request_that_would_become_two_is_refused_unsent(
    pool: PoolTransport, method: str, target: bytes, headers: Headers
) -> None:
    async with open_raw_server(says(answer())) as server:
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await pool.exchange(server.origin, method, target, LIMITS, headers=headers)

        assert server.connections == 0
        assert str(caught.value) == "the request is not valid HTTP"
        assert caught.value.__cause__ is None


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (answer(b"hello"), 200, b"hello"),
        (answer(b"", 404), 404, b""),
        (answer(b"no", 500), 500, b"no"),
        (answer(b"", 302, b"Location: http://elsewhere.example/\r\n"), 302, b""),
        (CHUNKED, 200, b"abcde"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"late"), 200, b"late"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 3 + answer(b"late"), 200, b"late"),
        (answer(b"plain", headers=b"Content-Encoding: identity\r\n"), 200, b"plain"),
    ],
)
async def test_answer_is_read_whole(
    pool: PoolTransport, said: bytes, status: int, body: bytes
) -> None:
    response = await ask(pool, says(said))

    assert (response.status, response.body) == (status, body)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_answer_without_length_ends_with_the_connection(
    pool: PoolTransport, version: bytes
) -> None:
    said = b"HTTP/" + version + b" 200 OK\r\nContent-Type: text/xml\r\n\r\nall of it"

    response = await ask(pool, says(said, then_close=True))

    assert response.body == b"all of it"
    assert (b"content-type", b"text/xml") in response.headers


async def test_answer_may_come_byte_by_byte(pool: PoolTransport) -> None:
    async def drip(peer: Peer) -> None:
        await peer.read()
        for byte in CHUNKED:
            await peer.send(bytes([byte]))
            await trio.lowlevel.checkpoint()
        await peer.read()

    assert (await ask(pool, drip)).body == b"abcde"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", httpx.ReadError),
        (b"HT", httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\nContent-", httpx.ReadError),
        (answer(b"12345")[:-2], httpx.ReadError),
        (CHUNKED[:-8], httpx.ReadError),
        (b"HTTP/1.1 100 Continue\r\n\r\n", httpx.ReadError),
        (b"not http at all", httpx.RemoteProtocolError),
        (b"not http at all\r\n\r\n", httpx.RemoteProtocolError),
        (b"\x16\x03\x01\x02\x00", httpx.RemoteProtocolError),
        (b"HTTP/1.1 abc\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n", httpx.RemoteProtocolError),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            httpx.RemoteProtocolError,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", httpx.RemoteProtocolError),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            httpx.RemoteProtocolError,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            httpx.RemoteProtocolError,
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000, httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, httpx.RemoteProtocolError),
    ],
)
async def test_broken_answer_is_distinguished_from_a_lost_connection(
    pool: PoolTransport, said: bytes, error: type[Exception]
) -> None:
    exc = await failure(pool, says(said, then_close=True))

    assert type(exc) is error
    assert "not http" not in str(exc)


@pytest.mark.parametrize("status", [200, 503])
async def test_compressed_answer_is_refused_with_its_status(
    pool: PoolTransport, status: int
) -> None:
    said = answer(gzip.compress(b"<xml/>"), status, b"Content-Encoding: gzip\r\n")

    exc = await failure(pool, says(said))

    assert isinstance(exc, UnusableResponseError)
    assert exc.status == status


async def test_answer_beyond_the_limit_is_refused_by_its_announcement(pool: PoolTransport) -> None:
    exc = await failure(pool, says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n"))

    assert isinstance(exc, UnusableResponseError)
    assert "larger than 1000000 bytes" in str(exc)


async def test_answer_beyond_the_limit_is_cut_off_while_it_comes(pool: PoolTransport) -> None:
    sent = 0

    async def flood(peer: Peer) -> None:
        nonlocal sent
        await peer.read()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(500):
            await peer.send(b"19000\r\n" + b"x" * 0x19000 + b"\r\n")
            sent += 0x19000

    exc = await failure(pool, flood)

    assert isinstance(exc, UnusableResponseError)
    assert sent < 20_000_000  # of 50 MB: the limit and what the sockets' buffers took


async def test_answer_of_exactly_the_limit_is_taken(pool: PoolTransport) -> None:
    limits = ExchangeLimits(40, 40, 5)

    assert (await ask(pool, says(answer(b"12345")), limits)).body == b"12345"


async def test_server_that_never_answers_is_a_read_timeout(pool: PoolTransport) -> None:
    assert type(await failure(pool, never_answers, SHORT)) is httpx.ReadTimeout


async def test_answer_that_drips_is_limited_as_a_whole(pool: PoolTransport) -> None:
    async def drip(peer: Peer) -> None:
        await peer.read()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await peer.send(b"x")
            await trio.sleep(0.01)

    assert type(await failure(pool, drip, SHORT)) is httpx.ReadTimeout


async def test_callers_deadline_ends_the_wait_for_an_answer(pool: PoolTransport) -> None:
    async with open_raw_server(never_answers) as server:
        with pytest.raises(httpx.ReadTimeout):
            await pool.exchange(
                server.origin, "GET", b"/", LIMITS, deadline=trio.current_time() + 0.5
            )


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def post(
    pool: PoolTransport,
    server: RawServer,
    body: bytes | StreamedBody,
    limits: ExchangeLimits = LIMITS,
) -> RawResponse:
    return await pool.exchange(server.origin, "POST", b"/", limits, body=body)


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 3_000_000])
async def test_body_of_bytes_arrives_with_its_length(pool: PoolTransport, size: int) -> None:
    async with open_raw_server(says(answer())) as server:
        await post(pool, server, b"b" * size)

        (request,) = server.requests
        assert request.body == b"b" * size
        assert request.headers["content-length"] == str(size)
        assert pool.open_connections == 1


@pytest.mark.parametrize(
    ("length", "header"), [(8, ("content-length", "8")), (None, ("transfer-encoding", "chunked"))]
)
async def test_streamed_body_arrives(
    pool: PoolTransport, length: int | None, header: tuple[str, str]
) -> None:
    async with open_raw_server(says(answer())) as server:
        await post(pool, server, StreamedBody(pieces(b"abc", b"", b"defgh"), length))

        (request,) = server.requests
        assert request.body == b"abcdefgh"
        assert header in request.headers.items()
        assert pool.open_connections == 1


async def test_streamed_body_is_taken_no_faster_than_the_server_reads(pool: PoolTransport) -> None:
    taken = 0
    go_on = trio.Event()

    async def source() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(600):
            taken += 50_000
            yield b"x" * 50_000

    async def slow(peer: Peer) -> None:
        await go_on.wait()
        await peer.read()
        await peer.send(answer())
        await peer.read()

    async with open_raw_server(slow) as server, trio.open_nursery() as nursery:
        nursery.start_soon(post, pool, server, StreamedBody(source(), 30_000_000))
        await until(lambda: taken > 0)
        before = -1
        while taken != before:
            before = taken
            await trio.sleep(0.05)
        assert taken < 20_000_000
        go_on.set()

    assert len(server.requests[0].body) == 30_000_000


async def test_stalled_source_does_not_use_up_the_time_of_the_server(pool: PoolTransport) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"abc"
        await trio.sleep(3 * SHORT.response_s)
        yield b"def"

    async with open_raw_server(says(answer(b"got it"))) as server:
        response = await post(pool, server, StreamedBody(source(), 6), SHORT)

        assert response.body == b"got it"


async def test_server_that_does_not_read_the_body_is_a_write_timeout(pool: PoolTransport) -> None:
    async def never_reads(_peer: Peer) -> None:
        await trio.sleep_forever()

    async with open_raw_server(never_reads) as server:
        with pytest.raises(httpx.WriteTimeout):
            await post(pool, server, b"x" * 30_000_000, SHORT)


async def test_server_that_reads_the_body_and_never_answers_is_a_read_timeout(
    pool: PoolTransport,
) -> None:
    async with open_raw_server(never_answers) as server:
        with pytest.raises(httpx.ReadTimeout):
            await post(pool, server, StreamedBody(pieces(b"abc"), 3), SHORT)

        assert server.requests[0].body == b"abc"


@pytest.mark.parametrize("then_close", [True, False])
async def test_answer_before_the_body_was_sent_ends_the_upload(
    pool: PoolTransport, then_close: bool
) -> None:
    closed = False

    async def endless() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield b"x" * 10_000
        finally:
            closed = True

    async def refuses(peer: Peer) -> None:
        await peer.stream.receive_some(1000)
        await peer.send(answer(b"too much", 413))
        if not then_close:
            await trio.sleep_forever()

    async with open_raw_server(refuses) as server:
        try:
            response = await post(pool, server, StreamedBody(endless(), None))
        except httpx.NetworkError:
            # If the reset of the server comes first, the answer is lost.
            assert then_close
        else:
            assert (response.status, response.body) == (413, b"too much")
            assert pool.open_connections == 0
        assert closed


async def test_answer_while_the_source_stalls_ends_the_upload(pool: PoolTransport) -> None:
    async def stalls() -> AsyncIterator[bytes]:
        yield b"abc"
        await trio.sleep_forever()

    async def refuses(peer: Peer) -> None:
        await peer.stream.receive_some(1000)
        await peer.send(answer(b"no", 400))
        await trio.sleep_forever()

    async with open_raw_server(refuses) as server:
        response = await post(pool, server, StreamedBody(stalls(), 10))

        assert response.status == 400
        assert pool.open_connections == 0


async def test_connection_is_kept_when_the_answer_follows_the_whole_body_and_its_source_goes_on(
    pool: PoolTransport,
) -> None:
    async def slow_to_end() -> AsyncIterator[bytes]:
        yield b"abc"
        await trio.sleep_forever()

    async with open_raw_server(says(answer(b"got it"))) as server:
        response = await post(pool, server, StreamedBody(slow_to_end(), 3))
        again = await post(pool, server, b"x")

        assert (response.body, again.body) == (b"got it", b"got it")
        assert server.connections == 1


class StuckWire:
    """A connection that accepts some writes, then blocks; an answer comes once it blocks."""

    def __init__(self, writes: int) -> None:
        self.touched = False
        self._writes = writes
        self._stuck = trio.Event()

    async def send_all(self, data: bytes) -> None:
        self._writes -= 1
        if self._writes < 0:
            self._stuck.set()
            await trio.sleep_forever()

    async def receive_some(self) -> bytes:
        await self._stuck.wait()
        return answer(b"enough", 413)

    def send_now(self, data: bytes) -> int:
        return 0

    async def leftover(self) -> bool:
        return False

    def stale(self) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("length", "writes"), [(3, 1), (None, 1), (None, 2)])
async def test_connection_is_not_kept_when_an_answer_cut_off_the_last_write(
    length: int | None, writes: int
) -> None:
    connection = PooledConnection(StuckWire(writes))
    body = StreamedBody(pieces(b"abc"), length)
    head = make_head("POST", b"/", b"h", [], body)
    with trio.CancelScope() as scope:
        received = await connection.send_request(head, body, ExchangeDeadline(scope, 5, math.inf))
        assert received.status == 413
        assert await connection.read_body(received, 100) == b"enough"

        assert not await connection.is_reusable()


async def test_error_of_the_source_is_raised_as_it_is(pool: PoolTransport) -> None:
    class GoneError(Exception):
        pass

    async def breaks() -> AsyncIterator[bytes]:
        yield b"abc"
        raise GoneError

    async with open_raw_server(says(answer())) as server:
        with pytest.raises(GoneError):
            await pool.exchange(server.origin, "POST", b"/", LIMITS, body=StreamedBody(breaks(), 6))

        assert pool.open_connections == 0
        await until(lambda: server.connections == 1 and server.open_connections == 0)
        assert server.requests == []


@pytest.mark.parametrize("announced", [2, 4])
async def test_body_of_another_length_than_announced_is_a_write_error(
    pool: PoolTransport, announced: int
) -> None:
    async with open_raw_server(never_answers) as server:
        with pytest.raises(httpx.WriteError, match="not as long as announced"):
            await post(pool, server, StreamedBody(pieces(b"abc"), announced), SHORT)

        assert server.requests == []


async def test_cancelled_upload_closes_its_source_and_connection(pool: PoolTransport) -> None:
    closed = False

    async def source() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield b"x" * 10_000
        finally:
            closed = True

    async with open_raw_server(never_answers) as server:
        with trio.move_on_after(0.05) as scope:
            await pool.exchange(
                server.origin, "POST", b"/", LIMITS, body=StreamedBody(source(), None)
            )

        assert scope.cancelled_caught
        assert closed
        assert pool.open_connections == 0
        await until(lambda: server.open_connections == 0)


async def test_connection_is_not_kept_when_more_came_than_was_asked(pool: PoolTransport) -> None:
    async with open_raw_server(says(answer(b"one") + answer(b"poison"), answer(b"two"))) as server:
        first = await pool.exchange(server.origin, "GET", b"/", LIMITS)
        second = await pool.exchange(server.origin, "GET", b"/", LIMITS)

        assert first.body == b"one"
        assert second.body == b"one"
        assert server.connections == 2


async def test_answer_that_comes_in_parts_is_read_whole_and_no_further(pool: PoolTransport) -> None:
    whole = answer(b"one, and more of it")

    async def say(peer: Peer) -> None:
        await peer.read()
        await peer.send(whole[:-12])
        await trio.testing.wait_all_tasks_blocked()
        await peer.send(whole[-12:-5])
        await trio.testing.wait_all_tasks_blocked()
        await peer.send(whole[-5:] + (b"poison" if server.connections == 1 else b""))
        await peer.read()

    async with open_raw_server(say) as server:
        for connections in (1, 2):
            response = await pool.exchange(server.origin, "GET", b"/", LIMITS)
            assert response.body == b"one, and more of it"
            assert server.connections == connections
        assert pool.open_connections == 1


@pytest.mark.parametrize(
    "said",
    [
        answer(headers=b"Connection: close\r\n"),
        answer().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
async def test_connection_is_not_kept_when_the_server_closes_it(
    pool: PoolTransport, said: bytes
) -> None:
    async with open_raw_server(says(said)) as server:
        await pool.exchange(server.origin, "GET", b"/", LIMITS)

        assert pool.open_connections == 0
