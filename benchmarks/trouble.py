"""Misbehaving clients and a failing server, which a soak adds to ordinary traffic.

They run in threads of the caller's process, at a few dozen connections a second, so that they use
little CPU.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.pool import HOST, SECRET
from benchmarks.scenarios import Workload, exchanges
from tests.doubles.bbb_process import BbbProcess

LIMIT_S = 10.0
ABANDON_INTERVAL_S = 0.05
SLOW_CHUNK_BYTES, SLOW_PAUSE_S = 16 * 1024, 0.1
FLAP_S = 7.0
FAULTS = ("refuse", "status", "reset")
"""Without `hang`: getMeetings would wait for the server up to RESPONSE_TIMEOUT."""


@dataclass(slots=True)
class Trouble:
    """Counts of the disturbances."""

    abandoned: int = 0
    """Requests whose client disconnected before the answer."""
    read_slowly: int = 0
    flaps: int = 0
    failures: list[str] = field(default_factory=list)
    """Errors of the threads; each is a failure of the soak."""


@contextlib.contextmanager
def make_trouble(port: int, meetings: tuple[str, ...], flapping: BbbProcess) -> Iterator[Trouble]:
    """Abandon requests, read slowly and let a server fail repeatedly while the block runs."""
    done, stop = Trouble(), threading.Event()
    work = Workload(SECRET, meetings, "bench-trouble")
    makers: tuple[Callable[[], None], ...] = (
        lambda: _abandon(port, work, done, stop),
        lambda: _read_slowly(port, work, done, stop),
        lambda: _flap(flapping, done, stop),
    )
    threads = [threading.Thread(target=_run, args=(make, done), daemon=True) for make in makers]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join(2 * LIMIT_S)
        flapping.clear_faults()


def _run(make: Callable[[], None], done: Trouble) -> None:
    try:
        make()
    except Exception as error:  # nothing receives an exception of a thread
        done.failures.append(f"{type(error).__name__}: {error}")


def _abandon(port: int, work: Workload, done: Trouble, stop: threading.Event) -> None:
    """Send whole or partial requests and disconnect."""
    rng = random.Random(1)
    requests = itertools.chain.from_iterable(
        zip(
            *(exchanges(call, work) for call in ("getMeetings", "getMeetingInfo", "join")),
            strict=True,
        )
    )
    while not stop.wait(ABANDON_INTERVAL_S):
        request = next(requests).request
        cut = len(request) if rng.random() < 0.8 else rng.randrange(1, len(request))
        with socket.create_connection((HOST, port), LIMIT_S) as client:
            client.sendall(request[:cut])
            stop.wait(rng.uniform(0, 0.01))
        done.abandoned += 1


def _read_slowly(port: int, work: Workload, done: Trouble, stop: threading.Event) -> None:
    """Read long answers at 160 KB/s through a small receive buffer."""
    lists = exchanges("getMeetings", work)
    while not stop.is_set():
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_CHUNK_BYTES)
            client.settimeout(LIMIT_S)
            client.connect((HOST, port))
            client.sendall(
                next(lists).request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            )
            while not stop.wait(SLOW_PAUSE_S) and client.recv(SLOW_CHUNK_BYTES):
                pass
        done.read_slowly += 1


def _flap(server: BbbProcess, done: Trouble, stop: threading.Event) -> None:
    """Alternate between a fault and normal operation."""
    for kind in itertools.cycle(FAULTS):
        if stop.wait(FLAP_S):
            return
        server.add_fault(kind)
        ended = stop.wait(FLAP_S)
        server.clear_faults()
        server.drop_connections()
        done.flaps += 1
        if ended:
            return
