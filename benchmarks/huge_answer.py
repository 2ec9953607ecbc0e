"""Latency of the index, and memory, while one server of the pool lists 50 MB of meetings.

    python benchmarks/huge_answer.py [--wait 60] [--program PATH]

Two lists, each polled several times: 400,000 small meetings, which is over MAX_MEETINGS_PER_SERVER,
and 4,900 large ones. A minute later the appliance should have at most 1.3 times the memory that it
had before. A missed target fails nothing: machines differ.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: benchmarks and tests are found from the root
    sys.path[0] = str(ROOT)

from benchmarks.figures import Measurement  # noqa: E402
from benchmarks.measuring import Generator, Meter  # noqa: E402
from benchmarks.pool import HOST, Build, Pool, PoolError, run_pool  # noqa: E402
from benchmarks.process_figures import rss_mb  # noqa: E402
from benchmarks.report import render_table  # noqa: E402

LISTS = {"400,000 meetings": (400_000, 0), "4,900 large meetings": (4_900, 10_000)}
POLLS = 4
CONNECTIONS, RATE, SECONDS, WARM_UP_S = 4, 200.0, 10.0, 1.0
TARGET_RATIO = 1.3
SECRET = "secret-of-the-huge-server"


def main(arguments: Sequence[str]) -> int:
    """Measure each list in a pool of its own, and print what it did to latency and memory."""
    options = _parse(arguments)
    rows = [["list", "p50 ms", "p99 ms", "worst RSS MB", "RSS before", "RSS after", "ratio"]]
    for name, (meetings, size) in LISTS.items():
        rows += _measure(Build("this", options.program), name, meetings, size, options.wait)
    print(render_table(rows))
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wait", type=float, default=60.0, help="seconds until RSS after is read")
    parser.add_argument(
        "--program", type=Path, default=Path(sys.executable).with_name("scalelite-appliance")
    )
    return parser.parse_args(arguments)


def _measure(build: Build, name: str, meetings: int, size: int, wait_s: float) -> list[list[str]]:
    with (
        run_pool(build, callbacks=False) as pool,
        Generator() as generator,
        _huge_server(meetings, size) as port,
    ):
        meter = Meter(pool, generator)
        quiet, before = _index(meter), rss_mb(pool.pid)
        url = f"http://{HOST}:{port}/bigbluebutton/api"
        with contextlib.suppress(PoolError):  # it does not come online with too long a list
            pool.ctl("servers", "add", url, SECRET, "--id", "huge", "--enable")
        with _polled(pool) as peak:
            busy = _index(meter)
        time.sleep(wait_s)
        after = rss_mb(pool.pid)
        row = [f"{busy.latency(0.5):.2f}", f"{busy.latency(0.99):.2f}", f"{max(peak):.0f}"]
        return [
            ["none", f"{quiet.latency(0.5):.2f}", f"{quiet.latency(0.99):.2f}", "", "", "", ""],
            [name, *row, f"{before:.0f}", f"{after:.0f}", f"{after / before:.2f}"],
        ]


def _index(meter: Meter) -> Measurement:
    return meter.measure("index", CONNECTIONS, SECONDS, WARM_UP_S, RATE)


@contextlib.contextmanager
def _polled(pool: Pool) -> Iterator[list[float]]:
    """Poll the pool several times while the block runs; yield the memory in MB at each moment."""
    peak, stop = [0.0], threading.Event()

    def poll() -> None:
        for _ in range(POLLS):
            if stop.is_set():
                return
            with contextlib.suppress(PoolError):  # its exit code says that a server failed
                pool.ctl("poll")

    def watch() -> None:
        while not stop.wait(0.02):
            peak.append(rss_mb(pool.pid))

    threads = [threading.Thread(target=work) for work in (poll, watch)]
    for thread in threads:
        thread.start()
    try:
        yield peak
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def _huge_server(meetings: int, size: int) -> Iterator[int]:
    """Run a server that lists so many meetings with so many bytes each; yield its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, meetings, size), daemon=True)
    server.start()
    try:
        yield ours.recv()
    finally:
        server.kill()
        server.join()


def _serve(ready: Connection, meetings: int, size: int) -> None:
    filler = "x" * size
    listed = "".join(
        f"<meeting><meetingID>huge-{number}</meetingID><createTime>1700000000000</createTime>"
        f"<participantCount>1</participantCount><welcome>{filler}</welcome></meeting>"
        for number in range(meetings)
    )
    head = "<response><returncode>SUCCESS</returncode>"
    body = f"{head}<meetings>{listed}</meetings></response>".encode()
    index = f"{head}<version>2.0</version></response>".encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = body if "getMeetings" in self.path else index
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the appliance gives up a long list
                self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Handler) as server:
        ready.send(server.server_port)
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
