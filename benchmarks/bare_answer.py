"""A bare answer with Trio and h11, the unit in which the CPU time of calls is given.

    python -m benchmarks.bare_answer

is a server that answers each request with the same few bytes; it prints its port, and ends with its
stdin. The CPU time of an answer depends on the machine and on its day, as do the calls that are
compared with it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h11
import trio

from benchmarks.load_generator import Job
from benchmarks.many_servers import HOST
from benchmarks.measuring import Generator
from benchmarks.pool import SECRET, PoolError

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 16
RECEIVE_BYTES = 64 * 1024
BODY = b"<response><returncode>SUCCESS</returncode><version>2.0</version></response>"
_HEADERS = [("Content-Type", "text/xml"), ("Content-Length", str(len(BODY)))]


def measure_bare_answer(generator: Generator, seconds: float = 2.0) -> float:
    """Return the CPU time of a bare answer in ms. Raises PoolError: it cannot be measured."""
    with _run_server() as (pid, port):
        report = generator.do(
            Job(
                scenario="index",
                host=HOST,
                port=port,
                connections=CONNECTIONS,
                warm_up_s=min(0.3, seconds / 4),
                seconds=seconds,
                secret=SECRET,
                meetings=["none"],
                label="bare",
                pids={"bare": pid},
            )
        )
    if report.errors or not report.requests:
        raise PoolError(f"bare answers: {report.errors} errors {report.samples}")
    return report.cpu_s["bare"] * 1000 / report.requests


@contextlib.contextmanager
def _run_server() -> Iterator[tuple[int, int]]:
    """Run the server; yield its process id and its port. Raises PoolError: it did not start."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare_answer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise PoolError("the server of bare answers has ended")
            yield process.pid, int(line)
        finally:
            process.stdin.close()


async def _answer(stream: trio.SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    async with stream:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(RECEIVE_BYTES))
            elif isinstance(event, h11.EndOfMessage):
                await stream.send_all(
                    (connection.send(h11.Response(status_code=200, headers=_HEADERS)) or b"")
                    + (connection.send(h11.Data(data=BODY)) or b"")
                    + (connection.send(h11.EndOfMessage()) or b"")
                )
                connection.start_next_cycle()
            elif isinstance(event, h11.ConnectionClosed):
                return


async def _serve() -> None:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host=HOST)
        nursery.start_soon(trio.serve_listeners, _answer, listeners)
        print(listeners[0].socket.getsockname()[1], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_serve)
