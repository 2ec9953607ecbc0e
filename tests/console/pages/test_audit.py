"""The page of the audit trail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from appliance.audit.rules import DONE, Change
from tests.doubles.console import open_console


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    """Give the host another time zone than UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield ZoneInfo("Europe/Berlin")
    time.tzset()


async def test_time_to_search_from_is_in_the_zone_of_the_times_that_are_shown(
    redis_url: str, redis_namespace: str, berlin: ZoneInfo
) -> None:
    async with open_console(redis_url, redis_namespace) as opened:
        await opened.add_server("bbb1")
        client = await opened.log_in("operator")
        await client.post("/scalelite/servers/bbb1/cordon")
        now = datetime.now(UTC)

        for shift_min, found in ((-5, True), (5, False)):
            given = now + timedelta(minutes=shift_min)
            for since in (
                given.astimezone(berlin).replace(tzinfo=None).isoformat(),
                given.isoformat().replace("+", "%2B"),
            ):
                page = await client.get(f"/scalelite/audit?since={since}")
                assert ("cordonServer" in page) is found, since
        assert "CET/CEST" in page
        assert "must be an ISO date" in await client.get("/scalelite/audit?since=noon")


async def test_lists_and_objects_of_an_entry_are_words(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_console(redis_url, redis_namespace) as opened:
        before = {"metadata": {"owner": "a <i>", "topic": "x"}, "tags": {}}
        after = {"kept": ["room-0", "<b>"], "state": "disabled", "rules": [{"a": 1, "b": [2]}]}
        change = Change("server bbb1", before, after)
        await opened.features.audit.record("token anna", "panicServer", [change], DONE)
        client = await opened.log_in("viewer")

        page = await client.get("/scalelite/audit")

        assert "kept <b>room-0, &lt;b&gt;</b>" in page
        assert "state <b>disabled</b>" in page
        assert "metadata <b>owner=a &lt;i&gt;, topic=x</b>" in page
        assert "tags <b>\N{EN DASH}</b>" in page
        assert "rules <b>a=1, b=2</b>" in page
