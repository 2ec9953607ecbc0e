"""Run the benchmarks of large pools.

    python -m benchmarks.large [--only NAME,NAME] [--quick] [--list]

Prints a table in Markdown, and writes it and JSON into benchmarks/results. A limit that is missed
fails nothing: machines differ. APPLIANCE_COMMAND names another appliance to be measured.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.large.noise import NoiseMeter
from benchmarks.large.scenario import Figure, Scenario, Setting, find_scenarios
from benchmarks.large.table import Result, as_json, render_markdown

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main(arguments: Sequence[str]) -> int:
    """Run scenarios; return 1 if one could not be measured."""
    scenarios = find_scenarios()
    options = _parse(arguments, scenarios)
    if options.list:
        for each in scenarios.values():
            print(f"{each.name:20} {each.text}")
        return 0
    results = []
    for name in options.only:
        print(f"large: {name}", file=sys.stderr, flush=True)
        results.append(run_scenario(scenarios[name], quick=options.quick))
    print(render_markdown(results))
    _write(options.output, results)
    return int(any(each.failure for each in results))


def _parse(arguments: Sequence[str], scenarios: dict[str, Scenario]) -> argparse.Namespace:
    def names(text: str) -> list[str]:
        asked = text.split(",")
        if unknown := [name for name in asked if name not in scenarios]:
            raise argparse.ArgumentTypeError(f"not known: {', '.join(unknown)} (see --list)")
        return asked

    text = "Measure what grows with the pool."
    parser = argparse.ArgumentParser(prog="benchmarks.large", description=text)
    add = parser.add_argument
    add("--only", type=names, default=list(scenarios), help="scenarios, separated by commas")
    add("--quick", action="store_true", help="small pools and short windows")
    add("--list", action="store_true", help="list the scenarios and end")
    add("--output", type=Path, default=RESULTS, help="directory for JSON and Markdown")
    return parser.parse_args(arguments)


def run_scenario(scenario: Scenario, *, quick: bool) -> Result:
    """Measure one; what fails is noted, with the figures until then."""
    figures: list[Figure] = []
    failure, began_s = "", time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, NoiseMeter() as meter:
        try:
            for figure in scenario.measure(Setting(Path(name), quick)):
                print(f"large:   {figure.what}: {figure.value:.4g} {figure.unit}", file=sys.stderr)
                figures.append(figure)
        except Exception as error:  # the other scenarios are measured all the same
            failure = f"{type(error).__name__}: {error}"
            print(f"large:   {failure}", *getattr(error, "__notes__", ()), file=sys.stderr)
    seconds = time.monotonic() - began_s
    return Result(scenario.name, scenario.text, figures, meter.noise, seconds, failure)


def _write(output: Path, results: Sequence[Result]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().astimezone()
    path = output / f"large-{now:%Y%m%d-%H%M%S}.json"
    taken = now.isoformat(timespec="seconds")
    path.write_text(json.dumps({"taken": taken, "results": as_json(results)}, indent=1))
    path.with_suffix(".md").write_text(render_markdown(results) + "\n")
    print(f"large: figures in {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
