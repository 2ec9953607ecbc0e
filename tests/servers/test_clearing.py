"""Disable and panic: the meetings are forgotten at once and ended, whatever some of them do."""

from __future__ import annotations

import pytest

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.features import Features
from appliance.meetings.placement import PlacementRequest
from appliance.model import MeetingId, ServerState
from appliance.pool.ending import EndOutcome
from appliance.servers.administration import add_server, enable_server, find_server
from appliance.servers.clearing import disable_server, panic_server
from appliance.servers.polling import poll_server
from appliance.servers.values import NewServer
from tests.doubles.bbb_process import BbbProcess, open_bbb_servers
from tests.doubles.features import EventBook, open_features


async def add_enabled(res: Features, bbb: BbbProcess, server_id: str = "one") -> None:
    await add_server(res.servers, "me", NewServer(bbb.url, bbb.secret, id=server_id))
    await enable_server(res.servers, "me", server_id)


async def create(res: Features, bbb: BbbProcess, *names: str) -> None:
    """Place meetings in the pool, and create them on the server."""
    for number, name in enumerate(names):
        request = PlacementRequest(
            MeetingId(name), None, "mp", "mp", (f"7000{number}",), res.now_ms(), 0.0
        )
        placement = await res.meetings.store.place_meeting(request)
        assert placement.meeting is not None
        await res.meetings.store.confirm_meeting(placement.meeting, now_ms=res.now_ms())
        bbb.create_meeting(name, moderatorPW="mp")


async def test_server_without_load_is_disabled_at_once(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bbb_servers(1) as (bbb,), open_features(redis_url, redis_namespace) as res:
        await add_enabled(res, bbb)

        cleared = await disable_server(res.servers, "me", "one", confirmed=False)

        assert (cleared.server.state, cleared.meetings) == (ServerState.DISABLED, ())
        assert cleared.server.load is None


async def test_server_in_use_is_disabled_only_when_confirmed(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bbb_servers(1) as (bbb,), open_features(redis_url, redis_namespace) as res:
        await add_enabled(res, bbb)
        await create(res, bbb, "m-a", "m-b")

        with pytest.raises(Refused, match="server one is in use") as refused:
            await disable_server(res.servers, "me", "one", confirmed=False)
        assert refused.value.kind is RefusalKind.CONFIRMATION_NEEDED
        assert (await find_server(res.servers, "one")).state is ServerState.ENABLED
        assert len(bbb.meetings()) == 2

        cleared = await disable_server(res.servers, "me", "one", confirmed=True)
        assert cleared.server.state is ServerState.DISABLED
        assert sorted((one.id, one.outcome) for one in cleared.meetings) == [
            ("m-a", EndOutcome.ENDED),
            ("m-b", EndOutcome.ENDED),
        ]
        assert not bbb.meetings()
        assert await res.pool.records.list_meetings() == []


async def test_panic_goes_on_when_a_meeting_has_gone_already(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bbb_servers(1) as (bbb,), open_features(redis_url, redis_namespace) as res:
        await add_enabled(res, bbb)
        await create(res, bbb, "m-a", "m-b", "m-c")
        bbb.end_meeting("m-b")

        cleared = await panic_server(res.servers, "me", "one")

        assert {one.id: one.outcome for one in cleared.meetings} == {
            "m-a": EndOutcome.ENDED,
            "m-b": EndOutcome.GONE,
            "m-c": EndOutcome.ENDED,
        }
        assert cleared.server.state is ServerState.DISABLED


async def test_panic_goes_on_when_the_server_is_dead_and_ends_them_later(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_bbb_servers(1) as (bbb,),
        open_features(redis_url, redis_namespace, RESPONSE_TIMEOUT="0.3") as res,
    ):
        await add_enabled(res, bbb)
        await create(res, bbb, "m-a", "m-b")
        bbb.pause()

        cleared = await panic_server(res.servers, "me", "one")

        assert {one.outcome for one in cleared.meetings} == {EndOutcome.FAILED}
        assert cleared.server.state is ServerState.DISABLED
        assert await res.pool.records.list_meetings() == []
        assert isinstance(res.log, EventBook)
        assert len(res.log.named("meetings_not_ended")) == 1

        bbb.resume()
        await enable_server(res.servers, "me", "one")
        await poll_server(res.servers, await find_server(res.servers, "one"), read_version=False)
        assert not bbb.meetings()


async def test_panic_keeps_the_state_and_skips_calls_when_asked(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bbb_servers(1) as (bbb,), open_features(redis_url, redis_namespace) as res:
        await add_enabled(res, bbb)
        await create(res, bbb, "m-a")

        cleared = await panic_server(res.servers, "me", "one", keep_state=True, skip_end_calls=True)

        assert cleared.server.state is ServerState.ENABLED
        assert [one.outcome for one in cleared.meetings] == [EndOutcome.SKIPPED]
        assert await res.pool.records.list_meetings() == []
        assert not bbb.requests("end")
        await poll_server(res.servers, cleared.server, read_version=False)
        assert list(bbb.meetings()) == ["m-a"]


async def test_panic_clears_detached_meetings_and_frees_their_numbers(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_bbb_servers(2) as (first, second),
        open_features(redis_url, redis_namespace, SERVER_UNHEALTHY_THRESHOLD="1") as res,
    ):
        await add_enabled(res, first)
        await create(res, first, "m-a")
        port, first.port = first.port, first.port
        first.kill()
        await poll_server(res.servers, await find_server(res.servers, "one"), read_version=False)
        assert not (await find_server(res.servers, "one")).online

        cleared = await panic_server(res.servers, "me", "one")

        assert [one.id for one in cleared.meetings] == ["m-a"]
        assert port == first.port
        await add_enabled(res, second, "two")
        await create(res, second, "m-b")  # asks for the same number
        found = await res.pool.records.find_meeting(MeetingId("m-b"), now_ms=res.now_ms())
        assert found is not None
        assert found.voice_bridge == "70000"


async def test_unknown_server_is_refused(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        for call in (
            disable_server(res.servers, "me", "x", confirmed=True),
            panic_server(res.servers, "me", "x"),
        ):
            with pytest.raises(Refused, match="Couldn't find server with id=x"):
                await call
