"""The load generator: a process that keeps N connections busy and times every answer.

    python -m benchmarks.load_generator

reads jobs from stdin, one per line (JSON, `Job`), runs each and writes its result as a line on
stdout (`Report`); it ends at end of file. It uses raw sockets and epoll in one thread, because it
shares its two cores with the measured processes.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import re
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.figures import SHARES, percentile
from benchmarks.process_figures import cpu_s, machine_cpu_s
from benchmarks.scenarios import Exchange, Workload, end, exchanges

ANSWER_LIMIT_S = 10.0
"""Limit for an answer; the job fails after it."""
MAX_SAMPLES = 3
RECEIVE_BYTES = 256 * 1024
FIRST_BYTES = 16 * 1024
"""Of an answer whose length is not known yet: to allocate more takes longer than a small answer."""
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
UNTIL_LAST_CHUNK = -1
MESSAGE_KEY = re.compile(rb"<messageKey>([A-Za-z]{1,40})</messageKey>")


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement."""

    scenario: str
    host: str
    port: int
    connections: int
    warm_up_s: float
    seconds: float
    secret: str
    meetings: list[str]
    label: str
    pids: dict[str, int]
    """Processes whose CPU time is measured, by name."""
    rate: float = 0.0
    """Maximum of requests per second; 0: unlimited."""


@dataclass(slots=True)
class Report:
    """The result of one measurement."""

    requests: int = 0
    seconds: float = 0.0
    latency_ms: list[float] = field(default_factory=list)
    """At each of figures.SHARES."""
    cpu_s: dict[str, float] = field(default_factory=dict)
    """CPU time used in those seconds, by the names of Job.pids, "generator" and "machine"."""
    errors: int = 0
    """Wrong answers, including those of the warm-up and the clean-up."""
    samples: list[str] = field(default_factory=list)
    """Descriptions of the first wrong answers, without signed data."""
    failure: str = ""
    """Reason for which the job was aborted, or ''."""


class Stalled(Exception):
    """The server did not answer for ANSWER_LIMIT_S."""


class Client:
    """A connection with at most one request in flight."""

    __slots__ = ("_large", "expected", "received", "sent_ns", "sock", "wanted")

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, ANSWER_LIMIT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.expected: Exchange
        self.sent_ns = 0
        self.received: bytes | memoryview = b""
        """The beginning of an answer; of a large one, the room for the rest of it in `_large`."""
        self._large = bytearray()
        """Holds one large answer after the other, of which no part is copied again."""
        self.wanted = 0
        """Length of the answer in transit, 0 while its head is incomplete."""

    def send(self, exchange: Exchange) -> None:
        """Send a request. It fits into the socket's buffer, which is empty."""
        self.expected = exchange
        self.received = b""
        self.wanted = 0
        self.sent_ns = time.perf_counter_ns()
        self.sock.sendall(exchange.request)

    def receive(self) -> bytes | bytearray | None:
        """Read from the socket; return the answer when it is complete, else None.

        It is valid until the next one arrives.
        Raises ConnectionError: closed, or an answer without a length.
        """
        if isinstance(self.received, memoryview):
            return self._receive_large(self.received)
        data = self.sock.recv(RECEIVE_BYTES if self.received else FIRST_BYTES)
        if not data:
            raise ConnectionError("connection closed")
        answer = self.received = self.received + data if self.received else data
        if not self.wanted:
            self.wanted = _answer_length(answer)
        if self.wanted == UNTIL_LAST_CHUNK:
            return answer if answer.endswith(LAST_CHUNK) else None
        if self.wanted and len(answer) >= self.wanted:
            return answer
        if self.wanted > 0:
            if len(self._large) != self.wanted:
                self._large = bytearray(self.wanted)
            self._large[: len(answer)] = answer
            self.received = memoryview(self._large)[len(answer) :]
        return None

    def _receive_large(self, room: memoryview) -> bytearray | None:
        size = self.sock.recv_into(room)
        if not size:
            raise ConnectionError("connection closed")
        self.received = room[size:]
        return None if self.received else self._large


def _answer_length(received: bytes) -> int:
    """Return the length of head and body, 0 while the head is incomplete.

    UNTIL_LAST_CHUNK if the answer is chunked.
    """
    end_of_head = received.find(b"\r\n\r\n")
    if end_of_head < 0:
        return 0
    length = LENGTH.search(received, 0, end_of_head + 2)
    if length is None and CHUNKED.search(received, 0, end_of_head + 2):
        return UNTIL_LAST_CHUNK
    if length is None:
        raise ConnectionError("answer without a length")
    return end_of_head + 4 + int(length[1])


def fault(answer: bytes | bytearray, expected: Exchange) -> str | None:
    """Describe the fault of an answer without quoting signed data; None if it is correct."""
    status = answer[9:12]
    if status != expected.status:
        key = MESSAGE_KEY.search(answer)
        return f"status {status!r} {key[1].decode() if key else ''}".strip()
    for needle in expected.needles:
        if needle not in answer:
            key = MESSAGE_KEY.search(answer)
            return f"{key[1].decode()}" if key else f"no {needle.decode()} in the answer"
    return None


