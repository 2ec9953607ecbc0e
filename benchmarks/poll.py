"""The cost of polling (CPU per cycle, requests, API latency), and the time to detect a dead server.

    python benchmarks/poll.py [--quick] [--pools 3x20,100x200] ...

Runs the appliance on a private Redis with up to a thousand simulated servers (many_servers.py) that
all have known meetings; prints a table and writes JSON into benchmarks/results. A cycle is one
POLL_INTERVAL, in which each server is polled once, at a phase of its own. The CPU time used without
polls, with the same API calls, is measured first and subtracted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: benchmarks and tests are found from the root
    sys.path[0] = str(ROOT)

from benchmarks.figures import percentile  # noqa: E402
from benchmarks.load_generator import Client, fault  # noqa: E402
from benchmarks.many_servers import HOST, meeting_id  # noqa: E402
from benchmarks.poll_pool import FIRST, PollPool, run_poll_pool  # noqa: E402
from benchmarks.pool import SECRET  # noqa: E402
from benchmarks.process_figures import cpu_s, machine_cpu_s, rss_mb  # noqa: E402
from benchmarks.report import render_table  # noqa: E402
from benchmarks.scenarios import Workload, exchanges  # noqa: E402
from tests.doubles.appliance_process import ApplianceProcess  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
POOLS = ("3x20", "3x200", "100x20", "100x200", "1000x20", "1000x200")
QUICK_POOLS = ("3x20", "20x20")
CALLS_PER_S = 50
QUIET_INTERVAL_S = 86_400.0
"""Long enough that no poll falls into the quiet measurement."""
FIRST_POLLS_LIMIT_S = 120.0
OUT_LIMIT_S = 120.0
SETTLE_S = 2.0
LAST_POLL_S = 6.0
"""Time between a server's last poll and its death: a failed call triggers no poll within
POLL_RETRY_INTERVAL (5 s) of the last one."""
TICK_S = 0.02


@dataclass(frozen=True, slots=True)
class Window:
    """CPU time and latencies during some seconds of API calls."""

    seconds: float
    appliance_s: float
    redis_s: float
    doubles_s: float
    machine_s: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    wrong: int

    @property
    def foreign_cores(self) -> float:
        """Return the cores used by other processes, including the benchmark's own process."""
        ours_s = self.appliance_s + self.redis_s + self.doubles_s
        return max(self.machine_s - ours_s, 0.0) / self.seconds


@dataclass(frozen=True, slots=True)
class Figures:
    """The results of one pool, with and without polls."""

    servers: int
    meetings_each: int
    interval_s: float
    quiet: Window
    cycle: Window
    cycles: int
    polls: tuple[int, int]
    """Least and greatest number of getMeetings calls per server in the window."""
    versions: int
    """Number of index calls to all servers."""
    others: int
    """Number of unexpected calls, which should be 0."""
    rss_mb: float

    @property
    def appliance_s(self) -> float:
        """Return the CPU seconds of the appliance per cycle."""
        return self._per_cycle(self.cycle.appliance_s, self.quiet.appliance_s)

    @property
    def redis_s(self) -> float:
        """Return the CPU seconds of Redis per cycle."""
        return self._per_cycle(self.cycle.redis_s, self.quiet.redis_s)

    def _per_cycle(self, used_s: float, quiet_s: float) -> float:
        idle_s = quiet_s / self.quiet.seconds * self.cycle.seconds
        return max(used_s - idle_s, 0.0) / self.cycles


@dataclass(frozen=True, slots=True)
class Death:
    """The time to detect a dead server under default settings, after one API call to it."""

    kind: str
    """die: it refuses connections; hang: it accepts them and does not answer."""
    noticed_s: float
    """Time until it was unstable: new meetings go to other servers."""
    out_s: float
    """Time until it was offline: its meetings are detached."""


def main(arguments: Sequence[str]) -> int:
    """Run the measurements; return 1 if an answer or a count was wrong."""
    options = parse_options(arguments)
    began_s = time.monotonic()
    found = []
    for pool in options.pools:
        servers, meetings_each = map(int, pool.split("x"))
        _say(f"{servers} servers of {meetings_each} meetings")
        found.append(measure_pool(servers, meetings_each, options.quick))
    deaths = [] if options.no_deaths else measure_deaths(options.kinds)
    _say(f"took {time.monotonic() - began_s:.0f} s")
    print(f"\n{render(found)}\n")
    if deaths:
        print(f"{render_deaths(deaths)}\n")
    _write(options.output, found, deaths)
    return int(
        any(each.cycle.wrong or each.quiet.wrong or not _as_expected(each) for each in found)
    )


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with 2 and a usage line if it is wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks/poll.py", description="Measure polling.")
    add = parser.add_argument
    add("--pools", type=_pools, help=f"servers x meetings of each ({','.join(POOLS)})")
    add("--no-deaths", action="store_true", help="do not measure the detection of dead servers")
    add("--quick", action="store_true", help="small pools, short cycles")
    add("--output", type=Path, default=RESULTS, help="directory for JSON")
    options = parser.parse_args(arguments)
    options.pools = options.pools or (QUICK_POOLS if options.quick else POOLS)
    options.kinds = ("die",) if options.quick else ("die", "hang")
    return options


