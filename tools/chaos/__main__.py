"""Strike the appliances with every fault, and compare what front-ends were told with what is so.

    python -m tools.chaos [--faults refuse,redis-killed] [--minutes 10] [--pairs 20] [--seed 1]

Each fault comes once, then pairs of them until the time is over. The same seed gives the same calls
and pairs in the same order; their timing is the machine's. Exit code 1: something that was
acknowledged was lost or doubled.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import trio

from tools.chaos import report
from tools.chaos.client import LIMIT_S, Client
from tools.chaos.experiment import Experiment, Result, Times
from tools.chaos.faults import FAULTS, Fault, can_be_paired, find_faults
from tools.chaos.laboratory import open_laboratory
from tools.chaos.ledger import Ledger

USUAL = Times(quiet_s=2.0, struck_s=5.0)
QUICK = Times(quiet_s=0.5, struck_s=2.0)
QUICK_FAULTS = "answers-lost,redis-failover,app-killed"
RATE = 30.0
_INSIDE = "CHAOS_HAS_MOUNTS"
"""Set in the environment once the process has a mount namespace of its own."""


def main(arguments: Sequence[str]) -> int:
    """Run the laboratory."""
    options = parse_options(arguments)
    _own_mounts()
    results: list[Result] = []
    try:
        trio.run(_run, options, results)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    print(f"\n{report.total(results)}")
    _write(options, results)
    for result in results:
        found = result.findings
        for line in (*found.lost, *found.doubled, *found.orphans):
            print(f"{result.name}: {line}")
        for title, *lines in found.stories:
            print(f"\n{title}", *lines, sep="\n  ")
    return 1 if any(one.findings.lost or one.findings.doubled for one in results) else 0


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with 2 and a usage line if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="make chaos", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--seed", type=int, default=1, help="seed of calls and pairs (1)")
    add("--faults", type=find_faults, default=list(FAULTS), help="only these, a list with commas")
    add("--minutes", type=float, default=10.0, help="begin no experiment after this time (10)")
    add("--pairs", type=int, default=1_000, help="at most so many pairs")
    add("--rate", type=float, default=RATE, help=f"visits per second ({RATE:g})")
    add("--quick", action="store_true", help=f"short times; by default only {QUICK_FAULTS}")
    add("--json", type=Path, help="write the results to this file")
    add("--markdown", type=Path, help="write the table to this file")
    options = parser.parse_args(arguments)
    if options.quick and options.faults == list(FAULTS):
        options.faults, options.pairs = find_faults(QUICK_FAULTS), 0
    return options


def _own_mounts() -> None:
    """Leave the machine's mounts alone: the small disk is in a mount namespace of its own."""
    if os.geteuid() == 0 and shutil.which("unshare") and os.environ.get(_INSIDE) is None:
        command = ["unshare", "--mount", sys.executable, "-m", "tools.chaos", *sys.argv[1:]]
        if subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0:
            os.execvpe("unshare", command, {**os.environ, _INSIDE: "1"})


def plan(options: argparse.Namespace, rng: random.Random) -> Iterator[list[Fault]]:
    """Yield each fault, then random pairs."""
    for fault in options.faults:
        yield [fault]
    pairs = [
        list(pair) for pair in itertools.combinations(options.faults, 2) if can_be_paired(*pair)
    ]
    rng.shuffle(pairs)
    yield from pairs[: options.pairs]


async def _run(options: argparse.Namespace, results: list[Result]) -> None:
    began_s = time.monotonic()
    ledger = Ledger()
    timeout = httpx.Timeout(LIMIT_S)
    limits = httpx.Limits(max_connections=300, max_keepalive_connections=20)
    async with (
        httpx.AsyncClient(timeout=timeout, limits=limits) as http,
        open_laboratory() as lab,
        trio.open_nursery() as nursery,
    ):
        print(f"{report.LEGEND}\n\n{report.head()}", flush=True)
        client = Client(lab, ledger, random.Random(options.seed), options.rate, http)
        experiment = Experiment(lab, client, ledger, QUICK if options.quick else USUAL)
        nursery.start_soon(client.run)
        for faults in plan(options, random.Random(options.seed)):
            if time.monotonic() - began_s > 60 * options.minutes:
                break
            results.append(await experiment.run(faults))
            print(report.row(results[-1]), flush=True)
            _write(options, results)
        nursery.cancel_scope.cancel()


def _write(options: argparse.Namespace, results: Sequence[Result]) -> None:
    if options.json:
        document = {"seed": options.seed, "experiments": [report.as_json(one) for one in results]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(report.markdown(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
