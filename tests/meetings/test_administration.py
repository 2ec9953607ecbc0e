"""The operator's view of meetings, on a real Redis and simulated BBB servers."""

from __future__ import annotations

import pytest

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.features import Features
from appliance.meetings.administration import (
    end_meetings,
    find_meetings,
    list_server_meetings,
    show_meeting,
)
from appliance.meetings.placement import PlacementRequest
from appliance.model import MeetingId
from appliance.pool.ending import EndOutcome
from appliance.servers.administration import add_server, enable_server
from appliance.servers.values import NewServer
from tests.doubles.bbb_process import BbbProcess, open_bbb_servers
from tests.doubles.features import open_features


async def fill(res: Features, servers: list[BbbProcess], *names: str) -> None:
    """Enable the servers, and spread meetings over them."""
    by_id = {bbb.server_id: bbb for bbb in servers}
    for server_id, bbb in by_id.items():
        await add_server(res.servers, "me", NewServer(bbb.url, bbb.secret, id=server_id))
        await enable_server(res.servers, "me", server_id)
    for number, name in enumerate(names):
        request = PlacementRequest(
            MeetingId(name), None, "mp", "mp", (f"7000{number}",), res.now_ms(), 0.0
        )
        placement = await res.meetings.store.place_meeting(request)
        assert placement.meeting is not None
        await res.meetings.store.confirm_meeting(placement.meeting, now_ms=res.now_ms())
        by_id[placement.meeting.server_id].create_meeting(
            name, moderatorPW="mp", name=f"Room {name}", meta_course="Physics"
        )


async def test_meetings_are_found_all_or_by_id(redis_url: str, redis_namespace: str) -> None:
    async with open_bbb_servers(2) as servers, open_features(redis_url, redis_namespace) as res:
        await fill(res, servers, "m-a", "m-b", "m-c")

        everything = await find_meetings(res.meetings)
        some = await find_meetings(res.meetings, ["m-c", "nobody", "m-a", "m-c"])

        assert [one.id for one in everything.meetings] == ["m-a", "m-b", "m-c"]
        assert [one.id for one in some.meetings] == ["m-c", "m-a"]
        assert some.unknown == ("nobody",)


async def test_shown_meeting_is_what_its_server_says(redis_url: str, redis_namespace: str) -> None:
    async with open_bbb_servers(1) as servers, open_features(redis_url, redis_namespace) as res:
        await fill(res, servers, "m-a")
        servers[0].set_users("m-a", participants=3, moderators=1)

        shown = await show_meeting(res.meetings, "m-a")

        assert shown.meeting.server_id == "bbb-1"
        assert (shown.info.name, shown.info.participants) == ("Room m-a", 3)
        assert ("course", "Physics") in shown.info.metadata


async def test_meeting_that_is_over_is_forgotten_when_it_is_shown(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bbb_servers(1) as servers, open_features(redis_url, redis_namespace) as res:
        await fill(res, servers, "m-a")
        servers[0].end_meeting("m-a")

        with pytest.raises(Refused, match="no meeting with id m-a"):
            await show_meeting(res.meetings, "m-a")
        assert (await find_meetings(res.meetings)).meetings == ()


async def test_meeting_on_a_dead_server_is_refused_with_the_reason(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bbb_servers(1) as servers, open_features(redis_url, redis_namespace) as res:
        await fill(res, servers, "m-a")
        servers[0].kill()

        with pytest.raises(Refused, match="server bbb-1 cannot say anything") as refused:
            await show_meeting(res.meetings, "m-a")
        assert refused.value.kind is RefusalKind.UNREACHABLE
        assert len((await find_meetings(res.meetings)).meetings) == 1


async def test_meetings_are_ended_by_id(redis_url: str, redis_namespace: str) -> None:
    async with open_bbb_servers(2) as servers, open_features(redis_url, redis_namespace) as res:
        await fill(res, servers, "m-a", "m-b", "m-c")

        done = await end_meetings(res.meetings, "me", ["m-b", "nobody"])

        assert [(one.id, one.outcome) for one in done.meetings] == [("m-b", EndOutcome.ENDED)]
        assert done.unknown == ("nobody",)
        assert [one.id for one in (await find_meetings(res.meetings)).meetings] == ["m-a", "m-c"]


async def test_all_meetings_are_ended_but_for_those_of_a_dead_server(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bbb_servers(2) as servers, open_features(redis_url, redis_namespace) as res:
        await fill(res, servers, "m-a", "m-b", "m-c", "m-d")
        placed = {one.id: one.server_id for one in (await find_meetings(res.meetings)).meetings}
        assert set(placed.values()) == {"bbb-1", "bbb-2"}
        servers[1].kill()

        done = await end_meetings(res.meetings, "me", None)

        outcomes = {one.id: one.outcome for one in done.meetings}
        left = {one.id for one in (await find_meetings(res.meetings)).meetings}
        assert left == {name for name in placed if placed[name] == "bbb-2"}
        assert {outcomes[name] for name in left} == {EndOutcome.FAILED}
        assert not servers[0].meetings()


async def test_no_ids_never_mean_all(redis_url: str, redis_namespace: str) -> None:
    async with open_bbb_servers(1) as servers, open_features(redis_url, redis_namespace) as res:
        await fill(res, servers, "m-a")

        with pytest.raises(Refused, match="no meeting ids"):
            await end_meetings(res.meetings, "me", [])
        assert list(servers[0].meetings()) == ["m-a"]


async def test_meetings_of_servers_come_from_the_servers(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bbb_servers(2) as servers, open_features(redis_url, redis_namespace) as res:
        await fill(res, servers)
        servers[0].create_meeting("not-ours")
        servers[1].kill()

        first, second = await list_server_meetings(res.meetings)

        by_id = {str(one.server.id): one for one in (first, second)}
        assert [one.id for one in by_id["bbb-1"].meetings] == ["not-ours"]
        assert by_id["bbb-2"].failure
        (only,) = await list_server_meetings(res.meetings, ["bbb-1"])
        assert only.server.id == "bbb-1"
        with pytest.raises(Refused, match="Couldn't find server with id=x"):
            await list_server_meetings(res.meetings, ["bbb-1", "x"])


async def test_server_with_a_wrong_secret_reports_its_failure(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bbb_servers(1) as (bbb,), open_features(redis_url, redis_namespace) as res:
        await add_server(res.servers, "me", NewServer(bbb.url, "wrong", id="one"))

        (one,) = await list_server_meetings(res.meetings)

        assert one.failure == "the server answered FAILED"
