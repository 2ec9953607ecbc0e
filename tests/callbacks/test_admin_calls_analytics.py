"""The admin calls about analytics over the real control socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.ctl.client import Refusal
from appliance.features import Features
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import open_features, rewire

BODY = b'{"meeting_id":"math","customer":"school","data":{"duration":1}}'


@pytest.fixture
async def res(redis_url: str, redis_namespace: str) -> AsyncIterator[Features]:
    async with open_features(redis_url, redis_namespace) as opened:
        yield opened


@pytest.fixture
async def control(res: Features, tmp_path: Path) -> AsyncIterator[ControlDouble]:
    files = AnalyticsFiles(tmp_path)
    files.save("run-1", BODY)
    async with open_control(rewire(res, callbacks__analytics_files=files)) as opened:
        yield opened


async def status_of(control: ControlDouble, call: str, **query: str) -> int:
    with pytest.raises(Refusal) as refused:
        await control.get(call, **query)
    return refused.value.status


async def test_reports_are_listed_and_shown(control: ControlDouble) -> None:
    (one,) = (await control.get("listAnalytics"))["analytics"]
    received_ms = one.pop("received_ms")
    assert one == {"id": "run-1", "meeting_id": "math", "customer": "school", "bytes": len(BODY)}
    assert received_ms > 0
    shown = await control.get("getAnalytics", id="run-1")
    assert shown["report"]["data"] == {"duration": 1}


@pytest.mark.parametrize(
    ("call", "query", "status"),
    [
        ("getAnalytics", {}, 400),
        ("getAnalytics", {"id": "other"}, 404),
        ("getAnalytics", {"id": "../run-1"}, 404),
        ("listAnalytics", {"limit": "0"}, 400),
        ("listAnalytics", {"limit": "x"}, 400),
    ],
)
async def test_what_cannot_be_shown_is_refused(
    control: ControlDouble, call: str, query: dict[str, str], status: int
) -> None:
    assert await status_of(control, call, **query) == status


async def test_it_is_said_that_none_are_kept(res: Features) -> None:
    async with open_control(res) as control:
        for call, query in (("listAnalytics", {}), ("getAnalytics", {"id": "run-1"})):
            assert await status_of(control, call, **query) == 400
