"""A server on the loopback that sends exactly the bytes of a test, with or without TLS.

It parses requests, counts connections and keeps the requests.
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h11
import trio

from appliance.http.client.dial import Origin

Handler = Callable[["Peer"], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """A complete request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class RawServer:
    """A running server with its requests and connections."""

    port: int
    connections: int = 0
    requests: list[Received] = field(default_factory=list)
    open_connections: int = 0
    tls: bool = False

    @property
    def origin(self) -> Origin:
        """Return the origin of the server."""
        return Origin(self.tls, "localhost" if self.tls else "127.0.0.1", self.port)

    @property
    def url(self) -> str:
        """Return the root URL without a trailing slash."""
        return f"{'https' if self.tls else 'http'}://{self.origin.host}:{self.port}"


class Peer:
    """A connection, as passed to a handler."""

    def __init__(self, stream: trio.abc.Stream, server: RawServer) -> None:
        self.stream = stream
        self.server = server
        self.number = server.connections
        self._h11 = h11.Connection(h11.SERVER, 256 * 1024)

    async def read(self) -> Received | None:
        """Read a request with its body; return None if the client closed."""
        if self._h11.our_state is not h11.IDLE:
            self._h11 = h11.Connection(h11.SERVER, 256 * 1024)
        request: h11.Request | None = None
        parts: list[bytes] = []
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(bytes(await self.stream.receive_some(65536)))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return None
        assert request is not None
        received = Received(
            request.method.decode(),
            request.target.decode(),
            {name.decode(): value.decode() for name, value in request.headers},
            b"".join(parts),
        )
        self.server.requests.append(received)
        self._h11 = h11.Connection(h11.SERVER, 256 * 1024)
        return received

    async def send(self, data: bytes) -> None:
        """Send bytes unchanged."""
        await self.stream.send_all(data)


def answer(body: bytes = b"ok", status: int = 200, headers: bytes = b"") -> bytes:
    """Render an answer with Content-Length."""
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 %d Status\r\n" % status + length + headers + b"\r\n" + body


def says(*answers: bytes, then_close: bool = False) -> Handler:
    """Return a handler that answers with `answers` in order, and repeats the last one."""

    async def handle(peer: Peer) -> None:
        left = list(answers)
        while await peer.read() is not None:
            await peer.send(left.pop(0) if len(left) > 1 else left[0])
            if then_close:
                return

    return handle


async def never_answers(peer: Peer) -> None:
    """Read requests without answering."""
    while await peer.read() is not None:
        pass


@asynccontextmanager
async def open_raw_server(
    handler: Handler, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Serve until the block ends; connections are then aborted."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    server = RawServer(listener.socket.getsockname()[1], tls=tls is not None)

    async def serve(tcp: trio.SocketStream) -> None:
        server.connections += 1
        server.open_connections += 1
        stream: trio.abc.Stream = tcp
        try:
            if tls is not None:
                stream = trio.SSLStream(tcp, tls, server_side=True, https_compatible=True)
            await handler(Peer(stream, server))
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            pass  # the client disconnected, as some tests intend
        finally:
            server.open_connections -= 1
            tcp.socket.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield server
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Poll a condition; the test's own deadline ends the wait."""
    while not condition():
        await trio.sleep(0.002)


@dataclass(frozen=True)
class Authority:
    """A private CA and a server certificate for `localhost` signed by it."""

    ca_file: str
    server_context: ssl.SSLContext
    certificate: str
    key: str


def make_authority(folder: Path) -> Authority:
    """Make certificates with openssl."""

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=40)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    # Python 3.13 verifies strictly by RFC 5280: a CA needs the key usage, a chain key identifiers.
    usage = ("-addext", "keyUsage=critical,keyCertSign", "-subj", "/CN=Test CA")
    (folder / "san.ext").write_text(
        "subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", *usage)
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    openssl(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-out", "server.pem", "-extfile", "san.ext"),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    certificate, key_file = str(folder / "server.pem"), str(folder / "server.key")
    return Authority(str(folder / "ca.pem"), context, certificate, key_file)
