"""Latency of the index while others POST bodies of a mebibyte that consist of `a&` only.

    python benchmarks/flood.py [--seconds 10] [--connections 4] [--program PATH]

Nothing of such a request is signed, so none of it may cost much: the p99 of the index should at
most triple. Prints both and their ratio; a missed target fails nothing, since machines differ.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import multiprocessing.sharedctypes
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: benchmarks and tests are found from the root
    sys.path[0] = str(ROOT)

from benchmarks.figures import Measurement  # noqa: E402
from benchmarks.load_generator import RECEIVE_BYTES  # noqa: E402
from benchmarks.measuring import Generator, Meter  # noqa: E402
from benchmarks.pool import HOST, Build, run_pool  # noqa: E402
from benchmarks.report import render_table  # noqa: E402

BODY = b"a&" * 524_000
REQUEST = (
    b"POST /bigbluebutton/api/create HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(BODY)
)
INDEX_CONNECTIONS, INDEX_RATE = 4, 200.0
WARM_UP_S = 1.0
TARGET_RATIO = 3.0
LIMIT_S = 10.0


def main(arguments: Sequence[str]) -> int:
    """Measure without and with the flood, and print the ratio."""
    options = _parse(arguments)
    build = Build("this", options.program)
    with run_pool(build, callbacks=False) as pool, Generator() as generator:
        meter = Meter(pool, generator)
        quiet = _measure(meter, options.seconds)
        with flood(pool.port, options.connections) as posts:
            flooded = _measure(meter, options.seconds)
            rate = posts.value / (options.seconds + WARM_UP_S)
    print(_render(quiet, flooded, rate))
    ratio = flooded.latency(0.99) / quiet.latency(0.99)
    reached = "reached" if ratio <= TARGET_RATIO else "missed"
    print(f"\np99 with the flood / without: {ratio:.1f} (target {TARGET_RATIO:g}: {reached})")
    return 1 if quiet.errors or flooded.errors else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument(
        "--program", type=Path, default=Path(sys.executable).with_name("scalelite-appliance")
    )
    return parser.parse_args(arguments)


def _measure(meter: Meter, seconds: float) -> Measurement:
    return meter.measure("index", INDEX_CONNECTIONS, seconds, WARM_UP_S, INDEX_RATE)


def _render(quiet: Measurement, flooded: Measurement, rate: float) -> str:
    rows = [["index", "req/s", "p50 ms", "p95 ms", "p99 ms", "busy", "POSTs/s", "RSS MB"]]
    for name, figures, posts in (("without", quiet, 0.0), ("with", flooded, rate)):
        latencies = (f"{figures.latency(share):.2f}" for share in (0.5, 0.95, 0.99))
        busy, rss = f"{figures.busy:.0%}", f"{figures.rss_mb:.0f}"
        rows.append([name, f"{figures.rate:.0f}", *latencies, busy, f"{posts:.0f}", rss])
    return render_table(rows)


@contextlib.contextmanager
def flood(port: int, connections: int) -> Iterator[multiprocessing.sharedctypes.Synchronized[int]]:
    """POST from other processes while the block runs; yield the number of requests sent."""
    context = multiprocessing.get_context("spawn")
    sent = context.Value("i", 0)
    workers = [
        context.Process(target=_post_forever, args=(port, sent), daemon=True)
        for _ in range(connections)
    ]
    for worker in workers:
        worker.start()
    time.sleep(WARM_UP_S)
    try:
        yield sent
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def _post_forever(port: int, sent: multiprocessing.sharedctypes.Synchronized[int]) -> None:
    os.nice(19)  # an attacker elsewhere takes no CPU time from the appliance
    while True:
        # The server may answer and close before it has read the body.
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), LIMIT_S) as sock:
            sock.settimeout(LIMIT_S)
            with sent.get_lock():
                sent.value += 1
            with contextlib.suppress(OSError):
                sock.sendall(REQUEST + BODY)
            sock.recv(RECEIVE_BYTES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
