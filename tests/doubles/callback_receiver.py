"""A receiver of callbacks: an HTTP server whose behaviour is chosen by the URL.

`/status/503` answers with that status, `/redirect/302?LOCATION` redirects, `/hang` never answers,
`/endless` and `/drip` never end, `/huge` announces a terabyte, `/drop` disconnects, `/garbage` does
not answer in HTTP, `/zip` compresses. Other paths are answered by `answer`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

import h11
import trio

from tests.doubles.bbb_process import until

WITHIN_S = 40.0


@dataclass(frozen=True, slots=True)
class Received:
    """A received request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def token(self) -> str:
        """Return the value of `signed_parameters`."""
        (token,) = parse_qs(self.body.decode(), strict_parsing=True)["signed_parameters"]
        return token


@dataclass(slots=True)
class CallbackReceiver:
    """The server, with the requests that it has received."""

    answer: Callable[[Received], int] = lambda _: 200
    received: list[Received] = field(default_factory=list)
    port: int = 0
    hang_first: bool = False
    """Never answer the very first request."""
    under_way: int = 0
    most_under_way: int = 0

    def url(self, path: str) -> str:
        """Return a URL of this receiver."""
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        """Return the requests to a path."""
        return [one for one in self.received if one.target.partition("?")[0] == path]

    async def wait(self, count: int) -> list[Received]:
        """Wait until `count` requests have been received, and return all."""
        await until(lambda: len(self.received) >= count, WITHIN_S)
        return self.received

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve while the block runs; afterwards connections are refused."""
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, self._serve, self.port)
            self.port = listeners[0].socket.getsockname()[1]
            yield
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            async with stream:
                while await self._exchange(stream):
                    pass
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            pass  # the sender has disconnected
        finally:
            self.under_way -= 1

    async def _exchange(self, stream: trio.SocketStream) -> bool:
        http = h11.Connection(h11.SERVER)
        request, body = None, b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        headers = {name.decode(): value.decode() for name, value in request.headers}
        target = request.target.decode()
        one = Received(request.method.decode(), target, headers, body, trio.current_time())
        self.received.append(one)
        return await self._respond(stream, one)

    async def _respond(self, stream: trio.SocketStream, one: Received) -> bool:
        path, _, query = one.target.partition("?")
        word, number = [*path.split("/"), ""][1:3]
        if word == "hang" or (self.hang_first and len(self.received) == 1):
            await trio.sleep_forever()
        if word == "drop":
            return False
        if word == "garbage":
            await stream.send_all(b"SSH-2.0-x\r\n")
            return False
        head = {
            "status": f"HTTP/1.1 {number} x\r\nContent-Length: 2\r\n\r\nok",
            "redirect": f"HTTP/1.1 {number} x\r\nLocation: {unquote(query)}\r\n"
            "Content-Length: 0\r\n\r\n",
            "endless": "HTTP/1.1 200 x\r\n\r\n",
            "drip": "HTTP/1.1 200 x\r\n\r\n",
            "huge": "HTTP/1.1 200 x\r\nContent-Length: 1000000000000\r\n\r\n",
            "zip": "HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        }.get(word) or f"HTTP/1.1 {self.answer(one)} x\r\nContent-Length: 0\r\n\r\n"
        await stream.send_all(head.encode())
        while word == "endless":
            await stream.send_all(b"x" * 65536)
        while word == "drip":
            await stream.send_all(b"x")
            await trio.sleep(0.01)
        return word != "huge"


@asynccontextmanager
async def open_receiver(
    answer: Callable[[Received], int] = lambda _: 200,
) -> AsyncIterator[CallbackReceiver]:
    """Give a running receiver."""
    receiver = CallbackReceiver(answer)
    async with receiver.serving():
        yield receiver
