"""The results of scenarios as a table in Markdown and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.large.noise import Noise
from benchmarks.large.scenario import Figure

FOREIGN_LIMIT = 0.2
"""Cores used by other processes above which latencies say little."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a scenario has measured."""

    name: str
    text: str
    figures: Sequence[Figure]
    noise: Noise
    seconds: float
    failure: str = ""
    """Why it ended early."""


def render_markdown(results: Iterable[Result]) -> str:
    """Return a table with a row for each figure, and a line on the noise of each scenario."""
    lines = ["| scenario | what | measured | wanted | reached |", "| --- | --- | --- | --- | --- |"]
    notes = []
    for result in results:
        for number, figure in enumerate(result.figures):
            title = result.text if number == 0 else ""
            wanted = "" if figure.limit is None else f"≤ {_value(figure.limit, figure.unit)}"
            reached = {None: "", True: "yes", False: "no"}[figure.reached]
            value = _value(figure.value, figure.unit)
            lines.append(f"| {title} | {figure.what} | {value} | {wanted} | {reached} |")
        notes.append(_note(result))
    return "\n".join([*lines, "", *notes])


def _note(result: Result) -> str:
    noise = result.noise
    busy = ", a busy machine" if noise.foreign_cores > FOREIGN_LIMIT else ""
    failure = f" FAILED: {result.failure}." if result.failure else ""
    return (
        f"- {result.name}: {result.seconds:.0f} s; other processes used {noise.foreign_cores:.2f} "
        f"cores{busy}; a sleeping process was woken {noise.late_p99_ms:.1f} ms late at the 99th "
        f"percentile, {noise.late_worst_ms:.0f} ms at worst.{failure}"
    )


def _value(value: float, unit: str) -> str:
    digits = 0 if value == int(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def as_json(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Return everything, for a file."""
    return [
        asdict(result)
        | {"figures": [asdict(each) | {"reached": each.reached} for each in result.figures]}
        for result in results
    ]
