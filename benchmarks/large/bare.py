"""The unit in which machines are compared: a bare answer of Trio and h11 (bare_answer.py)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bare_answer import measure_bare_answer
from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.measuring import Generator

UNIT_MS = 0.061
"""On the machine of the first table in docs/performance.md."""


@scenario("bare", "a bare answer of Trio and h11")
def measure_bare(setting: Setting) -> Iterator[Figure]:
    """Yield its CPU time, and how slow the machine is."""
    with Generator() as generator:
        taken_ms = measure_bare_answer(generator, 0.5 if setting.quick else 4.0)
    yield Figure("CPU of an answer", taken_ms * 1000, "µs")
    yield Figure(f"against {UNIT_MS * 1000:.0f} µs", taken_ms / UNIT_MS, "times")
