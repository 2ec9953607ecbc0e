"""One server of a small pool lists 64 MiB of meetings, within MAX_MEETINGS_PER_SERVER or beyond."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import multiprocessing
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

from benchmarks.large.pools import LargePool, run_large_pool
from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.many_servers import HOST

LIST_BYTES = 64 << 20
WITHIN, BEYOND = 4_900, 400_000
"""Meetings; 5,000 are allowed."""
LIMIT_S = "60"
"""Seconds for a list of 64 MiB, beside which the machine has other work."""
SECRET = "secret-of-the-huge-server"


@scenario("list-within", "a server lists 64 MiB, 4,900 meetings")
def measure_within(setting: Setting) -> Iterator[Figure]:
    """Yield memory and latency of other calls while a long list is polled again and again."""
    yield from _measure(setting, setting.sized(WITHIN, 100))


@scenario("list-beyond", "a server lists 64 MiB, 400,000 meetings")
def measure_beyond(setting: Setting) -> Iterator[Figure]:
    """Yield the same of a list that is given up."""
    yield from _measure(setting, setting.sized(BEYOND, 6_000), "MAX_MEETINGS_PER_SERVER")


def _measure(setting: Setting, meetings: int, refused: str = "") -> Iterator[Figure]:
    """Yield the figures of polls that succeed, or of those that are `refused` with that text."""
    size = LIST_BYTES // (20 if setting.quick else 1) // meetings
    with (
        run_large_pool(
            setting,
            3,
            67,
            POLL_INTERVAL="10",
            RESPONSE_TIMEOUT=LIMIT_S,
            POLLER_WAIT_TIMEOUT=LIMIT_S,
        ) as pool,
        _huge_server(meetings, size) as port,
    ):
        pool.settle()
        before_mb = pool.rss_mb()
        yield Figure("memory before", before_mb, "MB")
        url = f"http://{HOST}:{port}/bigbluebutton/api"
        fields = {"id": "huge", "url": url, "secret": SECRET}
        pool.appliance.control.post("addServer", {"server": fields})
        with _peak(pool) as peak:
            beside = pool.source.beside(setting.window_s, lambda: _poll(pool, meetings, refused))
        yield Figure("memory at most", max(peak), "MB")
        yield Figure("one poll, beside the others", min(beside.took_s), "s")
        yield from beside.figures(3.0)
        yield from pool.pause("while it is polled all the time")
        yield from pool.memory_after(before_mb)


def _poll(pool: LargePool, meetings: int, refused: str) -> None:
    """Poll the server. Raises AssertionError: the poll did not end as it should."""
    poll = pool.appliance.control.post("enableServer", {"id": "huge"})["poll"]
    assert poll is not None, "the poll was not done in 5 s"
    if refused:
        assert refused in poll["reason"], poll
    else:
        assert (poll["reason"], poll["meetings"]) == ("", meetings), poll


@contextlib.contextmanager
def _peak(pool: LargePool) -> Iterator[list[float]]:
    """Yield the memory in MB at each moment of the block."""
    peak, stop = [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            peak.append(pool.rss_mb())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _huge_server(meetings: int, size: int) -> Iterator[int]:
    """Run a server that lists so many meetings with so many bytes each; yield its port."""
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    server = context.Process(target=_serve, args=(child, meetings, size), daemon=True)
    server.start()
    try:
        yield parent.recv()
    finally:
        server.kill()
        server.join()


def _make_list(head: str, meetings: int, size: int, users: int) -> bytes:
    start = f"<createTime>1700000000000</createTime><participantCount>{users}</participantCount>"
    frame = f"<meeting><meetingID>huge-123456</meetingID>{start}<welcome></welcome></meeting>"
    filler = "x" * max(size - len(frame), 0)
    elements = "".join(
        f"<meeting><meetingID>huge-{number:06}</meetingID>{start}<welcome>{filler}</welcome>"
        "</meeting>"
        for number in range(meetings)
    )
    return f"{head}<meetings>{elements}</meetings></response>".encode()


def _serve(ready: Connection, meetings: int, size: int) -> None:
    head = "<response><returncode>SUCCESS</returncode>"
    index = f"{head}<version>2.0</version></response>".encode()
    # A meeting that says what it said in the list before is not parsed again.
    lists = itertools.cycle([_make_list(head, meetings, size, users) for users in (1, 2)])

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the appliance has closed the connection

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = next(lists) if "getMeetings" in self.path else index
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the appliance gives up a long list
                self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            pass

    with Server((HOST, 0), Handler) as server:
        ready.send(server.server_port)
        server.serve_forever()
