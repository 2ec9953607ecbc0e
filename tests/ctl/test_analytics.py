"""`ctl analytics`: output as table and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.callbacks import admin_calls
from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.ctl.analytics import DEFAULT_LIMIT, MAX_LIMIT
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import open_features, rewire

BODY = b'{"meeting_id":"math\\u001b[2J","customer":"school","data":{"name":"Z\xc3\xb6e"}}'


@pytest.fixture
async def control(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> AsyncIterator[ControlDouble]:
    files = AnalyticsFiles(tmp_path)
    for number in range(2):
        files.save(f"run-{number}", BODY)
        os.utime(files.directory / f"run-{number}.json", (1_700_000_000 + number,) * 2)
    async with (
        open_features(redis_url, redis_namespace) as res,
        open_control(rewire(res, callbacks__analytics_files=files)) as opened,
    ):
        yield opened


async def test_reports_are_listed_in_a_table(control: ControlDouble) -> None:
    listed = await control.ctl("analytics", "list", "--limit", "1")
    heading, row = listed.out.splitlines()
    assert heading.split() == ["ID", "MEETING", "ID", "CUSTOMER", "RECEIVED", "(UTC)", "SIZE"]
    assert row.split()[:5] == ["run-1", "math\\x1b[2J", "school", "2023-11-14", "22:13"]
    assert len((await control.ctl("analytics")).out.splitlines()) == 3
    assert [one["id"] for one in (await control.ctl("analytics", "--json")).json] == [
        *("run-1", "run-0"),
    ]


async def test_report_is_printed_as_json(control: ControlDouble) -> None:
    shown = await control.ctl("analytics", "show", "run-0")
    assert (shown.code, json.loads(shown.out)) == (0, json.loads(BODY))


async def test_unknown_report_is_an_error(control: ControlDouble) -> None:
    shown = await control.ctl("analytics", "show", "other")
    assert (shown.code, shown.out) == (1, "")
    assert "no analytics are kept for other" in shown.err


def test_limits_are_those_of_the_call() -> None:
    schema = admin_calls
    assert (DEFAULT_LIMIT, MAX_LIMIT) == (schema.DEFAULT_LIMIT, schema.MAX_LIMIT)
