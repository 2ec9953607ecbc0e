"""The pages of meetings: whatever their ids are."""

from __future__ import annotations

import html
import re

from appliance.bbb.signed_request import Caller
from appliance.meetings.administration import find_meetings
from appliance.meetings.create import create_meeting
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.console import open_console

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

ODD_IDS = ("a/b", "a//b", "a/b/", "/a", "..", "x/../y", "one", "a?b&id=c#d+%2F", "é \u2028", "end")


async def test_meeting_of_an_odd_id_is_shown_and_ended_and_no_other(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_console(redis_url, redis_namespace) as opened:
        await opened.add_server("real", url=bbbs[0].url, secret=bbbs[0].secret)
        meetings = opened.features.meetings
        for one in ODD_IDS:
            assert b"SUCCESS" in await create_meeting(meetings, Caller(None), (("meetingID", one),))
        client = await opened.log_in("operator")

        page = await client.get("/scalelite/meetings")
        links = [html.unescape(one) for one in re.findall('href="([^"]*)" data-open', page)]
        assert len(links) == len(ODD_IDS)
        left = set(ODD_IDS)
        for link in links:
            shown = html.unescape(await client.get(link))
            (meeting_id,) = [one for one in left if f"<dd>{one}</dd>" in shown]
            (end,) = re.findall('formaction="([^"]*)"', shown)
            asked = html.unescape((await client.post(end)).body.decode())
            (back,) = re.findall('href="(/scalelite/meetings/[^"]*)"', asked)
            assert f"<dd>{meeting_id}</dd>" in html.unescape(await client.get(back))
            (confirm,) = re.findall('action="(/scalelite/meetings/[^"]*)"', asked)
            assert (await client.post(confirm, confirmed="true")).status == 303

            left.remove(meeting_id)
            assert {one.id for one in (await find_meetings(meetings)).meetings} == left
        assert left == set()


async def test_search_keeps_the_tenant_and_says_it(redis_url: str, redis_namespace: str) -> None:
    variables = {"MULTITENANCY_ENABLED": "true", "BASE_URL": "127.0.0.1"}
    async with open_console(redis_url, redis_namespace, **variables) as opened:
        client = await opened.log_in("viewer")

        page = await client.get("/scalelite/meetings?tenant=school")
        german = await client.get("/scalelite/meetings?tenant=school", "Accept-Language: de")

        assert '<input type="hidden" name="tenant" value="school">' in page
        assert "Only those of the tenant school." in page
        assert "Nur die des Mandanten school." in german
        assert 'name="tenant"' not in await client.get("/scalelite/meetings")
