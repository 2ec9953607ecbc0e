from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
import trio

from appliance.http.client.dial import Dialer, open_ssl_context
from appliance.system.wire import TcpWire
from tests.doubles.raw_http import Authority, Peer, open_raw_server, until


@pytest.fixture
def pair() -> Iterator[tuple[TcpWire, socket.socket]]:
    ours, theirs = _tcp_pair()
    with ours, theirs:
        ours.setblocking(False)
        yield TcpWire(ours), theirs


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        return ours, theirs


async def test_wire_is_not_stale_while_nothing_arrives(
    pair: tuple[TcpWire, socket.socket],
) -> None:
    wire, _ = pair

    assert not wire.stale()


async def test_wire_is_stale_when_the_peer_sent_unasked(
    pair: tuple[TcpWire, socket.socket],
) -> None:
    wire, peer = pair
    peer.sendall(b"x")

    await until(wire.stale)


async def test_wire_is_stale_when_the_peer_closed(pair: tuple[TcpWire, socket.socket]) -> None:
    wire, peer = pair
    peer.close()

    await until(wire.stale)


async def test_wire_is_touched_by_the_first_byte(pair: tuple[TcpWire, socket.socket]) -> None:
    wire, peer = pair
    before = wire.touched

    await wire.send_all(b"abc")

    assert (before, wire.touched) == (False, True)
    assert peer.recv(10) == b"abc"


async def test_wire_stays_untouched_when_the_peer_had_reset(
    pair: tuple[TcpWire, socket.socket],
) -> None:
    wire, peer = pair
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    await until(wire.stale)

    with pytest.raises(OSError):  # noqa: PT011 - ECONNRESET or EPIPE
        await wire.send_all(b"abc")

    assert not wire.touched


async def test_wire_sends_more_than_the_kernel_takes_at_once(
    pair: tuple[TcpWire, socket.socket],
) -> None:
    wire, peer = pair
    data = bytes(range(256)) * 20_000
    received = bytearray()

    def read_all() -> None:
        while len(received) < len(data):
            received.extend(peer.recv(1 << 20))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, read_all)
        await wire.send_all(data)

    assert received == data


async def test_wire_closes_twice_without_complaint(pair: tuple[TcpWire, socket.socket]) -> None:
    wire, _ = pair

    wire.close()
    wire.close()

    with pytest.raises((OSError, trio.ClosedResourceError)):
        await wire.send_all(b"x")


async def test_tls_wire_finds_a_second_record_that_was_read_with_the_first(
    authority: Authority,
) -> None:
    ready = trio.Event()

    async def handle(peer: Peer) -> None:
        tls = peer.stream
        assert isinstance(tls, trio.SSLStream)
        await tls.do_handshake()
        # Both records leave in one segment: encrypted by hand, then sent at once.
        corked = tls.transport_stream.socket
        corked.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        await tls.send_all(b"one")
        await tls.send_all(b"two")
        corked.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        ready.set()
        await trio.sleep_forever()

    dialer = Dialer(open_ssl_context(authority.ca_file))
    async with open_raw_server(handle, tls=authority.server_context) as server:
        wire = await dialer.dial(server.origin)
        await ready.wait()
        await until(wire.stale)

        assert await wire.receive_some() == b"one"
        assert not wire.stale()
        assert await wire.leftover()
        wire.close()


async def test_tls_wire_is_usable_after_looking_for_leftovers(authority: Authority) -> None:
    async def handle(peer: Peer) -> None:
        while data := await peer.stream.receive_some():
            await peer.send(bytes(data))

    dialer = Dialer(open_ssl_context(authority.ca_file))
    async with open_raw_server(handle, tls=authority.server_context) as server:
        wire = await dialer.dial(server.origin)
        wire.touched = False
        for word in (b"one", b"two"):
            await wire.send_all(word)
            assert await wire.receive_some() == word
            assert not await wire.leftover()

        assert wire.touched
        wire.close()
