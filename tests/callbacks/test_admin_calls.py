"""The admin calls about callbacks: what is refused (tests/ctl/test_callbacks.py has the rest)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.ctl.client import Refusal
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import open_features


@pytest.fixture
async def control(redis_url: str, redis_namespace: str) -> AsyncIterator[ControlDouble]:
    async with open_features(redis_url, redis_namespace) as res, open_control(res) as opened:
        yield opened


async def test_empty_queue_is_an_empty_list(control: ControlDouble) -> None:
    assert await control.get("listCallbacks") == {"callbacks": [], "problems": []}
    nothing: dict[str, list[str]] = {"ids": [], "unchanged": [], "problems": []}
    assert await control.post("retryCallbacks", {}) == nothing


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"state": "x"}, "state must be one of pending, done, failed, dropped"),
        ({"limit": "0"}, "limit must be from 1 to 10000"),
        ({"limit": "²"}, "limit must be from 1 to 10000"),
        ({"limit": "99999999999"}, "limit must be from 1 to 10000"),
    ],
)
async def test_bad_query_is_refused(
    control: ControlDouble, query: dict[str, str], reason: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        await control.get("listCallbacks", **query)
    assert (refusal.value.status, str(refusal.value)) == (400, reason)


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": "1"}, {"ids": [1]}])
async def test_drop_needs_ids(control: ControlDouble, body: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refusal:
        await control.post("dropCallbacks", body)
    assert refusal.value.status == 400
