"""Measure a running pool with the load generator, which is a process of its own.

Turns the generator's reports into figures. The callers choose the measurements.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.figures import Measurement
from benchmarks.load_generator import Client, Job, Report, fault
from benchmarks.pool import HOST, SECRET, Build, Pool, PoolError, run_pool
from benchmarks.process_figures import rss_mb
from benchmarks.scenarios import Exchange, Workload, base_creates

ROOT = Path(__file__).resolve().parent.parent
MEETINGS = tuple(f"bench-base-{number:03}" for number in range(200))
"""Meetings that exist during all measurements, as many as in the target for getMeetings."""


class Generator:
    """The load generator's process."""

    def __init__(self, *, own_session: bool = True) -> None:
        """own_session: see ApplianceProcess."""
        self._own_session = own_session

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load_generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            # Keeps Ctrl-C away from it; it ends when its stdin is closed.
            start_new_session=self._own_session,
            process_group=None if self._own_session else 0,
        )
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def do(self, job: Job) -> Report:
        """Run a job and return its report. Raises PoolError: the job failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(dataclasses.asdict(job)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise PoolError("the load generator has ended")
        fields: dict[str, Any] = json.loads(line)
        report = Report(**fields)
        if report.failure:
            raise PoolError(f"{job.scenario} at {job.connections} connections: {report.failure}")
        return report


class Meter:
    """Measures one pool; numbers its measurements, so that meeting ids are unique."""

    def __init__(self, pool: Pool, generator: Generator) -> None:
        self.pool = pool
        self._generator = generator
        self._count = 0

    def measure(
        self,
        scenario: str,
        connections: int,
        seconds: float,
        warm_up_s: float,
        rate: float = 0.0,
    ) -> Measurement:
        """Measure a scenario for some seconds, after a warm-up; `rate` 0 is full speed.

        Raises PoolError.
        """
        self._count += 1
        report = self._generator.do(
            Job(
                scenario=scenario,
                host=HOST,
                port=self.pool.port,
                connections=connections,
                warm_up_s=warm_up_s,
                seconds=seconds,
                secret=SECRET,
                meetings=list(MEETINGS),
                label=f"bench-new-{self._count}",
                pids=self.pool.pids,
                rate=rate,
            )
        )
        return _figures(report, rss_mb(self.pool.pid))


def _figures(report: Report, rss: float) -> Measurement:
    requests = max(report.requests, 1)
    ours_s = sum(used for name, used in report.cpu_s.items() if name != "machine")
    return Measurement(
        rate=report.requests / report.seconds,
        latency_ms=tuple(report.latency_ms),
        cpu_ms=report.cpu_s["appliance"] * 1000 / requests,
        redis_cpu_ms=report.cpu_s["redis"] * 1000 / requests,
        busy=report.cpu_s["appliance"] / report.seconds,
        generator_busy=report.cpu_s["generator"] / report.seconds,
        foreign_busy=max(report.cpu_s["machine"] - ours_s, 0.0) / report.seconds,
        rss_mb=rss,
        requests=report.requests,
        errors=report.errors,
        samples=tuple(report.samples),
    )


@contextlib.contextmanager
def open_meter(
    build: Build, generator: Generator, users: int, *, callbacks: bool = False
) -> Iterator[Meter]:
    """Run a pool with its base meetings and `users` in each while the block runs.

    `callbacks` is off by default, so that no measurement includes the callbacks for the thousands
    of meetings that the previous one ended. Raises PoolError.
    """
    with run_pool(build, callbacks=callbacks) as pool:
        _create_base_meetings(pool)
        pool.fill_meetings(users)
        yield Meter(pool, generator)


def _create_base_meetings(pool: Pool) -> None:
    client = Client((HOST, pool.port))
    with client.sock:
        for exchange in base_creates(Workload(SECRET, MEETINGS, "")):
            problem = fault(_send(client, exchange), exchange)
            if problem is not None:
                raise PoolError(f"a base meeting was not created: {problem}")


def _send(client: Client, exchange: Exchange) -> bytes | bytearray:
    client.send(exchange)
    while (answer := client.receive()) is None:
        pass
    return answer
