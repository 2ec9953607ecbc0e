"""Scenarios of large pools: what one is, what it yields, and the list of all of them.

A scenario is a function that takes a `Setting` and yields a `Figure` for each row of the table:

    @scenario("metrics", "/metrics of 2,000 servers")
    def measure(setting: Setting) -> Iterator[Figure]: ...
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import benchmarks.large


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, a row of the table."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    """The value wanted at most; None: only for information."""

    @property
    def reached(self) -> bool | None:
        """Return whether the value is within its limit; None: it has none."""
        return None if self.limit is None else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scenario is given."""

    directory: Path
    """Empty, for its state; removed after it."""
    quick: bool
    """Small pools and short windows, to see that it runs."""

    def sized(self, full: int, quick: int) -> int:
        """Return the size of a pool or list."""
        return quick if self.quick else full

    @property
    def window_s(self) -> float:
        """Return how long calls are measured at a time."""
        return 1.5 if self.quick else 20.0


Measure = Callable[[Setting], Iterator[Figure]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named measurement."""

    name: str
    text: str
    measure: Measure


_scenarios: dict[str, Scenario] = {}


def scenario(name: str, text: str) -> Callable[[Measure], Measure]:
    """Register a function as the scenario `name`, described by `text`."""

    def register(measure: Measure) -> Measure:
        _scenarios[name] = Scenario(name, text, measure)
        return measure

    return register


def find_scenarios() -> dict[str, Scenario]:
    """Return the scenarios of all modules beside this one, by name."""
    for module in pkgutil.iter_modules(benchmarks.large.__path__):
        if module.name != "__main__":
            importlib.import_module(f"benchmarks.large.{module.name}")
    return dict(sorted(_scenarios.items()))