class Run:
    """A running job: warm-up, measured window, drain, clean-up."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.report = Report()
        self._source: Iterator[Exchange] = exchanges(
            job.scenario, Workload(job.secret, job.meetings, job.label)
        )
        self._poll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._latencies: list[int] = []
        self._created: list[str] = []
        self._idle: deque[Client] = deque()
        """Connections that wait for their turn when the rate is limited."""
        self._due_s = 0.0

    def measure(self) -> Report:
        """Run the job."""
        gc.collect()
        gc.disable()  # a collection would count as latency of the server
        try:
            self._measure()
        except (Stalled, OSError) as error:
            self.report.failure = str(error) or type(error).__name__
        finally:
            gc.enable()
            for client in self._clients.values():
                client.sock.close()
            self._poll.close()
        return self.report

    def _measure(self) -> None:
        for _ in range(self.job.connections):
            self._open()
        for client in list(self._clients.values()):
            client.send(next(self._source))
        self._exchange_until(time.perf_counter() + self.job.warm_up_s)
        self._latencies.clear()
        start_s, start_cpu_s = time.perf_counter(), self._cpu_s()
        self._exchange_until(start_s + self.job.seconds)
        used_cpu_s, seconds = self._cpu_s(), time.perf_counter() - start_s
        ordered = sorted(self._latencies)
        self.report.requests = len(ordered)
        self.report.seconds = seconds
        self.report.latency_ms = [percentile(ordered, share) / 1e6 for share in SHARES]
        self.report.cpu_s = {name: used_cpu_s[name] - start_cpu_s[name] for name in used_cpu_s}
        self._clean_up()

    def _cpu_s(self) -> dict[str, float]:
        used = {name: cpu_s(pid) for name, pid in self.job.pids.items()}
        return used | {"generator": time.process_time(), "machine": machine_cpu_s()}

    def _open(self) -> Client:
        client = Client((self.job.host, self.job.port))
        self._clients[client.sock.fileno()] = client
        self._poll.register(client.sock, select.EPOLLIN)
        return client

    def _exchange_until(self, deadline_s: float) -> None:
        """Send the next request after each complete answer, until the deadline."""
        clock, poll, clients = time.perf_counter, self._poll.poll, self._clients
        while clock() < deadline_s:
            events = poll(self._send_due(deadline_s) if self.job.rate else ANSWER_LIMIT_S)
            if not events and not self._idle:
                raise Stalled(f"no answer for {ANSWER_LIMIT_S:g} s")
            for number, _ in events:
                client = clients[number]
                if not self._took_answer(client):
                    continue
                if self.job.rate:
                    self._idle.append(client)
                else:
                    client.send(next(self._source))

    def _send_due(self, deadline_s: float) -> float:
        """Send the requests that are due; return the seconds until the next is due."""
        now_s, step_s = time.perf_counter(), 1 / self.job.rate
        # Requests missed while all connections were busy are not sent in a burst later.
        self._due_s = max(self._due_s, now_s - step_s)
        while self._idle and self._due_s <= now_s:
            self._idle.popleft().send(next(self._source))
            self._due_s += step_s
        if not self._idle:
            return ANSWER_LIMIT_S
        return min(self._due_s, deadline_s) - now_s if self._due_s > now_s else 0.0

    def _took_answer(self, client: Client) -> bool:
        """Read from a client; return whether its answer is complete."""
        try:
            answer = client.receive()
        except ConnectionError as error:
            self._note(str(error))
            self._replace(client)
            return False
        if answer is None:
            return False
        self._latencies.append(time.perf_counter_ns() - client.sent_ns)
        problem = fault(answer, client.expected)
        if problem is not None:
            self._note(problem)
        elif client.expected.creates:
            self._created.append(client.expected.creates)
        return True

    def _replace(self, client: Client) -> None:
        """Replace a broken connection and continue on the new one."""
        del self._clients[client.sock.fileno()]
        client.sock.close()
        self._open().send(next(self._source))

    def _note(self, problem: str) -> None:
        self.report.errors += 1
        if len(self.report.samples) < MAX_SAMPLES and problem not in self.report.samples:
            self.report.samples.append(problem)

    def _clean_up(self) -> None:
        """Receive the last answers and end the created meetings, using all connections.

        The next measurement then starts with the same pool.
        """
        busy = set(self._clients) - {client.sock.fileno() for client in self._idle}
        while self._idle and self._created:
            client = self._idle.popleft()
            client.send(end(self._created.pop(), self.job.secret))
            busy.add(client.sock.fileno())
        while busy or self._created:
            events = self._poll.poll(ANSWER_LIMIT_S)
            if not events:
                raise Stalled(f"no answer for {ANSWER_LIMIT_S:g} s after the measurement")
            for number, _ in events:
                client = self._clients[number]
                if not self._took_answer(client):
                    continue
                busy.discard(number)
                if self._created:
                    client.send(end(self._created.pop(), self.job.secret))
                    busy.add(number)


def main() -> None:
    """Run jobs until the end of stdin."""
    gc.freeze()
    for line in sys.stdin:
        arguments: dict[str, Any] = json.loads(line)
        report = Run(Job(**arguments)).measure()
        print(json.dumps(dataclasses.asdict(report)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
