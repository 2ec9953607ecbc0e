"""A hand-back to Scalelite: servers get the front-ends' own meetingEndedURL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from appliance.bbb.signed_request import Caller
from appliance.callbacks.handback import Handback
from appliance.meetings.create import create_meeting
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.control import open_control
from tests.doubles.live_pool import LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

URL = "https://lms.example.org/ended?course=7"
CALLER = Caller(base_url="https://scalelite.example.org")


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    async with open_live(redis_url, redis_namespace, bbbs) as opened:
        yield opened


async def sent_url(pool: LivePool, **params: str) -> str | None:
    """Create the meeting `math` and return the meetingEndedURL that its server gets."""
    given = (("meetingID", "math"), *params.items())
    assert b"SUCCESS" in await create_meeting(pool.res.meetings, CALLER, given)
    requests = [one for bbb in pool.servers for one in bbb.requests("create")]
    return dict(parse_qsl(requests[-1]["query"])).get("meetingEndedURL")


async def test_server_gets_the_front_ends_url_while_a_handback_is_prepared(pool: LivePool) -> None:
    await pool.res.callbacks.handback.prepare(True)

    assert await sent_url(pool, meetingEndedURL=f" {URL} ") == URL
    # Its server notifies the front-end, so nothing else may.
    pool.servers[0].end_meeting("math", callback=False)
    for _ in range(2):
        await pool.poll("bbb-1")
    assert await pool.redis("ZCARD", "appliance:ended_due") == 0


async def test_server_gets_no_url_when_the_front_end_gave_none(pool: LivePool) -> None:
    await pool.res.callbacks.handback.prepare(True)

    assert await sent_url(pool) is None


async def test_server_gets_the_appliances_url_otherwise(pool: LivePool) -> None:
    await pool.res.callbacks.handback.prepare(True)
    await pool.res.callbacks.handback.prepare(False)

    url = await sent_url(pool, meetingEndedURL=URL)
    assert url is not None
    assert urlsplit(url).hostname == "scalelite.example.org"
    assert await pool.redis("EXISTS", "appliance:handback") == 0


@pytest.mark.parametrize("url", ["http://10.0.0.5/ended", "ftp://lms.example.org/"])
async def test_url_that_must_not_be_called_is_not_handed_back(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], url: str
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs, CALLBACK_BLOCK_PRIVATE="true") as pool:
        await pool.res.callbacks.handback.prepare(True)

        assert await sent_url(pool, meetingEndedURL=url) is None


async def test_operator_prepares_a_handback_for_all_appliances(pool: LivePool) -> None:
    other = Handback(pool.res.redis.background)
    async with open_control(pool.res) as control:
        for word, prepared in (("on", True), ("off", False)):
            done = await control.ctl("takeover", "prepare-handback", word)
            assert (done.code, done.out, done.err) == (0, "OK\n", "")
            await other.refresh()
            assert pool.res.callbacks.handback.prepared == other.prepared == prepared
        assert (await control.ctl("takeover", "prepare-handback", "x")).code == 2
    assert [event["on"] for event in pool.log.named("handback_prepared")] == [True, False]
    assert pool.log.named("handback_prepared")[0]["by"].startswith("uid=")
