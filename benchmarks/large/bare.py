"""The unit in which machines are compared: a bare answer of Trio and h11.

    python -m benchmarks.large.bare

is a server that answers each request with the same few bytes, with nothing but those two
libraries; it prints its port, and ends when its stdin does. On the machine of the first table in
docs/performance.md an answer took UNIT_US.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h11
import trio

from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.load_generator import Job
from benchmarks.measuring import Generator
from benchmarks.pool import HOST

ROOT = Path(__file__).resolve().parents[2]
UNIT_US = 61.0
CONNECTIONS = 16
BODY = b"<response><returncode>SUCCESS</returncode><version>2.0</version></response>"
HEADERS = [("Content-Type", "text/xml"), ("Content-Length", str(len(BODY)))]


@scenario("bare", "a bare answer of Trio and h11")
def measure_bare(setting: Setting) -> Iterator[Figure]:
    """Yield its CPU time, and how slow the machine is."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.large.bare"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        job = Job(
            scenario="index",
            host=HOST,
            port=port,
            connections=CONNECTIONS,
            warm_up_s=0.5,
            seconds=0.5 if setting.quick else 4.0,
            secret="",
            meetings=["none"],
            label="bare",
            pids={"server": server.pid},
        )
        with Generator() as generator:
            report = generator.do(job)
        assert not report.errors, report.samples
        taken_us = report.cpu_s["server"] / report.requests * 1e6
        yield Figure("CPU of an answer", taken_us, "µs")
        yield Figure(f"against {UNIT_US:.0f} µs", taken_us / UNIT_US, "times")


async def answer(stream: trio.SocketStream) -> None:
    """Answer the requests of a connection until it ends."""
    http = h11.Connection(h11.SERVER)
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await stream.receive_some(16 * 1024))
        elif isinstance(event, h11.EndOfMessage):
            parts = (
                http.send(h11.Response(status_code=200, headers=HEADERS)),
                http.send(h11.Data(data=BODY)),
                http.send(h11.EndOfMessage()),
            )
            await stream.send_all(b"".join(part or b"" for part in parts))
            http.start_next_cycle()
        elif not isinstance(event, h11.Request):
            return


async def serve() -> None:
    """Answer until stdin ends."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host=HOST))
        print(listener.socket.getsockname()[1], flush=True)
        await trio.lowlevel.wait_readable(sys.stdin)
        os._exit(0)


if __name__ == "__main__":
    trio.run(serve)
