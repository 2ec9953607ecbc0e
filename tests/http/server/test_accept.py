"""Accepting connections and carrying their bytes, over real sockets."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from appliance.http.server.accept import (
    PAUSE_S,
    ClientStream,
    accept_forever,
    prepare_listener,
)
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
async def open_pair() -> AsyncIterator[tuple[ClientStream, socket.socket]]:
    """Yield an accepted connection and its client, which blocks."""
    with listening() as listener, socket.create_connection(listener.getsockname(), 5) as client:
        await trio.lowlevel.wait_readable(listener)
        stream = ClientStream(listener.accept()[0])
        with trio.fail_after(LIMIT_S):
            yield stream, client
        stream.close()


def reset(client: socket.socket) -> None:
    """Close a connection so that the other side's next use of it fails."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


# --- a stream -------------------------------------------------------------------------------------


async def test_receive_gives_what_came_with_the_connection_and_what_comes_later() -> None:
    async with open_pair() as (stream, client):
        client.sendall(b"one")
        assert await stream.receive_some() == b"one"
        async with trio.open_nursery() as nursery:
            got: list[bytes] = []

            async def receive() -> None:
                got.append(await stream.receive_some(3))
                got.append(await stream.receive_some(3))
                got.append(await stream.receive_some())

            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            client.sendall(b"twothree")
        assert got == [b"two", b"thr", b"ee"]


async def test_receive_waits_for_a_client_that_says_nothing_at_first() -> None:
    async with open_pair() as (stream, client), trio.open_nursery() as nursery:
        got: list[bytes] = []

        async def receive() -> None:
            got.append(await stream.receive_some())

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        assert got == []
        client.close()
    assert got == [b""]


async def test_send_waits_for_a_slow_client_and_sends_everything() -> None:
    data = os.urandom(1 << 20) * 16
    async with open_pair() as (stream, client), trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, data)
        await wait_all_tasks_blocked()

        def read_all() -> bytes:
            parts = []
            size = 0
            while size < len(data):
                parts.append(client.recv(1 << 20))
                size += len(parts[-1])
            return b"".join(parts)

        assert await trio.to_thread.run_sync(read_all) == data


async def test_sending_much_lets_the_others_run_first() -> None:
    async with open_pair() as (stream, client):
        client.setblocking(False)
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.send_all(bytes(100_000))
        assert scope.cancelled_caught
        with pytest.raises(BlockingIOError):
            client.recv(1)


async def test_close_ends_who_waits_and_every_later_use() -> None:
    async with open_pair() as (stream, _), trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive_some()

        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.send_all(bytes(64 << 20))

        nursery.start_soon(receive)
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        stream.close()
        stream.close()
        await stream.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(b"late")
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await stream.wait_send_all_might_not_block()


async def test_connection_that_the_client_has_reset_is_broken() -> None:
    async with open_pair() as (stream, client):
        assert await _received(stream, client, b"x") == b"x"
        reset(client)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"late")


async def _received(stream: ClientStream, client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return await stream.receive_some()


# --- accepting ------------------------------------------------------------------------------------


async def test_accepted_connections_have_the_options_of_their_listener() -> None:
    async with open_pair() as (stream, _):

        def option(name: int) -> int:
            return stream.socket.getsockopt(socket.IPPROTO_TCP, name)

        assert option(socket.TCP_USER_TIMEOUT) == 7500
        assert option(socket.TCP_NODELAY)
        assert option(socket.TCP_NOTSENT_LOWAT) == 16 * 1024


async def greet(stream: ClientStream) -> None:
    await stream.send_all(b"hello")
    stream.close()


async def test_every_client_is_served_also_when_many_come_at_once() -> None:
    with listening() as listener:
        clients = [socket.create_connection(listener.getsockname(), 5) for _ in range(10)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept_forever, listener, greet, nursery, EventBook())
            for client in clients:
                assert await trio.to_thread.run_sync(client.recv, 10) == b"hello"
                client.close()
            nursery.cancel_scope.cancel()


async def test_clients_wait_while_no_file_can_be_opened_and_that_is_said_once() -> None:
    log = EventBook()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listening() as listener, socket.create_connection(listener.getsockname(), 5) as client:
        client.setblocking(False)
        async with trio.open_nursery() as nursery:
            try:
                # The lowest number that is free is the first one not allowed.
                probe = os.dup(0)
                os.close(probe)
                resource.setrlimit(resource.RLIMIT_NOFILE, (probe, limits[1]))
                nursery.start_soon(accept_forever, listener, greet, nursery, log)
                with trio.fail_after(LIMIT_S):
                    while not log.named("connections_not_accepted"):
                        await trio.sleep(0.01)
                await trio.sleep(3 * PAUSE_S)  # for further tries, which must say nothing
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            with trio.fail_after(LIMIT_S):
                await trio.lowlevel.wait_readable(client)
            assert client.recv(10) == b"hello"
            nursery.cancel_scope.cancel()
    (said,) = log.named("connections_not_accepted")
    assert said == {"reason": "Too many open files"}
