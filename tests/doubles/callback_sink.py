"""A receiver of callbacks in a thread, for synchronous tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


class CallbackSink:
    """A server that answers every request with `status` and keeps the requests."""

    def __init__(self) -> None:
        self.status = 200
        self.received: list[tuple[str, str, bytes]] = []
        """Method, target, body."""
        self.heads: list[dict[str, str]] = []
        """Headers of the requests, with names in lower case."""
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                sink.heads.append({name.lower(): text for name, text in self.headers.items()})
                sink.received.append((self.command, self.path, self.rfile.read(length)))
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = _answer

            def log_message(self, *_args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        """Return a URL of this receiver."""
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def tokens(self, path: str) -> list[str]:
        """Return the `signed_parameters` of the requests to a path and query."""
        return [
            parse_qs(body.decode(), strict_parsing=True)["signed_parameters"][0]
            for method, target, body in list(self.received)
            if (method, target) == ("POST", path)
        ]


@contextmanager
def callback_sink() -> Iterator[CallbackSink]:
    """Give a receiver that runs while the block runs."""
    sink = CallbackSink()
    thread = threading.Thread(target=sink.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.server.shutdown()
        sink.server.server_close()
        thread.join(5)
