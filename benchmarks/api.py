"""`make bench`: throughput, latency and CPU time of API requests.

    python benchmarks/api.py [--quick] [--scenarios join,create] [--profile join] ...

Runs the appliance with three simulated servers and a load generator, each in a process of its own;
prints a table; writes JSON and a picture into benchmarks/results. benchmarks/README.md explains
the figures. Every answer is checked.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: benchmarks and tests are found from the root
    sys.path[0] = str(ROOT)

from benchmarks.figures import Cell, Measurement, Start  # noqa: E402
from benchmarks.measuring import Generator, Meter, open_meter  # noqa: E402
from benchmarks.plot import render_plot  # noqa: E402
from benchmarks.pool import Build, PoolError  # noqa: E402
from benchmarks.profiling import (  # noqa: E402
    ProfileError,
    find_py_spy,
    parse_stacks,
    recorded,
    render_profile,
)
from benchmarks.report import render_report, to_json  # noqa: E402
from benchmarks.scenarios import SCENARIOS  # noqa: E402

PROGRAM = Path(sys.executable).with_name("scalelite-appliance")
RESULTS = ROOT / "benchmarks" / "results"
PROFILE_CONNECTIONS = 16
LIBRARIES = ("trio", "hypercorn", "h11", "hiredis", "lxml")
EXIT_DOUBTFUL = 1
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

Key = tuple[str, str, int]
"""Build, scenario, connections."""


def main(arguments: Sequence[str]) -> int:
    """Run the measurements; return 1 if an answer was wrong or nothing could be measured.

    A missed target is no failure: machines differ.
    """
    options = parse_options(arguments)
    # As an exception like that of Ctrl-C, so that every process is stopped in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        if options.profile:
            return _profile(options)
        return _measure(options)
    except (PoolError, ProfileError, OSError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_DOUBTFUL
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with 2 and a usage line if it is wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks/api.py", description="Measure the API.")
    add = parser.add_argument
    add("--rounds", type=_positive_int, default=3, help="rounds, of which medians are taken (3)")
    add("--seconds", type=_positive, default=2.0, help="seconds of each measurement (2)")
    add("--warm-up", type=_positive, default=0.3, help="seconds before each measurement (0.3)")
    add("--connections", type=_numbers, default=(1, 16, 64), help="keep-alive (1,16,64)")
    add("--scenarios", type=_scenarios, default=SCENARIOS, help=f"of {','.join(SCENARIOS)}")
    add("--users", type=_positive_int, default=2, help="attendees listed in each meeting (2)")
    add("--quick", action="store_true", help="a run of a few seconds, as a smoke test")
    add("--profile", choices=SCENARIOS, help="profile one scenario with py-spy")
    add("--program", type=_path, default=PROGRAM, help="another scalelite-appliance script")
    add("--against", type=_path, help="a second program, measured alternately with the first")
    add("--output", type=_path, default=RESULTS, help="directory for JSON and SVG")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.warm_up = 1, 0.3, 0.1
        options.connections = options.connections[-1:] if len(options.connections) == 1 else (4,)
    return options


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 3600:
        raise argparse.ArgumentTypeError("must be above 0 and below 3600")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if not 0 < value < 10_000:
        raise argparse.ArgumentTypeError("must be from 1 to 9999")
    return value


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_positive_int(part) for part in text.split(",")))


def _path(text: str) -> Path:
    return Path(text).absolute()  # the processes run in another directory


def _scenarios(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in chosen if name not in SCENARIOS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(unknown)}; of {', '.join(SCENARIOS)}"
        )
    return chosen


# --- measure -------------------------------------------------------------------------------------


def _measure(options: argparse.Namespace) -> int:
    builds = [Build("this", options.program)]
    if options.against is not None:
        builds.append(Build("against", options.against))
    began_s = time.monotonic()
    found: dict[Key, list[Measurement]] = {}
    starts: list[Start] = []
    logged = ""
    with Generator() as generator:
        for number in range(options.rounds):
            _say(f"round {number + 1} of {options.rounds}")
            # New processes for each round, so that a round does not depend on the one before.
            with contextlib.ExitStack() as stack:
                meters = [
                    stack.enter_context(open_meter(build, generator, options.users))
                    for build in builds
                ]
                _run_round(options, meters, found)
                starts += [meter.pool.start for meter in meters]
                logged += "".join(meter.pool.warnings() for meter in meters)
    cells = [Cell(*key, tuple(rounds)) for key, rounds in found.items()]
    _say(f"took {time.monotonic() - began_s:.0f} s")
    print(f"\n{render_report(cells, starts, logged)}\n")
    _write(options, cells, starts)
    return EXIT_DOUBTFUL if any(cell.median.errors for cell in cells) else 0


def _run_round(
    options: argparse.Namespace, meters: Sequence[Meter], found: dict[Key, list[Measurement]]
) -> None:
    for scenario in options.scenarios:
        for connections in options.connections:
            for meter in meters:
                key = (meter.pool.build.name, scenario, connections)
                measured = meter.measure(scenario, connections, options.seconds, options.warm_up)
                found.setdefault(key, []).append(measured)


def _write(options: argparse.Namespace, cells: Sequence[Cell], starts: Sequence[Start]) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().astimezone()
    stem = options.output / f"api-{now:%Y%m%d-%H%M%S}"
    facts = _facts(options) | {"taken": now.isoformat(timespec="seconds")}
    stem.with_suffix(".json").write_text(json.dumps(to_json(cells, starts, facts), indent=1))
    stem.with_suffix(".svg").write_text(render_plot(cells, f"API, {now:%Y-%m-%d %H:%M}"))
    _say(f"figures in {stem}.json, picture in {stem}.svg")


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "options": {name: str(value) for name, value in vars(options).items()},
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "architecture": platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
        },
        "versions": {"python": platform.python_version()} | {n: _version(n) for n in LIBRARIES},
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


# --- profile -------------------------------------------------------------------------------------


def _profile(options: argparse.Namespace) -> int:
    find_py_spy()  # before anything starts
    seconds = max(options.seconds, 1.0) if options.quick else max(options.seconds, 8.0)
    options.output.mkdir(parents=True, exist_ok=True)
    raw = options.output / f"profile-{options.profile}.txt"
    build = Build("this", options.program)
    with Generator() as generator, open_meter(build, generator, options.users) as meter:
        meter.measure(options.profile, PROFILE_CONNECTIONS, 1.0, 0.1)
        _say(f"profile of {options.profile}, {PROFILE_CONNECTIONS} connections, {seconds:g} s")
        with recorded(meter.pool.pid, seconds, raw):
            # Longer than the sampling, which must not include the end of the load.
            measured = meter.measure(options.profile, PROFILE_CONNECTIONS, seconds + 1.0, 0.5)
    print(f"\n{render_profile(parse_stacks(raw.read_text()))}\n")
    _say(f"{measured.rate:.0f} requests/s while sampled, {measured.errors} errors")
    _say(f"collapsed stacks in {raw} (speedscope and flamegraph.pl read them)")
    return EXIT_DOUBTFUL if measured.errors else 0


def _say(text: str) -> None:
    print(f"bench: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
