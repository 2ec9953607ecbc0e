"""Alert rules, dashboard and document name existing metrics; the document names all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.callbacks.rules import CallbackState
from appliance.fleet.capacity import plan_capacity
from appliance.instruments import Metrics
from appliance.metrics.exposition import SpoolStatus, StoreSnapshot, TenantNow, render_metrics
from appliance.metrics.host import HostStatus
from appliance.model import Server, ServerId
from appliance.tenants.limits import TenantLimits
from tests.doubles.settings import settings_of

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "config/prometheus/scalelite-appliance.rules.yml"
DASHBOARDS = sorted((ROOT / "config/grafana").glob("*.json"))
DOCUMENT = ROOT / "docs/metrics.md"
NAME = re.compile(r"\b(?:scalelite|process)_[a-z_]+[a-z]\b")


def families() -> dict[str, str]:
    """Return the type of every metric by its name."""
    server = Server(id=ServerId("a"), url="https://a.example", secret="s")
    text = render_metrics(
        Metrics(),
        StoreSnapshot(
            *([server], SpoolStatus(0, 0.0), {CallbackState.FAILED: 0}, True, HostStatus((), 1.0)),
            tenants={"school": TenantNow()},
            limits={"school": TenantLimits({"max_users": 2.0}, {"max_users": 1.0})},
            imports_waiting={},
            capacity=plan_capacity([server], {}, 0, settings_of().fleet),
            shares={"3.0.12": 0.1},
        ),
        "",
    )[1].decode()
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def base_of(name: str) -> str:
    """Return the metric that a sample belongs to."""
    return re.sub(r"_(?:bucket|count|sum)$", "", name)


def expressions(value: Any) -> list[str]:
    """Return every `expr`, at any depth."""
    if isinstance(value, list):
        return [found for item in value for found in expressions(item)]
    if isinstance(value, dict):
        own = [value["expr"]] if isinstance(value.get("expr"), str) else []
        return own + [found for item in value.values() for found in expressions(item)]
    return []


def unknown(texts: list[str]) -> set[str]:
    found = {name for text in texts for name in NAME.findall(text)}
    assert found
    return {name for name in found if base_of(name) not in families()}


def test_alerts_use_existing_metrics_and_give_advice() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]

    assert not unknown(expressions(group))
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"]
        assert rule["expr"].count("(") == rule["expr"].count(")")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboard_uses_existing_metrics(path: Path) -> None:
    dashboard = json.loads(path.read_text())

    assert not unknown(expressions(dashboard["panels"]))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids) > 10


def test_document_describes_each_metric() -> None:
    described = set(re.findall(r"`(scalelite_[a-z0-9_]+)`", DOCUMENT.read_text()))

    assert described == {name for name in families() if name.startswith("scalelite_")}


def test_tenants_dashboard_shows_each_metric_of_tenants() -> None:
    (path,) = [path for path in DASHBOARDS if "tenants" in path.stem]
    shown = set(NAME.findall(" ".join(expressions(json.loads(path.read_text())))))

    assert {name for name in families() if name.startswith("scalelite_tenant_")} <= shown
