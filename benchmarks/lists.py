"""getMeetings of 3, 30 and 100 servers of 50 meetings, with and without one that hangs.

    python benchmarks/lists.py [--quick] [--pools 3x50,30x50]

Runs the appliance on a private Redis with simulated servers (many_servers.py), and asks over one
connection. A server that hangs has answered its last poll and says nothing from then on; the first
call waits for it, and the later ones are timed as they come. Measures only.
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

from benchmarks.load_generator import Client, fault  # noqa: E402
from benchmarks.many_servers import HOST, meeting_id  # noqa: E402
from benchmarks.poll import wait_for_first_polls  # noqa: E402
from benchmarks.poll_pool import PollPool, run_poll_pool  # noqa: E402
from benchmarks.pool import SECRET  # noqa: E402
from benchmarks.process_figures import cpu_s, rss_mb  # noqa: E402
from benchmarks.report import render_table  # noqa: E402
from benchmarks.scenarios import Workload, exchanges  # noqa: E402
from tests.doubles.appliance_process import ApplianceProcess  # noqa: E402

POOLS = ("3x50", "30x50", "100x50")
QUICK_POOLS = ("3x10",)
POLL_INTERVAL_S = 60.0
ANSWER_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One pool, every server well and then one hanging."""

    servers: int
    meetings_each: int
    well_ms: float
    well_worst_ms: float
    cpu_ms: float
    """Of the appliance, per call."""
    size_kb: float
    first_ms: float
    """The first call after a server began to hang."""
    later_ms: float
    """The median of those after it."""
    later_worst_ms: float
    rss_mb: float
    wrong: int


class Asker:
    """Asks getMeetings over one connection."""

    def __init__(self, appliance: ApplianceProcess, meeting: str) -> None:
        self._client = Client((HOST, appliance.front.port))
        self._client.sock.settimeout(ANSWER_LIMIT_S)
        self._source = exchanges("getMeetings", Workload(SECRET, [meeting], ""))
        self.wrong = 0
        self.size = 0

    def ask(self) -> float:
        """Return how long the answer took, in ms."""
        exchange = next(self._source)
        began_s = time.perf_counter()
        self._client.send(exchange)
        while (answer := self._client.receive()) is None:
            pass
        self.wrong += fault(answer, exchange) is not None
        self.size = len(answer)
        return (time.perf_counter() - began_s) * 1000


def main(arguments: Sequence[str]) -> int:
    """Measure as the arguments say; return 1 if an answer was wrong."""
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
        found.append(measure(servers, meetings_each, 3 if options.quick else options.repeat))
    print(f"\n{render(found)}\n")
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"lists-{datetime.datetime.now():%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps([asdict(each) for each in found], indent=1))
    print(f"lists: figures in {path}")
    return int(any(each.wrong for each in found))


def measure(servers: int, meetings_each: int, repeat: int) -> Figures:
    """Measure one pool."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        run_poll_pool(servers, meetings_each, Path(name)) as pool,
        pool.appliance(POLL_INTERVAL_S) as appliance,
    ):
        wait_for_first_polls(pool)
        return _measure(pool, appliance, repeat)


def _measure(pool: PollPool, appliance: ApplianceProcess, repeat: int) -> Figures:
    assert appliance.pid is not None
    asker = Asker(appliance, meeting_id(1, 0))
    asker.ask()
    before_s = cpu_s(appliance.pid)
    well = [asker.ask() for _ in range(repeat)]
    used_ms = (cpu_s(appliance.pid) - before_s) * 1000 / repeat
    size = asker.size
    pool.servers.tell("hang")
    first = asker.ask()
    later = [asker.ask() for _ in range(repeat)]
    return Figures(
        *(pool.servers.servers, pool.servers.meetings_each),
        *(statistics.median(well), max(well), used_ms, size / 1000),
        *(first, statistics.median(later), max(later)),
        rss_mb=rss_mb(appliance.pid),
        wrong=asker.wrong,
    )


def render(found: Sequence[Figures]) -> str:
    """Return the table."""
    rows = [
        [
            *("servers", "meetings", "kB", "ms", "worst", "CPU ms"),
            *("hanging: first ms", "later", "worst later", "RSS MB", "wrong"),
        ]
    ]
    for each in found:
        rows.append(
            [
                *(str(each.servers), str(each.meetings_each), f"{each.size_kb:.0f}"),
                *(f"{each.well_ms:.1f}", f"{each.well_worst_ms:.1f}", f"{each.cpu_ms:.2f}"),
                *(f"{each.first_ms:.0f}", f"{each.later_ms:.1f}", f"{each.later_worst_ms:.1f}"),
                *(f"{each.rss_mb:.0f}", str(each.wrong)),
            ]
        )
    return render_table(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
