"""The findings of doctor, and the configuration: each value, masked, and its source."""

from __future__ import annotations

import os

import trio
from quart import Response

from appliance.console.core import Console, Done, Notice, Route, Visit
from appliance.console.snapshot import Examination
from appliance.doctor.findings import Finding, Level
from appliance.settings import SettingsError
from appliance.settings.check import SettingRow, describe_settings

_ORDER = (Level.FAIL, Level.WARN, Level.OK)


async def show(console: Console, visit: Visit) -> Response:
    """Show the findings and the configuration."""
    examination = (await console.live.snapshot()).examination
    findings = sorted(examination.findings, key=lambda one: _ORDER.index(one.level))
    rows = await trio.to_thread.run_sync(_read_settings)
    return await console.page(
        visit, "doctor.html", findings=findings, at_ms=examination.at_ms, rows=rows
    )


def _read_settings() -> list[SettingRow]:
    try:
        return describe_settings(os.environ, is_root=os.geteuid() == 0)
    except SettingsError:
        return []  # not started from this environment


async def run_doctor(console: Console, visit: Visit) -> Done:
    """Examine everything now; takes up to ten seconds."""
    answer = await console.call(visit, "doctor")
    findings = tuple(Finding(o.check, o.level, o.text, o.advice) for o in answer.findings)
    console.live.reader.examination = Examination(findings, console.features.now_ms())
    bad = sum(one.level is not Level.OK for one in findings)
    text = visit.texts.n(bad, "Examined: one finding", "Examined: {n} findings")
    if not bad:
        text = visit.texts.t("Examined: all is well")
    return Done(Notice(text), "/scalelite/doctor")


ROUTES = (
    Route("/doctor", show, page="doctor"),
    Route("/doctor/examine", run_doctor, "POST", "doctor"),
)
