"""Bytes over one connection, plain and TLS, over real sockets."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from appliance.system.wire import SocketWire, TlsWire, connect_tcp
from tests.doubles.raw_http import Authority, until

Pair = tuple[SocketWire, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A wire, and the peer's socket, which blocks."""
    own, peer = tcp_pair()
    with own, peer:
        yield SocketWire(own), peer


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        own = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
        return own, peer


async def reset(wire: SocketWire, peer: socket.socket) -> None:
    """Close the peer's end with a reset, and wait until it has arrived."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    await until(wire.stale)


# --- an idle connection ---------------------------------------------------------------------------


async def test_wire_is_not_stale_while_nothing_arrives(pair: Pair) -> None:
    wire, _ = pair

    assert not wire.stale()


async def test_wire_is_stale_when_the_peer_has_sent(pair: Pair) -> None:
    wire, peer = pair
    peer.sendall(b"x")

    await until(wire.stale)


async def test_wire_is_stale_when_the_peer_has_closed(pair: Pair) -> None:
    wire, peer = pair
    peer.close()

    await until(wire.stale)


# --- sending --------------------------------------------------------------------------------------


async def test_wire_is_touched_by_the_first_byte(pair: Pair) -> None:
    wire, peer = pair
    before = wire.touched

    await wire.send_all(b"abc")

    assert (before, wire.touched) == (False, True)
    assert peer.recv(10) == b"abc"


async def test_wire_stays_untouched_when_the_peer_has_reset(pair: Pair) -> None:
    wire, peer = pair
    await reset(wire, peer)

    with pytest.raises(trio.BrokenResourceError) as caught:
        await wire.send_all(b"abc")

    assert isinstance(caught.value.__cause__, OSError)
    assert not wire.touched


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("head", [b"", b"head"])
async def test_more_is_sent_than_the_kernel_takes_at_once(
    pair: Pair, head: bytes, is_full: bool
) -> None:
    wire, peer = pair
    data = os.urandom(1 << 20) * 16
    received, waiting = bytearray(), bytearray()
    while is_full and (size := wire.send_now(b"w" * 65_536)):
        waiting.extend(b"w" * size)

    def read_all() -> None:
        while len(received) < len(waiting + head + data):
            received.extend(peer.recv(1 << 20))

    async with trio.open_nursery() as nursery:
        if head:
            nursery.start_soon(wire.send_behind, head, data)
        else:
            nursery.start_soon(wire.send_all, data)
        await wait_all_tasks_blocked()
        nursery.start_soon(trio.to_thread.run_sync, read_all)

    assert received == waiting + head + data


async def test_a_head_and_what_follows_it_are_sent_together(pair: Pair) -> None:
    wire, peer = pair

    await wire.send_behind(b"head", b"body")

    assert wire.touched
    assert peer.recv(100) == b"headbody"


async def test_send_behind_fails_when_the_peer_has_reset(pair: Pair) -> None:
    wire, peer = pair
    await reset(wire, peer)

    with pytest.raises(trio.BrokenResourceError) as caught:
        await wire.send_behind(b"head", b"body")

    assert isinstance(caught.value.__cause__, OSError)


async def test_send_now_sends_what_the_kernel_takes(pair: Pair) -> None:
    wire, peer = pair
    data = bytes(1 << 26)
    sent = wire.send_now(data)

    assert 0 < sent < len(data)
    assert wire.touched
    assert wire.send_now(data) == 0
    assert len(peer.recv(sent)) > 0


async def test_send_now_sends_nothing_when_the_peer_has_reset(pair: Pair) -> None:
    wire, peer = pair
    await reset(wire, peer)

    assert wire.send_now(b"abc") == 0
    assert not wire.touched


# --- receiving ------------------------------------------------------------------------------------


async def test_receive_some_waits_and_returns_at_most_what_is_asked_for(pair: Pair) -> None:
    wire, peer = pair
    received: list[bytes] = []

    async def receive() -> None:
        received.append(await wire.receive_some(3))
        received.append(await wire.receive_some(3))
        received.append(await wire.receive_some())
        received.append(await wire.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        peer.sendall(b"onetwothree")
        await wait_all_tasks_blocked(0.01)
        peer.close()

    assert received == [b"one", b"two", b"three", b""]


async def test_receive_now_returns_none_while_nothing_has_arrived(pair: Pair) -> None:
    wire, peer = pair
    assert wire.receive_now() is None

    peer.sendall(b"abc")
    await until(wire.stale)

    assert wire.receive_now() == b"abc"


async def test_receiving_fails_when_the_peer_has_reset(pair: Pair) -> None:
    wire, peer = pair
    await reset(wire, peer)

    with pytest.raises(trio.BrokenResourceError) as caught:
        await wire.receive_some()

    assert isinstance(caught.value.__cause__, OSError)


# --- opening and closing --------------------------------------------------------------------------


async def test_connect_tcp_reaches_a_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = await connect_tcp("127.0.0.1", listener.getsockname()[1])
        peer, _ = listener.accept()
        with peer:
            await wire.send_all(b"abc")
            wire.close()

            assert peer.recv(10) == b"abc"
            assert peer.recv(10) == b""


async def test_connect_tcp_fails_when_there_is_no_listener() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        with pytest.raises(OSError, match="attempts to connect"):
            await connect_tcp("127.0.0.1", unused.getsockname()[1])


async def test_close_ends_waiting_tasks_and_every_later_use(pair: Pair) -> None:
    wire, _ = pair

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await wire.receive_some()

    async def send() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await wire.send_all(bytes(64 << 20))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        wire.close()
    wire.close()
    await wire.aclose()

    with pytest.raises(trio.ClosedResourceError):
        await wire.send_all(b"late")
    with pytest.raises(trio.ClosedResourceError):
        await wire.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        wire.receive_now()
    with pytest.raises(trio.ClosedResourceError):
        await wire.wait_send_all_might_not_block()
    assert wire.send_now(b"late") == 0


# --- TLS ------------------------------------------------------------------------------------------


@asynccontextmanager
async def tls_pair(
    authority: Authority,
) -> AsyncIterator[tuple[TlsWire, trio.SSLStream[SocketWire]]]:
    """Yield a wire after its handshake, and the server's stream."""
    own, peer = tcp_pair()
    context = ssl.create_default_context(cafile=authority.ca_file)
    tls = trio.SSLStream(SocketWire(own), context, server_hostname="localhost")
    server = trio.SSLStream(SocketWire(peer), authority.server_context, server_side=True)
    with own, peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            await tls.do_handshake()
        yield TlsWire(tls), server


async def test_tls_wire_carries_bytes_both_ways(authority: Authority) -> None:
    async with tls_pair(authority) as (wire, server):
        assert wire.send_now(b"one") == 0
        for word in (b"one", b"two"):
            wire.touched = False
            await wire.send_all(word)
            touched: bool = wire.touched
            assert touched
            await server.send_all(await server.receive_some())

            assert await wire.receive_some() == word
            assert not await wire.leftover()


async def test_tls_wire_has_leftover_when_two_records_were_read_at_once(
    authority: Authority,
) -> None:
    async with tls_pair(authority) as (wire, server):
        # Both records leave in one segment.
        corked = server.transport_stream.socket
        corked.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        await server.send_all(b"one")
        await server.send_all(b"two")
        corked.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        await until(wire.stale)

        assert await wire.receive_some() == b"one"
        assert not wire.stale()
        assert await wire.leftover()


async def test_tls_wire_fails_when_it_was_closed(authority: Authority) -> None:
    async with tls_pair(authority) as (wire, _):
        wire.close()
        wire.close()

        with pytest.raises(trio.ClosedResourceError):
            await wire.receive_some()
