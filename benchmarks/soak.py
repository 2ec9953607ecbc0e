"""Load for ten minutes: neither latency nor memory nor open files may grow.

    python benchmarks/soak.py [--minutes 10] [--share 0.8] ...

Runs the mix at a share of its maximum rate, with clients that disconnect early, slow readers and a
flapping server, and samples memory, open files and latency over time. Prints a line for each sample
and the result; writes JSON and a picture into benchmarks/results. Exit code 1: something grew.
"""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: benchmarks and tests are found from the root
    sys.path[0] = str(ROOT)

from appliance.simulation.line_plot import Panel, render_lines  # noqa: E402
from benchmarks.measuring import MEETINGS, Generator, Meter, open_meter  # noqa: E402
from benchmarks.pool import Build, PoolError  # noqa: E402
from benchmarks.process_figures import open_files, rss_mb  # noqa: E402
from benchmarks.report import render_table  # noqa: E402
from benchmarks.trouble import Trouble, make_trouble  # noqa: E402
from tests.doubles.bbb_process import BbbProcess  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
CONNECTIONS = 16
USERS = 2
FLAPPING_TAG = "soak"
"""Tag of the flapping server, so that no create of the mix is placed there."""
MEMORY_GROWTH, LATENCY_GROWTH, FILES_GROWTH = 1.05, 1.5, 20
"""Limits of the last quarter relative to the second: factors of memory and p99, files added."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The figures of some seconds of the soak."""

    at_s: float
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    rss_mb: float
    redis_rss_mb: float
    files: int


def main(arguments: Sequence[str]) -> int:
    """Run the soak; return 1 if a figure grew or an answer was wrong."""
    options = parse_options(arguments)
    # As an exception, so that every process is stopped in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with (
            Generator() as generator,
            open_meter(Build("this", options.program), generator, USERS, callbacks=True) as meter,
            BbbProcess(server_id="flapping") as flapping,
        ):
            slices, trouble, logged = _soak(options, meter, flapping)
    except (PoolError, OSError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    faults = judge(slices) + trouble.failures
    faults += [line for line in logged.splitlines() if "[error" in line][:3]
    print(f"\n{render_slices(slices)}\n")
    print(
        f"{trouble.abandoned} requests abandoned, {trouble.read_slowly} long answers read slowly, "
        f"{trouble.flaps} flaps of a server"
    )
    print("\n".join(f"FAULT: {fault}" for fault in faults) or "Nothing grew.")
    _write(options, slices, faults)
    return 1 if faults else 0


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with 2 and a usage line if it is wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks/soak.py", description="Soak the appliance.")
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, help="duration (10)")
    add("--share", type=float, default=0.8, help="share of the maximum rate of the mix (0.8)")
    add("--slice", type=float, default=15.0, help="seconds per sample (15)")
    program = ROOT / ".venv" / "bin" / "scalelite-appliance"
    add("--program", type=Path, default=program, help="another scalelite-appliance script")
    add("--output", type=Path, default=RESULTS, help="directory for JSON and SVG")
    options = parser.parse_args(arguments)
    if not (0 < options.share <= 1 and options.slice > 0 and options.minutes > 0):
        parser.error("--share must be up to 1, --slice and --minutes greater than 0")
    return options


def _soak(
    options: argparse.Namespace, meter: Meter, flapping: BbbProcess
) -> tuple[list[Slice], Trouble, str]:
    pool = meter.pool
    pool.ctl(
        *("servers", "add", flapping.url, flapping.secret),
        *("--id", flapping.server_id, "--tag", FLAPPING_TAG, "--enable"),
    )
    highest = meter.measure("mix", CONNECTIONS, min(options.slice, 10.0), 1.0).rate
    rate = highest * options.share
    print(f"soak: maximum {highest:.0f} requests/s; continuing at {rate:.0f}", flush=True)
    slices: list[Slice] = []
    began_s = time.monotonic()
    with make_trouble(pool.port, MEETINGS, flapping) as trouble:
        while time.monotonic() - began_s < options.minutes * 60:
            found = meter.measure("mix", CONNECTIONS, options.slice, 0.0, rate)
            slices.append(
                Slice(
                    at_s=round(time.monotonic() - began_s, 1),
                    rate=round(found.rate),
                    p50_ms=round(found.latency(0.5), 1),
                    p99_ms=round(found.latency(0.99), 1),
                    errors=found.errors,
                    rss_mb=round(rss_mb(pool.pid), 1),
                    redis_rss_mb=round(rss_mb(pool.redis_pid), 1),
                    files=open_files(pool.pid),
                )
            )
            for sample in found.samples:
                print(f"soak: wrong answer: {sample}", flush=True)
    return slices, trouble, pool.warnings()


def judge(slices: Sequence[Slice]) -> list[str]:
    """Return the figures that grew from the second quarter to the last; the first is a warm-up."""
    quarter = max(1, len(slices) // 4)
    early, late = slices[quarter : 2 * quarter] or slices[:1], slices[-quarter:]

    def grew(name: str) -> tuple[float, float]:
        def middle(part: Sequence[Slice]) -> float:
            return float(statistics.median(getattr(each, name) for each in part))

        return middle(early), middle(late)

    faults = []
    for name, unit in (("rss_mb", "MB"), ("redis_rss_mb", "MB")):
        before, after = grew(name)
        if after > before * MEMORY_GROWTH:
            faults.append(f"{name} from {before:g} to {after:g} {unit}")
    before, after = grew("p99_ms")
    if after > before * LATENCY_GROWTH:
        faults.append(f"p99 from {before:g} to {after:g} ms")
    before, after = grew("files")
    if after > before + FILES_GROWTH:
        faults.append(f"open files from {before:g} to {after:g}")
    errors = sum(each.errors for each in slices)
    if errors:
        faults.append(f"{errors} wrong or missing answers")
    return faults


def render_slices(slices: Sequence[Slice]) -> str:
    """Return the table."""
    heading = ["second", "req/s", "p50 ms", "p99 ms", "errors", "RSS MB", "Redis MB", "files"]
    return render_table(
        [heading, *([f"{value:g}" for value in asdict(each).values()] for each in slices)]
    )


def _write(options: argparse.Namespace, slices: Sequence[Slice], faults: Sequence[str]) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().astimezone()
    stem = options.output / f"soak-{now:%Y%m%d-%H%M%S}"
    facts = {"taken": now.isoformat(timespec="seconds"), "share": options.share, "faults": faults}
    document = facts | {"slices": [asdict(each) for each in slices]}
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1))
    panels = [
        Panel(f"{title}, over hours", {title: [(s.at_s / 3600, getattr(s, name)) for s in slices]})
        for title, name in (("p99 ms", "p99_ms"), ("memory, MB", "rss_mb"))
    ]
    stem.with_suffix(".svg").write_text(render_lines(panels, f"Soak, {now:%Y-%m-%d %H:%M}"))
    print(f"soak: figures in {stem}.json, picture in {stem}.svg")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