def _pools(text: str) -> tuple[str, ...]:
    for pool in text.split(","):
        parts = pool.split("x")
        if len(parts) != 2 or not all(
            part.isdecimal() and 0 < int(part) < 10_000 for part in parts
        ):
            raise argparse.ArgumentTypeError("must be like 100x20,1000x200")
    return tuple(text.split(","))


def interval_s(servers: int, quick: bool) -> float:
    """Return the POLL_INTERVAL for a pool: the default for large ones."""
    if quick:
        return 2.0
    return 10.0 if servers <= 100 else 60.0


# --- one pool ------------------------------------------------------------------------------------


def measure_pool(servers: int, meetings_each: int, quick: bool) -> Figures:
    """Measure a pool without polls, then for a whole number of cycles."""
    interval, cycles = interval_s(servers, quick), 1 if servers > 100 else 2
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        run_poll_pool(servers, meetings_each, Path(name)) as pool,
    ):
        with pool.appliance(QUIET_INTERVAL_S) as appliance:
            wait_for_first_polls(pool)
            time.sleep(SETTLE_S)
            # For a large pool as long as the cycle, so that both include a sweep, once a minute.
            quiet_s = cycles * interval if quick or servers > 100 else 10.0
            quiet = measure_window(pool, appliance, quiet_s)
        pool.servers.command("counts")
        with pool.appliance(interval) as appliance:
            wait_for_first_polls(pool)
            time.sleep(interval + SETTLE_S)  # until each server has its random phase
            pool.servers.command("counts")
            cycle = measure_window(pool, appliance, cycles * interval)
            counts = pool.servers.command("counts")
            memory = rss_mb(_pid(appliance))
    polls = counts.pop("getMeetings", [0])
    counts.pop("isMeetingRunning", None)
    versions = sum(counts.pop("index", []))
    return Figures(
        *(servers, meetings_each, interval, quiet, cycle, cycles, (min(polls), max(polls))),
        versions=versions,
        others=sum(map(sum, counts.values())),
        rss_mb=memory,
    )


def wait_for_first_polls(pool: PollPool) -> None:
    """Wait until each server has been polled."""
    seen = [0] * pool.servers.servers
    deadline_s = time.monotonic() + FIRST_POLLS_LIMIT_S
    while not all(seen):
        assert time.monotonic() < deadline_s, "not all servers were polled in time"
        polls = pool.servers.command("counts").get("getMeetings", [0] * len(seen))
        seen = [before + now for before, now in zip(seen, polls, strict=True)]
        time.sleep(TICK_S)


def measure_window(pool: PollPool, appliance: ApplianceProcess, seconds: float) -> Window:
    """Call isMeetingRunning at an even rate and measure CPU time and latency.

    Latency is measured from the time at which a call was due, so that a slow answer also counts
    for the calls that it delays.
    """
    meetings = [meeting_id(server, 0) for server in range(pool.servers.servers)]
    source = exchanges("isMeetingRunning", Workload(SECRET, meetings, ""))
    clocks = {
        "appliance_s": lambda: cpu_s(_pid(appliance)),
        "redis_s": lambda: cpu_s(pool.redis.process.pid),
        "doubles_s": lambda: cpu_s(pool.servers.pid),
        "machine_s": machine_cpu_s,
    }
    client, latencies, wrong = Client((HOST, appliance.front.port)), [], 0
    with client.sock:
        before = {name: clock() for name, clock in clocks.items()}
        began_s = time.perf_counter()
        for number in range(round(seconds * CALLS_PER_S)):
            due_s = began_s + number / CALLS_PER_S
            time.sleep(max(due_s - time.perf_counter(), 0.0))
            exchange = next(source)
            client.send(exchange)
            while (answer := client.receive()) is None:
                pass
            latencies.append((time.perf_counter() - due_s) * 1000)
            wrong += fault(answer, exchange) is not None
        time.sleep(max(began_s + seconds - time.perf_counter(), 0.0))
        took_s = time.perf_counter() - began_s
        used = {name: clock() - before[name] for name, clock in clocks.items()}
    latencies.sort()
    return Window(
        seconds=took_s,
        **used,
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        worst_ms=latencies[-1],
        wrong=wrong,
    )


