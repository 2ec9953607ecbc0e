"""benchmarks/soak.py: the criteria of growth, and the misbehaving clients and server."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from benchmarks.soak import Slice, judge, render_slices
from benchmarks.trouble import make_trouble
from tests.doubles.bbb_process import BbbProcess, until

STEADY = [Slice(15.0 * n, 900, 5, 20, 0, 100, 20, 60) for n in range(1, 17)]


def rising(name: str, last: float) -> list[Slice]:
    """Return STEADY with one figure rising in equal steps."""
    first = getattr(STEADY[0], name)
    step = (last - first) / (len(STEADY) - 1)
    changes: list[dict[str, Any]] = [{name: first + step * n} for n in range(len(STEADY))]
    return [
        dataclasses.replace(each, **change) for each, change in zip(STEADY, changes, strict=True)
    ]


def test_steady_soak_has_no_faults() -> None:
    assert judge(STEADY) == []
    assert len(render_slices(STEADY).splitlines()) == len(STEADY) + 2


@pytest.mark.parametrize(
    ("name", "last", "says"),
    [
        ("rss_mb", 130, "rss_mb from"),
        ("redis_rss_mb", 40, "redis_rss_mb from"),
        ("p99_ms", 80, "p99 from"),
        ("files", 200, "open files from"),
        ("errors", 1, "wrong or missing"),
    ],
)
def test_growth_is_a_fault(name: str, last: float, says: str) -> None:
    (fault,) = judge(rising(name, last))

    assert fault.startswith(says) or says in fault


def test_growth_during_the_warm_up_is_no_fault() -> None:
    warming = [dataclasses.replace(each, rss_mb=80) for each in STEADY[:4]]

    assert judge(warming + STEADY[4:]) == []


async def test_trouble_disturbs_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.trouble.FLAP_S", 0.05)
    with BbbProcess() as target, BbbProcess() as flapping:
        with make_trouble(target.port, ("m",), flapping) as trouble:
            await until(lambda: min(trouble.abandoned, trouble.read_slowly, trouble.flaps) > 2, 40)

        assert trouble.failures == []
        assert flapping.control("state")["faults"] == []
