from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from appliance.http.client import dial as dial
from appliance.http.client.dial import Dialer, Origin, open_ssl_context, parse_origin
from appliance.system.exhaustion import is_own_limit
from tests.doubles.descriptors import no_free_descriptors
from tests.doubles.raw_http import (
    Authority,
    Peer,
    answer,
    open_raw_server,
    says,
    until,
)


def entries(*addresses: str) -> Sequence[tuple[Any, ...]]:
    """Return a result of getaddrinfo, as far as the dialer reads it."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]


class HangingLookup:
    """A resolver that hangs for `slow…` names until it is released."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.release = threading.Event()

    def __call__(self, host: str, port: int) -> Sequence[tuple[Any, ...]]:
        self.calls.append(host)
        if host.startswith("slow"):
            self.release.wait(40)
        return entries("127.0.0.1")


@pytest.fixture
def hanging() -> Iterator[HangingLookup]:
    lookup = HangingLookup()
    yield lookup
    lookup.release.set()


@pytest.fixture
def blackhole() -> Iterator[int]:
    """A port on 127.0.0.2 whose accept queue is full: connecting there hangs."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
            fillers.append(filler)
        yield port
        for filler in fillers:
            filler.close()


def unused_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def dialer(lookup: Callable[[str, int], Sequence[tuple[Any, ...]]] | None = None) -> Dialer:
    return Dialer(open_ssl_context(), lookup)


@pytest.mark.parametrize(
    ("url", "origin", "host_header"),
    [
        ("http://a.example/x", Origin(False, "a.example", 80), b"a.example"),
        ("https://a.example", Origin(True, "a.example", 443), b"a.example"),
        ("http://a.example:443/", Origin(False, "a.example", 443), b"a.example:443"),
        ("https://A.Example:8443/", Origin(True, "a.example", 8443), b"a.example:8443"),
        ("http://[::1]:81/", Origin(False, "::1", 81), b"[::1]:81"),
        ("http://bücher.example/", Origin(False, "xn--bcher-kva.example", 80), None),
    ],
)
def test_origin_of_a_url_is_its_scheme_host_and_port(
    url: str, origin: Origin, host_header: bytes | None
) -> None:
    parsed = parse_origin(httpx.URL(url))

    assert parsed == origin
    assert host_header is None or parsed.host_header == host_header


@pytest.mark.parametrize("url", ["ftp://a.example/", "/path", "http:///path", "file:///etc/passwd"])
def test_url_that_cannot_be_called_is_refused(url: str) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        parse_origin(httpx.URL(url))


async def test_dial_fails_with_the_reason_when_refused() -> None:
    with pytest.raises(httpx.ConnectError, match=r"^cannot connect: Connection refused$"):
        await dialer().dial(Origin(False, "127.0.0.1", unused_port()))


async def test_dial_fails_when_every_address_refuses() -> None:
    origin = Origin(False, "all.example", unused_port())

    with pytest.raises(httpx.ConnectError, match="Connection refused"):
        await dialer(lambda _h, _p: entries("127.0.0.1", "127.0.0.2")).dial(origin)


async def test_dial_takes_the_next_address_when_one_refuses() -> None:
    async with open_raw_server(says(answer())) as server:
        origin = Origin(False, "two.example", server.port)
        wire = await dialer(lambda _h, _p: entries("127.0.0.2", "127.0.0.1")).dial(origin)
        wire.close()

        await until(lambda: server.connections == 1)


async def test_dial_takes_the_next_address_when_one_hangs(blackhole: int) -> None:
    (listener,) = await trio.open_tcp_listeners(blackhole, host="127.0.0.1")
    origin = Origin(False, "two.example", blackhole)

    wire = await dialer(lambda _h, _p: entries("127.0.0.2", "127.0.0.1")).dial(origin)
    accepted = await listener.accept()

    wire.close()
    await accepted.aclose()
    await listener.aclose()


async def test_dial_leaves_no_socket_when_cancelled(blackhole: int) -> None:
    before = open_sockets()

    with trio.move_on_after(0.05) as scope:
        await dialer(lambda _h, _p: entries("127.0.0.2", "127.0.0.2")).dial(
            Origin(False, "two.example", blackhole)
        )

    assert scope.cancelled_caught
    assert open_sockets() == before


def open_sockets() -> int:
    links = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(path.readlink()))
        except FileNotFoundError:
            continue
    return sum(link.startswith("socket:") for link in links)


async def test_lookup_failure_is_a_connect_error() -> None:
    def fails(_host: str, _port: int) -> Sequence[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(httpx.ConnectError, match=r"name look-up failed \(Name or service"):
        await dialer(fails).dial(Origin(False, "no.example", 80))


@pytest.mark.parametrize("error", [ValueError("odd name"), RuntimeError("bug")])
async def test_lookup_that_raises_anything_is_a_connect_error(error: Exception) -> None:
    def fails(_host: str, _port: int) -> Sequence[tuple[Any, ...]]:
        raise error

    with pytest.raises(httpx.ConnectError, match=type(error).__name__):
        await dialer(fails).dial(Origin(False, "odd.example", 80))


async def test_lookup_that_fails_for_lack_of_descriptors_is_our_own_limit() -> None:
    def lookup(host: str, port: int) -> Sequence[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    origin = Origin(False, "a.example", 80)
    with no_free_descriptors(), pytest.raises(httpx.ConnectError, match="open files") as caught:
        await dialer(lookup).dial(origin)
    assert is_own_limit(caught.value)
    with pytest.raises(httpx.ConnectError, match="not known") as caught:
        await dialer(lookup).dial(origin)
    assert not is_own_limit(caught.value)


async def test_lookup_without_an_address_is_a_connect_error() -> None:
    with pytest.raises(httpx.ConnectError, match="no address"):
        await dialer(lambda _h, _p: []).dial(Origin(False, "empty.example", 80))


async def test_hanging_lookup_ends_with_the_callers_deadline(hanging: HangingLookup) -> None:
    with trio.move_on_after(0.05) as scope:
        await dialer(hanging).dial(Origin(False, "slow.example", 80))

    assert scope.cancelled_caught


async def test_hanging_lookup_uses_one_thread_for_many_callers(
    hanging: HangingLookup,
) -> None:
    subject = dialer(hanging)
    for _ in range(3):
        with trio.move_on_after(0.02):
            async with trio.open_nursery() as nursery:
                for _ in range(30):
                    nursery.start_soon(subject.dial, Origin(False, "slow.example", 80))

    assert hanging.calls == ["slow.example"]
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0


async def test_hanging_lookup_does_not_delay_another_name(hanging: HangingLookup) -> None:
    subject = dialer(hanging)
    async with open_raw_server(says(answer())) as server, trio.open_nursery() as nursery:
        nursery.start_soon(subject.dial, Origin(False, "slow.example", server.port))
        await until(lambda: hanging.calls)

        wire = await subject.dial(Origin(False, "quick.example", server.port))

        wire.close()
        nursery.cancel_scope.cancel()


async def test_name_is_looked_up_again_after_a_hanging_lookup_ended(
    hanging: HangingLookup,
) -> None:
    subject = dialer(hanging)
    async with open_raw_server(says(answer())) as server:
        origin = Origin(False, "slow.example", server.port)
        with trio.move_on_after(0.02):
            await subject.dial(origin)
        hanging.release.set()

        (await subject.dial(origin)).close()
        (await subject.dial(origin)).close()

    assert len(hanging.calls) in (2, 3)  # the second dial may still find the first look-up


async def test_lookups_beyond_the_limit_fail_at_once(
    hanging: HangingLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "MAX_LOOKUPS", 2)
    subject = dialer(hanging)
    async with trio.open_nursery() as nursery:
        for name in ("slow1.example", "slow2.example"):
            nursery.start_soon(subject.dial, Origin(False, name, 80))
        await until(lambda: len(hanging.calls) == 2)

        with pytest.raises(httpx.ConnectError, match="too many name look-ups"):
            await subject.dial(Origin(False, "slow3.example", 80))
        nursery.cancel_scope.cancel()


async def test_lookup_that_outlives_the_run_is_forgotten(hanging: HangingLookup) -> None:
    finished = threading.Event()

    def run() -> None:
        async def dial_briefly() -> None:
            with trio.move_on_after(0.02):
                await dialer(hanging).dial(Origin(False, "slow.example", 80))

        trio.run(dial_briefly)
        finished.set()

    await trio.to_thread.run_sync(run)

    assert finished.is_set()


async def test_tls_trusts_a_ca_of_the_given_file(authority: Authority) -> None:
    async with open_raw_server(echo, tls=authority.server_context) as server:
        wire = await Dialer(open_ssl_context(authority.ca_file)).dial(server.origin)
        await wire.send_all(b"hello")

        assert await wire.receive_some() == b"hello"
        wire.close()


@pytest.mark.parametrize(
    ("host", "own_ca", "reason"),
    [
        ("127.0.0.1", True, "IP address mismatch"),
        ("wrong.example", True, "Hostname mismatch"),
        ("localhost", False, "unable to get local issuer certificate"),
    ],
)
async def test_tls_refuses_what_it_cannot_verify(
    authority: Authority, host: str, own_ca: bool, reason: str
) -> None:
    context = open_ssl_context(authority.ca_file if own_ca else None)
    subject = Dialer(context, lambda _h, _p: entries("127.0.0.1"))
    async with open_raw_server(echo, tls=authority.server_context) as server:
        before = open_sockets()

        with pytest.raises(httpx.ConnectError, match=f"TLS handshake failed: .*{reason}"):
            await subject.dial(Origin(True, host, server.port))

        await until(lambda: server.open_connections == 0)
        await until(lambda: open_sockets() == before)


async def test_tls_fails_when_the_server_speaks_no_tls() -> None:
    async with open_raw_server(speaks_first) as server:
        with pytest.raises(httpx.ConnectError, match="TLS handshake failed"):
            await dialer().dial(Origin(True, "127.0.0.1", server.port))


async def test_tls_handshake_that_hangs_ends_with_the_callers_deadline() -> None:
    subject = dialer()  # loading the authorities may take longer than the deadline
    async with open_raw_server(silent) as server:
        with trio.move_on_after(0.5) as scope:
            await subject.dial(Origin(True, "127.0.0.1", server.port))

        assert scope.cancelled_caught
        await until(lambda: server.connections == 1 and server.open_connections == 0)


def test_ssl_context_of_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")

    with pytest.raises(OSError):  # noqa: PT011 - ssl.SSLError is one
        open_ssl_context(str(tmp_path / "empty.pem"))


async def echo(peer: Peer) -> None:
    while data := await peer.stream.receive_some():
        await peer.send(bytes(data))


async def speaks_first(peer: Peer) -> None:
    await peer.send(b"220 this is not TLS\r\n")
    await silent(peer)


async def silent(peer: Peer) -> None:
    while await peer.stream.receive_some(65536):
        pass
