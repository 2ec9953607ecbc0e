"""Start and control simulated BBB servers as processes.

Control calls are synchronous: they take about a millisecond, and the server never waits for the
caller's event loop, so async tests call them directly. Functions that wait longer are async
(`until_called`) or use threads (`open_bbb_servers`).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trio

from tests.doubles.ports import free_port
from tests.doubles.signing import ParamsLike, sign_url

SCRIPT = Path(__file__).with_name("bbb_server.py")
START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 20.0
CONTROL_TIMEOUT_S = 40.0
POLL_INTERVAL_S = 0.02

Json = dict[str, Any]


class BbbProcess:
    """A simulated server, used with start() and stop(), or `with BbbProcess(...) as server:`."""

    def __init__(
        self,
        *,
        secret: str | None = None,
        port: int = 0,
        version: str = "3.0.10",
        server_id: str = "",
        public_url: str = "",
        log_size: int = 10_000,
        callbacks: bool = True,
    ) -> None:
        self.secret = secret or secrets.token_hex(20)
        self.port = port
        """0 until started; restart() keeps it."""
        self.version = version
        self.server_id = server_id
        self._public_url = public_url
        self._log_size = log_size
        self._callbacks = callbacks
        self._control_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<BbbProcess {self.server_id or self.port} pid={self.pid}>"

    @property
    def url(self) -> str:
        """Return the API endpoint without a trailing slash."""
        return f"http://127.0.0.1:{self.port}/bigbluebutton/api"

    @property
    def pid(self) -> int | None:
        """Return the process id, None if it is not running."""
        return None if self._process is None else self._process.pid

    def sign(self, call: str, params: ParamsLike = "", algorithm: str = "sha256") -> str:
        """Return a signed URL of a call to this server."""
        return sign_url(self.url, call, params, self.secret, algorithm)

    # -- the process -----------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the server and wait until it listens, about 0.2 s. Raises RuntimeError."""
        arguments = {
            "--port": str(self.port or free_port()),
            "--secret": self.secret,
            "--version": self.version,
            "--id": self.server_id,
            "--public-url": self._public_url,
            "--log-size": str(self._log_size),
        }
        command = [sys.executable, str(SCRIPT), "--with-parent"]
        if threading.current_thread() is threading.main_thread():
            # Ends a paused server, too, if pytest is killed. Bound to the starting thread.
            command.append("--die-with-thread")
        if not self._callbacks:
            command.append("--no-callbacks")
        for name, value in arguments.items():
            command.append(f"{name}={value}")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
        )
        ports = json.loads(self._first_line())
        self.port = ports["port"]
        self._control_port = ports["control_port"]
        return self

    def _first_line(self) -> bytes:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(START_TIMEOUT_S) else b""
        if not line:
            self.kill()
            raise RuntimeError("the simulated BBB server did not start")
        return line

    def stop(self) -> None:
        """Stop the server with SIGTERM, if it is running."""
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
        self._reap(process)

    def kill(self) -> None:
        """Kill the server with SIGKILL; the kernel closes its connections."""
        process = self._process
        if process is None:
            return
        process.kill()
        self._reap(process)

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        process.wait(STOP_TIMEOUT_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def restart(self) -> Self:
        """Kill the server and start it on the same port, without its meetings and faults."""
        self.kill()
        return self.start()

    def pause(self) -> None:
        """Stop the process (SIGSTOP): the kernel accepts connections, but nothing reads them."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a paused process."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # -- control calls -----------------------------------------------------------------------------

    def control(self, verb: str, body: Json | None = None) -> Any:
        """Make a control call and return its JSON. Raises RuntimeError: refused."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._control_port, timeout=CONTROL_TIMEOUT_S
        )
        try:
            connection.request("POST", f"/control/{verb}", json.dumps(body or {}))
            answer = connection.getresponse()
            content = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"control call {verb}: {content['error']}")
        return content

    def meetings(self) -> dict[str, Json]:
        """Return the meetings by meetingID, with the fields of bbb_state.Meeting and `running`."""
        return {meeting["id"]: meeting for meeting in self.control("state")["meetings"]}

    def requests(self, call: str | None = None) -> list[Json]:
        """Return the requests received, oldest first.

        Fields: call ("index", "create", ...; None if not of the API), method, path, query (raw),
        headers, received_s, body_size, body_sha256, body_start (at most 4 KiB).
        """
        answer: list[Json] = self.control("requests", {"call": call})
        return answer

    def clear_requests(self) -> None:
        """Forget the recorded requests and callbacks."""
        self.control("clear_requests")

    def callbacks(self) -> list[Json]:
        """Return the outgoing calls: meetingID, url, method, sent_s, status or error."""
        answer: list[Json] = self.control("callbacks")
        return answer

    def create_meeting(self, meeting_id: str, **params: str) -> Json:
        """Create a meeting without an API call; `params` are those of create."""
        answer: Json = self.control("create_meeting", {"meetingID": meeting_id, **params})
        return answer

    def set_users(self, meeting_id: str, *, listed: bool = False, **counts: int) -> Json:
        """Set participants, moderators, listeners, voice, videos; `listed`: and attendees."""
        body: Json = {"meetingID": meeting_id, "listed": listed, **counts}
        answer: Json = self.control("set_users", body)
        return answer

    def end_meeting(self, meeting_id: str, *, callback: bool = True, marks: bool = False) -> None:
        """End a meeting as if its last user had left, and call its meetingEndedURL.

        `marks`: a moderator has marked parts for recording.
        """
        body = {"meetingID": meeting_id, "callback": callback, "marks": marks}
        self.control("end_meeting", body)

    def hooks(self) -> list[Json]:
        """Return the registered web hooks: id, url, meeting_id, event_ids, raw."""
        answer: list[Json] = self.control("hooks")
        return answer

    def forget_hooks(self) -> None:
        """Delete all web hooks."""
        self.control("forget_hooks")

    def forget_meetings(self) -> None:
        """Delete all meetings without ending them."""
        self.control("forget_meetings")

    def reset(self) -> None:
        """Reset it: no faults, meetings, hooks, requests and callbacks."""
        self.control("reset")

    def drop_connections(self) -> None:
        """Reset all open API connections."""
        self.control("drop_connections")

    def add_fault(self, kind: str, call: str = "*", **options: Any) -> None:
        """Inject a fault; `options` are the fields of bbb_faults.Fault (times, executed, ...)."""
        self.control("faults", {"faults": [{"kind": kind, "call": call, **options}]})

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.control("clear_faults")

    @contextlib.contextmanager
    def fault(self, kind: str, call: str = "*", **options: Any) -> Iterator[None]:
        """Inject a fault while the block runs; at its end all faults are removed."""
        self.add_fault(kind, call, **options)
        try:
            yield
        finally:
            self.clear_faults()

    async def until_called(self, call: str, count: int = 1, within_s: float = 40) -> list[Json]:
        """Wait until `call` has been received `count` times; return its requests.

        Raises TimeoutError.
        """
        await until(lambda: len(self.requests(call)) >= count, within_s, f"{count} x {call}")
        return self.requests(call)


async def until(condition: Callable[[], bool], within_s: float, what: str = "condition") -> None:
    """Poll a condition until it is true. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s} s: {what}")
        await trio.sleep(POLL_INTERVAL_S)


@contextlib.contextmanager
def bbb_servers(count: int, **options: Any) -> Iterator[list[BbbProcess]]:
    """Run `count` servers (bbb-1, bbb-2, ...); `options` are those of BbbProcess."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(BbbProcess(server_id=f"bbb-{number}", **options))
            for number in range(1, count + 1)
        ]


@contextlib.asynccontextmanager
async def open_bbb_servers(count: int, **options: Any) -> AsyncIterator[list[BbbProcess]]:
    """Run `count` servers, started and stopped concurrently in threads."""
    servers = [BbbProcess(server_id=f"bbb-{number}", **options) for number in range(1, count + 1)]
    try:
        async with trio.open_nursery() as nursery:
            for server in servers:
                nursery.start_soon(trio.to_thread.run_sync, server.start)
        yield servers
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 2 * STOP_TIMEOUT_S):
            async with trio.open_nursery() as nursery:
                for server in servers:
                    nursery.start_soon(trio.to_thread.run_sync, server.stop)
