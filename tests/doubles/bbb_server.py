"""A simulated BigBlueButton 3.0 server: an HTTP server in a process of its own.

    python tests/doubles/bbb_server.py --port 0 --secret S

prints `{"port": N, "control_port": M}` when it listens on 127.0.0.1 and runs until SIGTERM. The
API is at /bigbluebutton/api, a page in place of the client at /html5client/join, the control
interface (bbb_control) on its own port. Used by the tests, by `make run` and by the benchmarks.
Parts: bbb_http and bbb_connection (HTTP), bbb_api (calls), bbb_state (meetings), bbb_hooks,
bbb_callbacks, bbb_xml_answers, bbb_faults.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections import deque
from typing import Any

if __package__ in (None, ""):  # run as a script: make the sibling modules importable
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests.doubles.bbb_api import CLIENT_PATH, Api, call_name
from tests.doubles.bbb_callbacks import Outgoing, calls_at_end, calls_to_hooks
from tests.doubles.bbb_connection import Connection, Listener
from tests.doubles.bbb_control import SHOWN_BODY_BYTES, Control
from tests.doubles.bbb_faults import Faults
from tests.doubles.bbb_hooks import Hooks
from tests.doubles.bbb_http import Reply, Request
from tests.doubles.bbb_state import Meeting, State

CALLBACK_TIMEOUT_S = 40.0
PR_SET_PDEATHSIG = 1
NOT_FOUND = Reply(b"<html><body><h1>404 Not Found</h1></body></html>", "text/html", 404)


class BbbServer:
    """The application behind the API port: faults first, then the call."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.state = State()
        self.hooks = Hooks()
        self.pages: dict[str, Reply] = {}
        """What else it serves, by path; a path that ends with `*` stands for all below it."""
        self.log: deque[Request] = deque(maxlen=options.log_size)
        self.callbacks: list[dict[str, Any]] = []
        self.listener = Listener(options.port, self)
        self.faults = Faults(self.listener)
        base_url = options.public_url or f"http://127.0.0.1:{self.listener.port}"
        self.api = Api(
            self.state,
            options.secret,
            options.version,
            options.id or f"bbb-{self.listener.port}",
            base_url.rstrip("/"),
            self,
        )
        self._secret: str = options.secret
        self._calls_back: bool = not options.no_callbacks
        self._opener: Any = None
        """Created for the first call, since it takes milliseconds."""
        self._tasks: set[asyncio.Future[None]] = set()

    def handle_head(self, request: Request, connection: Connection) -> bool:
        """Apply faults that strike before the body."""
        call = call_name(request.path)
        if call is None or not self.faults.active:
            return False
        fault = self.faults.take(call, request, early=True)
        if fault is None:
            return False
        self.log.append(request)
        self.faults.strike(fault, request, connection, lambda: self.api.answer(call, request))
        return True

    def handle(self, request: Request, connection: Connection) -> None:
        """Answer one request."""
        self.log.append(request)
        call = call_name(request.path)
        if call is None:
            page = self.api.client_page(request) if request.path.endswith(CLIENT_PATH) else None
            connection.send((page or self._find_page(request.path)).encode())
            return
        fault = self.faults.take(call, request) if self.faults.active else None
        if fault is None:
            connection.send(self._answer(call, request).encode())
        else:
            self.faults.strike(fault, request, connection, lambda: self._answer(call, request))

    def _find_page(self, path: bytes) -> Reply:
        text = path.decode("latin-1")
        fallbacks = (key for key in self.pages if key[-1] == "*" and text.startswith(key[:-1]))
        return self.pages.get(text) or self.pages.get(next(fallbacks, ""), NOT_FOUND)

    def _answer(self, call: str, request: Request) -> Reply:
        reply = self.api.answer(call, request)
        if len(request.body) > SHOWN_BODY_BYTES:
            request.body = request.body[:SHOWN_BODY_BYTES]
        return reply

    def end_meeting(self, meeting: Meeting) -> None:
        """End a meeting and make its callbacks in the background."""
        self.state.end(meeting)
        if not meeting.is_breakout:
            self._send(calls_at_end(meeting, self._secret))
        self.send_event("meeting-ended", meeting)

    def send_event(self, event: str, meeting: Meeting) -> None:
        """Send an event to the web hooks."""
        if self.hooks.by_id:
            hooks, domain = list(self.hooks.by_id.values()), "127.0.0.1"
            self._send(calls_to_hooks(hooks, event, meeting, domain, self._secret))

    def _send(self, calls: list[Outgoing]) -> None:
        for call in calls if self._calls_back else ():
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(None, self._call_back, call)
            self._tasks.add(future)
            future.add_done_callback(self._tasks.discard)

    def _call_back(self, call: Outgoing) -> None:
        # Imported here: it takes half of the start-up time, and most processes never need it.
        import urllib.request

        if self._opener is None:
            self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        record: dict[str, Any] = {
            "meetingID": call.meeting_id,
            "url": call.url,
            "sent_s": time.time(),
            "method": "GET" if call.body is None else "POST",
        }
        try:
            request = urllib.request.Request(call.url, call.body, call.headers)
            # CallbackUrlService gets a URL twice: to resolve redirects, and to call it.
            for _ in range(2 if call.body is None else 1):
                with self._opener.open(request, timeout=CALLBACK_TIMEOUT_S) as answer:
                    record["status"] = answer.status
        except (OSError, ValueError) as error:
            record["error"] = f"{type(error).__name__}: {error}"
        self.callbacks.append(record)


def _parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A simulated BigBlueButton server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--version", default="3.0.10", help="bbbVersion of the index call")
    parser.add_argument("--id", default="", help="name shown on the client page")
    parser.add_argument("--public-url", default="", help="scheme://host[:port] of join redirects")
    parser.add_argument("--log-size", type=int, default=10_000, help="number of requests kept")
    parser.add_argument("--no-callbacks", action="store_true", help="make no outgoing calls")
    parser.add_argument("--with-parent", action="store_true", help="exit when stdin is closed")
    parser.add_argument(
        "--die-with-thread",
        action="store_true",
        help="have the kernel kill this process when the thread that started it ends",
    )
    return parser.parse_args(arguments)


def _die_with_parent_thread() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = BbbServer(options)
    control = Listener(
        options.control_port,
        Control(
            server.state,
            lambda: server.faults,
            lambda: server.listener,
            server.log,
            server.callbacks,
            server.end_meeting,
            server.hooks,
            server.pages,
        ),
    )
    server.listener.open()
    control.open()
    print(json.dumps({"port": server.listener.port, "control_port": control.port}), flush=True)
    if options.with_parent:
        loop.add_reader(0, lambda: stopped.set() if not os.read(0, 4096) else None)
    await stopped.wait()
    server.listener.close()
    control.close()


def main() -> None:
    """Run until SIGTERM, SIGINT or, with --with-parent, the end of stdin."""
    options = _parse_options(sys.argv[1:])
    if options.die_with_thread:
        _die_with_parent_thread()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    asyncio.run(_serve(options))
    # Without waiting for threads with hanging callbacks.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
