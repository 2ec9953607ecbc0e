"""A TCP proxy in front of an S3 server that fails as told: it answers for it, hangs or cuts off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>told to</Message></Error>'


@dataclass
class FaultyProxy:
    """The proxy; `fault` is what the next requests meet."""

    url: str
    fault: str = ""
    """'': none; `503 SlowDown`: an answer with this status and code; `PUT 503 SlowDown`: to PUT
    only; `storm`: every second request gets 503; `hang`; `cut`: the connection ends after 100 kB
    of a request; `slow`: 1 MB/s; `change`: the word `intact` becomes `broken`."""
    requests: int = 0
    """Requests that met a fault."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, client: socket.socket, target: tuple[str, int]) -> None:
        """Pass one connection on until a fault."""
        with client, socket.create_connection(target) as server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            with suppress(OSError):
                passed = 0
                while data := client.recv(65536):
                    passed += len(data)
                    if self._strikes(client, data, passed):
                        break
                    if self.fault == "change":
                        data = data.replace(b"intact", b"broken")
                    server.sendall(data)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            back.join()

    def _strikes(self, client: socket.socket, data: bytes, passed: int) -> bool:
        """Do what the fault does to some bytes; return whether the connection ends.

        passed: bytes of the connection so far.
        """
        fault = self.fault
        method, _, answer = fault.partition(" ")
        if fault in ("", "change") or (method == "PUT" and not data.startswith(b"PUT ")):
            return False
        if fault == "slow":
            threading.Event().wait(len(data) / 1e6)
            return False
        if fault == "cut" and passed <= 100_000:
            return False
        with self._lock:
            self.requests += 1
            odd = self.requests % 2
        if fault == "storm":
            if not odd or not data.startswith((b"PUT ", b"POST ", b"GET ", b"DELETE ")):
                return False
            fault = "503 SlowDown"
        while fault == "hang" == self.fault:
            threading.Event().wait(0.05)
        if fault not in ("cut", "hang"):
            self._refuse(client, *(answer if method == "PUT" else fault).split(" ", 1))
        return True

    def _refuse(self, client: socket.socket, status: str, code: str) -> None:
        body = _ERROR.format(code).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with suppress(OSError):
            client.sendall(head.encode() + body)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def faulty_proxy(url: str) -> Iterator[FaultyProxy]:
    """Serve a proxy in front of the server at a URL."""
    parts = urlsplit(url)
    target = (parts.hostname or "", parts.port or 80)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = FaultyProxy(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=proxy.serve, args=(client, target), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.fault = ""
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
