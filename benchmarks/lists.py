"""getMeetings of 3, 30 and 100 servers, with and without a hanging server.

    python benchmarks/lists.py [--quick] [--pools 3x50,30x50]

Runs the appliance on a private Redis with simulated servers (many_servers.py) and sends requests on
one connection, then on 16, where calls can share a round to the servers. The hanging server
answered its last poll and then stops answering: the first call waits for it, the later ones are
measured separately.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: benchmarks and tests are found from the root
    sys.path[0] = str(ROOT)

from benchmarks.bare_answer import measure_bare_answer  # noqa: E402
from benchmarks.load_generator import Client, Job, Report, fault  # noqa: E402
from benchmarks.many_servers import HOST, meeting_id  # noqa: E402
from benchmarks.measuring import Generator  # noqa: E402
from benchmarks.poll import wait_for_first_polls  # noqa: E402
from benchmarks.poll_pool import PollPool, run_poll_pool  # noqa: E402
from benchmarks.pool import SECRET  # noqa: E402
from benchmarks.process_figures import cpu_s, rss_mb  # noqa: E402
from benchmarks.report import render_table  # noqa: E402
from benchmarks.scenarios import Workload, exchanges  # noqa: E402
from tests.doubles.appliance_process import ApplianceProcess  # noqa: E402

POOLS = ("3x67", "3x200", "30x50", "100x50")
QUICK_POOLS = ("3x10",)
POLL_INTERVAL_S = 60.0
ANSWER_LIMIT_S = 60.0
CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Figures:
    """The results of one pool, first with every server healthy, then with one hanging."""

    servers: int
    meetings_each: int
    healthy_ms: float
    healthy_worst_ms: float
    cpu_ms: float
    """CPU time of the appliance per call."""
    size_kb: float
    shared_per_s: float
    """Calls at 16 connections."""
    shared_cpu_ms: float
    bare_ms: float
    """CPU time of a bare answer on the same machine, the unit in which a call is given."""
    rounds_per_call: float
    """Requests to each server per call at 16 connections."""
    first_ms: float
    """Latency of the first call after a server began to hang."""
    later_ms: float
    """Median latency of the calls after that."""
    later_worst_ms: float
    rss_mb: float
    wrong: int


class ListClient:
    """Calls getMeetings on one connection."""

    def __init__(self, appliance: ApplianceProcess, meeting: str) -> None:
        self._client = Client((HOST, appliance.front.port))
        self._client.sock.settimeout(ANSWER_LIMIT_S)
        self._source = exchanges("getMeetings", Workload(SECRET, [meeting], ""))
        self.wrong = 0
        self.size = 0

    def call(self) -> float:
        """Send a request and return the latency in ms."""
        exchange = next(self._source)
        began_s = time.perf_counter()
        self._client.send(exchange)
        while (answer := self._client.receive()) is None:
            pass
        self.wrong += fault(answer, exchange) is not None
        self.size = len(answer)
        return (time.perf_counter() - began_s) * 1000


def main(arguments: Sequence[str]) -> int:
    """Run the measurements; return 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks/lists.py", description="Measure getMeetings.")
    parser.add_argument("--pools", help=f"servers x meetings of each ({','.join(POOLS)})")
    parser.add_argument("--repeat", type=int, default=20, help="calls of each kind (20)")
    parser.add_argument("--quick", action="store_true", help="one small pool")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args(arguments)
    pools = options.pools.split(",") if options.pools else QUICK_POOLS if options.quick else POOLS
    found = []
    for pool in pools:
        servers, meetings_each = map(int, pool.split("x"))
        print(f"lists: {pool}", flush=True)
        repeat, seconds = (3, 0.5) if options.quick else (options.repeat, 3.0)
        found.append(measure(servers, meetings_each, repeat, seconds))
    print(f"\n{render(found)}\n")
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"lists-{datetime.datetime.now():%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps([asdict(each) for each in found], indent=1))
    print(f"lists: figures in {path}")
    return int(any(each.wrong for each in found))


def measure(servers: int, meetings_each: int, repeat: int, seconds: float) -> Figures:
    """Measure one pool."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        run_poll_pool(servers, meetings_each, Path(name)) as pool,
        pool.appliance(POLL_INTERVAL_S) as appliance,
    ):
        wait_for_first_polls(pool)
        return _measure(pool, appliance, repeat, seconds)


def _measure(pool: PollPool, appliance: ApplianceProcess, repeat: int, seconds: float) -> Figures:
    assert appliance.pid is not None
    client = ListClient(appliance, meeting_id(1, 0))
    client.call()
    before_s = cpu_s(appliance.pid)
    healthy = [client.call() for _ in range(repeat)]
    used_ms = (cpu_s(appliance.pid) - before_s) * 1000 / repeat
    size = client.size
    pool.servers.command("counts")
    report, bare_ms = _share(appliance, seconds)
    asked = sum(pool.servers.command("counts").get("getMeetings", [0])) / pool.servers.servers
    pool.servers.command("hang")
    first = client.call()
    later = [client.call() for _ in range(repeat)]
    return Figures(
        *(pool.servers.servers, pool.servers.meetings_each),
        *(statistics.median(healthy), max(healthy), used_ms, size / 1000),
        report.requests / report.seconds,
        report.cpu_s["appliance"] * 1000 / max(report.requests, 1),
        bare_ms,
        asked / max(report.requests, 1),
        *(first, statistics.median(later), max(later)),
        rss_mb=rss_mb(appliance.pid),
        wrong=client.wrong + report.errors,
    )


def _share(appliance: ApplianceProcess, seconds: float) -> tuple[Report, float]:
    """Call on several connections at once; return also the CPU time of a bare answer in ms."""
    assert appliance.pid is not None
    job = Job(
        scenario="getMeetings",
        host=HOST,
        port=appliance.front.port,
        connections=CONNECTIONS,
        warm_up_s=0.0,
        seconds=seconds,
        secret=SECRET,
        meetings=[meeting_id(1, 0)],
        label="lists",
        pids={"appliance": appliance.pid},
    )
    with Generator() as generator:
        return generator.do(job), measure_bare_answer(generator, seconds / 3)


def render(found: Sequence[Figures]) -> str:
    """Return the table."""
    rows = [
        [
            *("servers", "meetings", "kB", "ms", "worst", "CPU ms"),
            *("at 16: calls/s", "CPU ms", "units", "rounds/call"),  # units: bare answers
            *("hanging: first ms", "later", "worst later", "RSS MB", "wrong"),
        ]
    ]
    for each in found:
        rows.append(
            [
                *(str(each.servers), str(each.meetings_each), f"{each.size_kb:.0f}"),
                *(f"{each.healthy_ms:.1f}", f"{each.healthy_worst_ms:.1f}", f"{each.cpu_ms:.2f}"),
                *(f"{each.shared_per_s:.0f}", f"{each.shared_cpu_ms:.2f}"),
                *(f"{each.shared_cpu_ms / each.bare_ms:.1f}", f"{each.rounds_per_call:.2f}"),
                *(f"{each.first_ms:.0f}", f"{each.later_ms:.1f}", f"{each.later_worst_ms:.1f}"),
                *(f"{each.rss_mb:.0f}", str(each.wrong)),
            ]
        )
    return render_table(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
