"""benchmarks/report.py and plot.py: the output for given figures."""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.figures import SHARES, Cell, Measurement, Start
from benchmarks.plot import render_plot
from benchmarks.report import render_report, render_table, to_json

GOOD = Measurement(
    rate=4512.4,
    latency_ms=(0.5, 0.6, 1.0, 2.0, 3.0, 4.0, 5.25, 9.5, 20.0, 30.0),
    cpu_ms=0.2,
    redis_cpu_ms=0.05,
    busy=0.9,
    generator_busy=0.2,
    foreign_busy=0.0,
    rss_mb=80.2,
    requests=9000,
    errors=0,
)
START = Start("this", 0.5, 76.0, 16.0)


def cell(connections: int = 16, build: str = "this", **changes: Any) -> Cell:
    measured = dataclasses.replace(GOOD, **changes)
    return Cell(build, "join", connections, (measured,))


def row(report: str, connections: int) -> list[str]:
    lines = [line.split() for line in report.splitlines()]
    return next(line for line in lines if line[:2] == ["join", str(connections)])


def test_table_aligns_text_left_and_numbers_right() -> None:
    table = render_table([["scenario", "conn"], ["join", "1"], ["index", "64"]])

    assert table.splitlines() == [
        "scenario  conn",
        "--------  ----",
        "join         1",
        "index       64",
    ]


def test_report_shows_the_figures_and_the_target() -> None:
    report = render_report([cell(16), cell(64)], [START], "")

    figures = ["4512", "2.00", "5.25", "9.50", "0.200", "0.050", "90%", "0%", "80", "0"]
    assert row(report, 16) == ["join", "16", *figures, ">=4000/s", "<=0.24", "ms", "yes"]
    assert row(report, 64) == ["join", "64", *figures]
    assert "ready after 0.50 s; idle 92 MB RSS" in report
    assert "!" not in report


def test_report_names_the_figures_that_miss_the_target() -> None:
    report = render_report([cell(rate=1.0, cpu_ms=1.0)], [START], "")

    assert row(report, 16)[-3:] == ["no:", "rate,", "CPU"]


@pytest.mark.parametrize(
    ("changes", "logged", "warning"),
    [
        ({"errors": 3, "samples": ("status b'500'",)}, "", "!!! WRONG ANSWERS"),
        ({"generator_busy": 0.95}, "", "! The load generator"),
        ({"foreign_busy": 0.7}, "", "! Other processes used up to 70% of a core"),
        ({}, "server_unstable", "! The appliance logged warnings:\nserver_unstable"),
    ],
)
def test_report_warns_of_doubtful_figures(
    changes: dict[str, Any], logged: str, warning: str
) -> None:
    assert warning in render_report([cell(**changes)], [START], logged)


def test_report_compares_each_pair_of_builds() -> None:
    cells = [cell(), cell(build="against", rate=GOOD.rate / 2, cpu_ms=0.3)]

    report = render_report(cells, [START, Start("against", 1.0, 90.0, 16.0)], "")

    ratios = [line.split() for line in report.splitlines() if line.startswith("against")]
    assert ["against", "join", "16", "0.50", "1.50", "1.00"] in ratios


def test_json_keeps_medians_and_rounds() -> None:
    document = json.loads(json.dumps(to_json([cell()], [START], {"taken": "now"})))

    assert document["taken"] == "now"
    assert document["latency_shares"] == list(SHARES)
    assert document["starts"][0]["ready_s"] == 0.5
    [found] = document["cells"]
    assert (found["scenario"], found["connections"], found["missed"]) == ("join", 16, [])
    assert found["rounds"] == [found["median"]]
    assert found["median"]["rate"] == 4512.4


def test_plot_is_well_formed_and_names_every_scenario() -> None:
    cells = [
        Cell("<this>", scenario, connections, (GOOD,))
        for scenario in ("join", "create")
        for connections in (1, 16, 64)
    ]

    root = ElementTree.fromstring(render_plot(cells, "A & B"))

    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"A & B", "join", "create", "64"} <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 2


def test_plot_is_well_formed_when_one_cell_has_no_answers() -> None:
    nothing = dataclasses.replace(GOOD, rate=0.0, latency_ms=(0.0,) * len(SHARES))

    root = ElementTree.fromstring(render_plot([Cell("this", "join", 1, (nothing,))], ""))

    assert len(list(root)) > 0
