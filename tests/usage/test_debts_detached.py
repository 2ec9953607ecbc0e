"""Recordings owed by a server that was lost with its meetings: until it takes them back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from appliance.admin_calls.refusal import Refused
from appliance.bbb.signed_request import Caller
from appliance.callbacks.ended import record_end
from appliance.fleet.capacity import plan_capacity
from appliance.meetings.end import end_meeting
from appliance.model import ServerId, ServerState
from appliance.servers.administration import (
    list_servers,
    remove_server,
    set_server_state,
)
from appliance.servers.clearing import disable_server
from appliance.usage.debts import restore_debts, settle_debts
from appliance.usage.model import HOUR_MS
from appliance.usage.writer import close_ended, write_waiting
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.usage import UsedPool, open_used_pool

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

CALLER = Caller(base_url="http://127.0.0.1:9")


@pytest.fixture
async def used(
    redis_url: str, redis_namespace: str, database_url: str, bbbs: list[BbbProcess]
) -> AsyncIterator[UsedPool]:
    async with open_used_pool(redis_url, redis_namespace, database_url, bbbs[:2]) as opened:
        yield opened


async def lose(used: UsedPool, *, record: str = "true", polled: bool = True) -> None:
    """Create a meeting, and lose its server, bbb-1."""
    await used.pool.create("room", caller=CALLER, record=record)
    if polled:
        await used.pass_time(1)
    await used.pool.lose("bbb-1")
    assert await used.pool.meeting() is None


async def owed(used: UsedPool) -> int:
    servers = {one.id: one for one in await list_servers(used.features.servers)}
    return servers[ServerId("bbb-1")].recordings_awaited


async def in_database(used: UsedPool) -> int:
    """Do what the writer does every two seconds; return the debts that it has written."""
    debts = await used.usage.store.read_debts()
    await close_ended(used.usage)
    await write_waiting(used.usage)
    await settle_debts(used.usage, debts)
    await restore_debts(used.usage)
    return sum(map(len, (await used.usage.table.read_debts()).values()))


async def is_safe_to_stop(used: UsedPool) -> bool:
    features = used.features
    servers = await list_servers(features.servers)
    notes = await features.fleet.store.read_notes([one.id for one in servers])
    capacity = plan_capacity(servers, notes, None, features.settings.fleet)
    return "bbb-1" in capacity.safe_to_stop


@pytest.mark.parametrize("polled", [True, False])
async def test_disabled_server_owes_the_recording_of_a_meeting_that_it_was_lost_with(
    used: UsedPool, polled: bool
) -> None:
    await lose(used, polled=polled)
    await disable_server(used.features.servers, "me", "bbb-1", confirmed=True)

    assert await owed(used) == 1
    assert not await is_safe_to_stop(used)
    with pytest.raises(Refused, match="has 1 recording to deliver"):
        await remove_server(used.features.servers, "me", "bbb-1", force=False, only_disabled=True)
    assert (await in_database(used), await owed(used)) == (1, 1)
    used.clock[0] += 5 * HOUR_MS
    await restore_debts(used.usage)
    assert await owed(used) == 1


@pytest.mark.parametrize("record", ["true", "false"])
async def test_lost_server_is_safe_to_stop_unless_its_meeting_was_recorded(
    used: UsedPool, record: str
) -> None:
    await lose(used, record=record)
    state = ServerState.DISABLED
    await set_server_state(used.features.servers, "me", "bbb-1", state)

    assert await owed(used) == (record == "true")
    assert await is_safe_to_stop(used) == (record == "false")


async def test_lost_server_is_removed_only_by_force_and_then_still_owes(used: UsedPool) -> None:
    await lose(used, polled=False)
    servers = used.features.servers
    with pytest.raises(Refused, match="has 1 recording to deliver"):
        await remove_server(servers, "me", "bbb-1", force=False)

    await remove_server(servers, "me", "bbb-1", force=True)

    assert await in_database(used) == 1
    assert list(await used.usage.store.read_debts()) == ["bbb-1"]


async def test_lost_server_owes_when_its_meeting_is_created_elsewhere(used: UsedPool) -> None:
    await lose(used)
    await used.pool.create("room", caller=CALLER, record="true")

    assert (await used.pool.home(), await owed(used)) == ("bbb-2", 1)


@pytest.mark.parametrize("lost", [True, False])
async def test_server_that_does_not_answer_an_end_owes_the_recording(
    used: UsedPool, lost: bool
) -> None:
    """The `end` of the front-end is carried out when the server is back (docs/placement.md)."""
    await used.pool.create("room", caller=CALLER, record="true")
    if lost:
        await used.pool.lose("bbb-1")
    with used.pool.bbb("bbb-1").fault("close"):
        await end_meeting(used.features.meetings, CALLER, (("meetingID", "room"),))
    assert await used.pool.meeting() is None

    assert (await owed(used), await in_database(used)) == (1, 1)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_server_that_comes_back_owes_only_what_it_does_not_take_back(
    used: UsedPool, goes_on: bool
) -> None:
    await lose(used)
    if not goes_on:
        used.pool.bbb("bbb-1").forget_meetings()

    await used.pass_time(1)

    assert (await used.pool.meeting() is not None) == goes_on
    assert await owed(used) == (not goes_on)
    assert await in_database(used) == (not goes_on)
    if goes_on:
        used.pool.bbb("bbb-1").end_meeting("room", callback=False)
        await used.pass_time(1)
        assert (await in_database(used), await owed(used)) == (1, 1)


@pytest.mark.parametrize("marks", ["true", "false"])
@pytest.mark.parametrize("polled", [True, False])
async def test_lost_server_that_reports_the_end_owes_only_a_recording_with_marks(
    used: UsedPool, polled: bool, marks: str
) -> None:
    await lose(used, polled=polled)
    query = dict(parse_qsl(used.pool.bbb("bbb-1").requests("create")[-1]["query"]))
    url = urlsplit(query["meetingEndedURL"])

    assert await record_end(used.features.callbacks, f"{url.query}&recordingmarks={marks}".encode())

    assert await owed(used) == (marks == "true")
    assert (await in_database(used), await owed(used)) == (marks == "true", marks == "true")
