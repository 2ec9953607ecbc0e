"""Large pools of simulated servers, and what their appliance says about itself."""

from __future__ import annotations

import contextlib
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.large.beside import CallSource
from benchmarks.large.scenario import Figure, Setting
from benchmarks.many_servers import ATTENDEES, HOST, meeting_id
from benchmarks.poll import wait_for_first_polls
from benchmarks.poll_pool import PollPool, run_poll_pool
from benchmarks.process_figures import cpu_s, rss_mb
from tests.doubles.appliance_process import ApplianceProcess

POLL_INTERVAL_S = 60.0
PAUSE_METRIC = "scalelite_loop_pause_max_seconds"
PAUSE_WINDOW_S = 75.0
"""The metric is the maximum of a minute, and of up to a tenth of that more."""
PAUSE_LIMIT_MS = 20.0
QUIET_PAUSE_MS = 10.0
MEMORY_S = 60.0
"""How long memory may take to be given back."""
MEMORY_RATIO = 1.3


@dataclass(frozen=True, slots=True)
class LargePool:
    """A pool, and its appliance."""

    pool: PollPool
    appliance: ApplianceProcess
    quick: bool

    @property
    def pid(self) -> int:
        """Return the appliance's process id."""
        assert self.appliance.pid is not None
        return self.appliance.pid

    @property
    def source(self) -> CallSource:
        """Return calls of isMeetingRunning to all servers, one after the other."""
        servers = range(self.pool.servers.servers)
        return CallSource(self.appliance.front.port, [meeting_id(n, 0) for n in servers])

    def cpu_s(self) -> float:
        """Return the CPU seconds of the appliance."""
        return cpu_s(self.pid)

    def rss_mb(self) -> float:
        """Return the resident memory of the appliance."""
        return rss_mb(self.pid)

    def scrape(self) -> bytes:
        """Return /metrics."""
        return scrape(self.appliance)

    def settle(self) -> None:
        """Wait until the longest pause is one of a quiet appliance, if it becomes so."""
        deadline_s = time.monotonic() + (0 if self.quick else PAUSE_WINDOW_S)
        while time.monotonic() < deadline_s and (pause_ms(self.appliance) or 0.0) > QUIET_PAUSE_MS:
            time.sleep(1.0)

    def pause(self, what: str) -> Iterator[Figure]:
        """Yield the longest pause of the event loop in the last minute, if there is the metric."""
        return pause(self.appliance, what)

    def memory_after(self, before_mb: float) -> Iterator[Figure]:
        """Yield how much memory is left of what was used, in relation to that before."""
        deadline_s = time.monotonic() + (5.0 if self.quick else MEMORY_S)
        while (after_mb := self.rss_mb()) > MEMORY_RATIO * before_mb:
            if time.monotonic() > deadline_s:
                break
            time.sleep(0.5)
        yield Figure("memory within 60 s after, ratio", after_mb / before_mb, "", MEMORY_RATIO)


def scrape(appliance: ApplianceProcess) -> bytes:
    """Return /metrics of an appliance with METRICS_BIND."""
    url = appliance.wait_event("ready")["metrics"][0]
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        text: bytes = answer.read()
    return text


def pause(appliance: ApplianceProcess, what: str) -> Iterator[Figure]:
    """Yield the longest pause of the event loop in the last minute, if there is the metric."""
    found_ms = pause_ms(appliance)
    if found_ms is not None:
        yield Figure(f"longest pause of the event loop, {what}", found_ms, "ms", PAUSE_LIMIT_MS)


def pause_ms(appliance: ApplianceProcess) -> float | None:
    """Return the longest pause of the event loop in the last minute; None: no such metric."""
    found = re.search(rf"^{PAUSE_METRIC} (\S+)", scrape(appliance).decode(), re.MULTILINE)
    return None if found is None else float(found[1]) * 1000


@contextlib.contextmanager
def run_large_pool(
    setting: Setting, servers: int, meetings_each: int, attendees: int = ATTENDEES, **environ: str
) -> Iterator[LargePool]:
    """Run a pool and an appliance, and wait until it has polled every server.

    `attendees` are listed of each meeting; `environ` are further environment variables of the
    appliance.
    """
    with run_poll_pool(servers, meetings_each, setting.directory, attendees) as pool:
        metrics = {"METRICS_BIND": f"tcp://{HOST}:0", "LOG_LEVEL": "info"}
        with pool.appliance(POLL_INTERVAL_S, **(metrics | environ)) as appliance:
            wait_for_first_polls(pool)
            yield LargePool(pool, appliance, setting.quick)
