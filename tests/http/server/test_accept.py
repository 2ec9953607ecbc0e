"""Accepting connections, over real sockets."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from appliance.http.server.accept import (
    PAUSE_S,
    AcceptedStream,
    ConnectionLimit,
    accept_forever,
    prepare_listener,
)
from tests.doubles.descriptors import no_free_descriptors
from tests.doubles.features import EventBook

LIMIT_S = 60


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        prepare_listener(listener, 7.5)
        listener.listen(16)
        yield listener


@asynccontextmanager
async def open_pair() -> AsyncIterator[tuple[AcceptedStream, socket.socket]]:
    """Yield an accepted connection and its client, which blocks."""
    with listening() as listener, socket.create_connection(listener.getsockname(), 5) as client:
        await trio.lowlevel.wait_readable(listener)
        stream = AcceptedStream(listener.accept()[0])
        with trio.fail_after(LIMIT_S):
            yield stream, client
        stream.close()


# --- a stream -------------------------------------------------------------------------------------


async def test_first_receive_returns_what_arrived_with_the_connection() -> None:
    async with open_pair() as (stream, client):
        client.sendall(b"one")
        await trio.lowlevel.wait_readable(stream.socket)
        with trio.CancelScope() as scope:
            scope.cancel()  # it must not wait
            assert await stream.receive_some() == b"one"
        assert not scope.cancelled_caught


async def test_receive_waits_when_the_client_sends_nothing_at_first() -> None:
    async with open_pair() as (stream, client), trio.open_nursery() as nursery:
        received: list[bytes] = []

        async def receive() -> None:
            received.append(await stream.receive_some(3))
            received.append(await stream.receive_some())

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        assert received == []
        client.sendall(b"onetwo")
        await wait_all_tasks_blocked(0.01)
    assert received == [b"one", b"two"]


async def test_other_tasks_run_before_much_data_is_sent() -> None:
    async with open_pair() as (stream, client):
        client.setblocking(False)
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.send_all(bytes(100_000))
        assert scope.cancelled_caught
        with pytest.raises(BlockingIOError):
            client.recv(1)


# --- accepting ------------------------------------------------------------------------------------


async def test_accepted_connections_have_the_options_of_their_listener() -> None:
    async with open_pair() as (stream, _):

        def option(name: int) -> int:
            return stream.socket.getsockopt(socket.IPPROTO_TCP, name)

        assert option(socket.TCP_USER_TIMEOUT) == 7500
        assert option(socket.TCP_NODELAY)


def no_limit() -> ConnectionLimit:
    return ConnectionLimit(math.inf, lambda: None, EventBook())


async def greet(stream: AcceptedStream) -> None:
    await stream.send_all(b"hello")
    stream.close()


async def test_every_client_is_served_when_many_connect_at_once() -> None:
    with listening() as listener:
        clients = [socket.create_connection(listener.getsockname(), 5) for _ in range(10)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept_forever, listener, greet, nursery, EventBook(), no_limit())
            for client in clients:
                assert await trio.to_thread.run_sync(client.recv, 10) == b"hello"
                client.close()
            nursery.cancel_scope.cancel()


async def test_clients_wait_while_descriptors_are_exhausted_and_that_is_logged_once() -> None:
    log = EventBook()
    with listening() as listener, socket.create_connection(listener.getsockname(), 5) as client:
        client.setblocking(False)
        async with trio.open_nursery() as nursery:
            with no_free_descriptors():
                nursery.start_soon(accept_forever, listener, greet, nursery, log, no_limit())
                with trio.fail_after(LIMIT_S):
                    while not log.named("connections_not_accepted"):
                        await trio.sleep(0.01)
                await trio.sleep(3 * PAUSE_S)  # for further attempts, which must not be logged
            with trio.fail_after(LIMIT_S):
                await trio.lowlevel.wait_readable(client)
            assert client.recv(10) == b"hello"
            nursery.cancel_scope.cancel()
    (fields,) = log.named("connections_not_accepted")
    assert fields == {"reason": "Too many open files"}
