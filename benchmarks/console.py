"""What the console costs: 50 viewers of 200 servers, the first page of 2,000, and the other calls.

The pool is made up (tests/doubles/console_pool.py): each server is polled once a minute, and its
users change. CPU time is that of the serving process, which has nothing else to do. Figures are in
docs/performance.md.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script: its packages are found from the root

import trio  # noqa: E402

from tests.doubles.settings import SECRET  # noqa: E402
from tests.doubles.signing import sign_url  # noqa: E402

VIEWERS = 50
SERVERS, MANY_SERVERS = 200, 2000
MEASURE_S = 15.0
CALLS_PER_S = 100
PAGES = 20


@dataclass(frozen=True)
class Pool:
    """A served pool."""

    port: int
    token: str
    pid: int

    def cpu_s(self) -> float:
        """Return the CPU time that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def open_pool(count: int) -> Iterator[Pool]:
    """Serve a made-up pool in a process of its own."""
    command = [sys.executable, str(ROOT / "tests" / "doubles" / "console_pool.py"), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        yield Pool(found["port"], found["token"], process.pid)
        process.stdin.close()


async def ask(pool: Pool, head: str, body: bytes = b"") -> bytes:
    """Make a request on a connection of its own, and return the whole answer."""
    async with await trio.open_tcp_stream("127.0.0.1", pool.port) as stream:
        lines = [head, f"Host: 127.0.0.1:{pool.port}", "Connection: close"]
        await stream.send_all(("\r\n".join(lines) + "\r\n").encode() + body)
        answer = b""
        async for part in stream:
            answer += part
        return answer


async def log_in(pool: Pool) -> str:
    """Return the cookie of a new session."""
    form = urlencode({"token": pool.token}).encode()
    head = b"Content-Length: %d\r\n\r\n" % len(form)
    answer = await ask(pool, "POST /scalelite/ HTTP/1.1", head + form)
    found = re.search(rb"set-cookie: ([^;]+)", answer)
    assert found is not None
    return found[1].decode()


async def watch(pool: Pool, cookie: str, page: str, received: list[int]) -> None:
    """Follow the changes of a page, until cancelled."""
    async with await trio.open_tcp_stream("127.0.0.1", pool.port) as stream:
        head = f"GET /scalelite/stream?page={page} HTTP/1.1\r\nHost: 127.0.0.1:{pool.port}\r\n"
        await stream.send_all(f"{head}Cookie: {cookie}\r\n\r\n".encode())
        async for part in stream:
            received[0] += len(part)


async def measure_calls(pool: Pool) -> list[float]:
    """Make isMeetingRunning calls at a steady rate; return their times in ms, sorted."""
    base = f"http://127.0.0.1:{pool.port}/bigbluebutton/api"
    target = sign_url(base, "isMeetingRunning", {"meetingID": "none"}, SECRET).partition(base)[2]
    head = f"GET /bigbluebutton/api{target} HTTP/1.1\r\nHost: 127.0.0.1:{pool.port}\r\n\r\n"
    taken = []
    async with await trio.open_tcp_stream("127.0.0.1", pool.port) as stream:
        start_s = trio.current_time()
        for number in range(int(MEASURE_S * CALLS_PER_S)):
            await trio.sleep_until(start_s + number / CALLS_PER_S)
            began_s = time.perf_counter()
            await stream.send_all(head.encode())
            await stream.receive_some()
            taken.append((time.perf_counter() - began_s) * 1000)
    return sorted(taken)


async def measure_viewers(pool: Pool) -> dict[str, float]:
    """Measure the process with and without viewers."""
    cookie, received = await log_in(pool), [0]
    before = await _measure(pool)
    async with trio.open_nursery() as nursery:
        for number in range(VIEWERS):
            page = "overview" if number % 2 else "servers"
            nursery.start_soon(watch, pool, cookie, page, received)
        await trio.sleep(3)
        first = received[0]
        during = await _measure(pool)
        more = received[0] - first
        nursery.cancel_scope.cancel()
    return {
        "cpu_percent_without": round(before[0], 1),
        "cpu_percent_of_viewers": round(during[0] - before[0], 1),
        "bytes_per_viewer_and_s": round(more / VIEWERS / MEASURE_S),
        "p99_ms_without": round(before[1], 2),
        "p99_ms_with": round(during[1], 2),
    }


async def _measure(pool: Pool) -> tuple[float, float]:
    """Return percent of a core, and the p99 of calls in ms, over MEASURE_S."""
    began_s, used_s = time.monotonic(), pool.cpu_s()
    taken = await measure_calls(pool)
    percent = 100 * (pool.cpu_s() - used_s) / (time.monotonic() - began_s)
    return percent, taken[int(0.99 * len(taken))]


async def measure_pages(pool: Pool) -> dict[str, float]:
    """Measure the CPU time of pages that are loaded a second apart, so that none is shared."""
    cookie, found = await log_in(pool), {}
    for name, path in (("overview", ""), ("servers", "servers")):
        used_s = pool.cpu_s()
        for _ in range(PAGES):
            await ask(pool, f"GET /scalelite/{path} HTTP/1.1\r\nCookie: {cookie}", b"\r\n")
            await trio.sleep(1.1)
        cost_s = pool.cpu_s() - used_s
        found[f"cpu_ms_{name}"] = round(1000 * cost_s / PAGES, 1)
    return found


def main() -> None:
    """Measure and print everything as JSON."""
    with open_pool(SERVERS) as pool:
        print(json.dumps({"servers": SERVERS, **trio.run(measure_viewers, pool)}))
    with open_pool(MANY_SERVERS) as pool:
        print(json.dumps({"servers": MANY_SERVERS, **trio.run(measure_pages, pool)}))


if __name__ == "__main__":
    main()