def _pid(appliance: ApplianceProcess) -> int:
    assert appliance.pid is not None
    return appliance.pid


# --- death ---------------------------------------------------------------------------------------


def measure_deaths(kinds: Sequence[str]) -> list[Death]:
    """Let one of three servers die in each way, under the default settings."""
    found = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        run_poll_pool(3, 20, Path(name)) as pool,
    ):
        for kind in kinds:
            pool.servers.command("live")
            with pool.appliance(60.0) as appliance:  # a new one, without the last failure
                found.append(_measure_death(pool, appliance, kind))
    return found


def _measure_death(pool: PollPool, appliance: ApplianceProcess, kind: str) -> Death:
    _say(f"detection of a dead server: {kind}")
    _wait_for(lambda: appliance.status(FIRST) == "online")
    time.sleep(LAST_POLL_S)
    pool.servers.command(kind)
    died_s = time.monotonic()
    _call_dead_server(appliance)
    _wait_for(lambda: appliance.status(FIRST) != "online")
    noticed_s = time.monotonic()
    _wait_for(lambda: appliance.status(FIRST) == "offline")
    return Death(kind, noticed_s - died_s, time.monotonic() - died_s)


def _call_dead_server(appliance: ApplianceProcess) -> None:
    """Send a call that is forwarded to the dead server, without waiting for the answer."""
    source = exchanges("getMeetingInfo", Workload(SECRET, [meeting_id(0, 0)], ""))
    client = Client((HOST, appliance.front.port))
    client.send(next(source))
    client.sock.settimeout(None)
    _open.append(client)


_open: list[Client] = []
"""Kept open: a client that disconnects would cancel its call."""


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + OUT_LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {OUT_LIMIT_S:g} s"
        time.sleep(TICK_S)


# --- report --------------------------------------------------------------------------------------


def render(found: Sequence[Figures]) -> str:
    """Return the table."""
    rows = [
        [
            *("servers", "meetings", "interval s", "CPU s/cycle", "ms/server", "Redis s/cycle"),
            *("polls each", "versions", "p50 ms quiet", "polling", "p99 ms quiet", "polling"),
            *("worst", "RSS MB", "foreign cores", "as expected"),
        ]
    ]
    for each in found:
        rows.append(
            [
                *(str(each.servers), str(each.meetings_each), f"{each.interval_s:g}"),
                *(f"{each.appliance_s:.3f}", f"{each.appliance_s / each.servers * 1000:.2f}"),
                *(f"{each.redis_s:.3f}", f"{each.polls[0]}-{each.polls[1]}", str(each.versions)),
                *(f"{each.quiet.p50_ms:.1f}", f"{each.cycle.p50_ms:.1f}"),
                *(f"{each.quiet.p99_ms:.1f}", f"{each.cycle.p99_ms:.1f}"),
                *(f"{each.cycle.worst_ms:.0f}", f"{each.rss_mb:.0f}"),
                f"{each.cycle.foreign_cores:.1f}",
                "yes" if _as_expected(each) else "NO",
            ]
        )
    return render_table(rows)


def _as_expected(each: Figures) -> bool:
    """Return whether each server got one poll per cycle, and at most one call for its version."""
    least, most = each.polls
    # One more or less may fall on the edge of the window.
    in_time = each.cycles - 1 <= least and most <= each.cycles + 1
    return in_time and each.versions <= each.servers and not each.others


def render_deaths(deaths: Sequence[Death]) -> str:
    """Return the table of dead servers."""
    rows = [["failure", "no new meetings after s", "offline after s"]]
    rows += [[each.kind, f"{each.noticed_s:.1f}", f"{each.out_s:.1f}"] for each in deaths]
    return render_table(rows)


def _write(output: Path, found: Sequence[Figures], deaths: Sequence[Death]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().astimezone()
    path = output / f"poll-{now:%Y%m%d-%H%M%S}.json"
    pools: list[dict[str, Any]] = [
        asdict(each)
        | {"appliance_s_per_cycle": each.appliance_s, "redis_s_per_cycle": each.redis_s}
        for each in found
    ]
    facts = {"taken": now.isoformat(timespec="seconds"), "calls_per_s": CALLS_PER_S}
    text = json.dumps(facts | {"pools": pools, "deaths": [asdict(d) for d in deaths]}, indent=1)
    path.write_text(text)
    _say(f"figures in {path}")


def _say(text: str) -> None:
    print(f"poll: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
