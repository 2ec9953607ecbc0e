"""Recordings owed: when one counts, how long, and that neither store loses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio

from appliance.admin_calls.refusal import Refused
from appliance.audit.rules import DONE, AuditQuery
from appliance.bbb.signed_request import Caller
from appliance.callbacks.ended import record_end
from appliance.meetings.end import end_meeting
from appliance.metrics.exposition import StoreSnapshot, render_metrics
from appliance.model import ServerId
from appliance.postgres.database import Database
from appliance.servers.administration import list_servers, remove_server
from appliance.servers.sync.apply import sync_servers
from appliance.servers.values import ServerChange
from appliance.usage.debts import restore_debts, settle_debts, with_debts
from appliance.usage.model import DAY_MS, HOUR_MS
from appliance.usage.tally import LATE_REPORT_MS
from appliance.usage.writer import close_ended, close_unpolled, write_waiting
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.control import Done, open_control
from tests.doubles.usage import UsedPool, open_used_pool

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

CALLER = Caller(base_url="http://127.0.0.1:9")


@pytest.fixture
async def used(
    redis_url: str, redis_namespace: str, database_url: str, bbbs: list[BbbProcess]
) -> AsyncIterator[UsedPool]:
    async with open_used_pool(redis_url, redis_namespace, database_url, bbbs[:1]) as opened:
        yield opened


async def create(used: UsedPool, meeting_id: str = "room", record: str = "true") -> str:
    """Create a meeting; return its internal id."""
    answer = await used.pool.create(meeting_id, caller=CALLER, record=record)
    return answer["internalMeetingID"]


async def report(used: UsedPool, marks: str, number: int = -1) -> None:
    """Call the meetingEndedURL that a create gave the server, as BBB does."""
    query = dict(parse_qsl(used.pool.bbb("bbb-1").requests("create")[number]["query"]))
    url = urlsplit(query["meetingEndedURL"])
    assert await record_end(used.features.callbacks, f"{url.query}&recordingmarks={marks}".encode())


async def tick(used: UsedPool) -> None:
    """Do what the writer does every two seconds."""
    debts = await used.usage.store.read_debts()
    await close_ended(used.usage)
    await write_waiting(used.usage)
    await settle_debts(used.usage, debts)


async def owed(used: UsedPool) -> tuple[int, int]:
    """Return what the server owes: in all, and what is waited for."""
    (server,) = await list_servers(used.features.servers)
    return server.recordings_owed, server.recordings_awaited


async def in_database(used: UsedPool) -> int:
    return sum(map(len, (await used.usage.table.read_debts()).values()))


def database(used: UsedPool) -> Database:
    return used.usage.table.database


async def deliver(used: UsedPool, record_id: str) -> None:
    await database(used).execute("INSERT INTO recordings (record_id) VALUES ($1)", record_id)


@pytest.mark.parametrize(("marks", "owes"), [("true", 1), ("false", 0), ("", 1)])
@pytest.mark.parametrize("polled", [True, False])
async def test_recording_is_owed_from_the_report_of_the_end_on(
    used: UsedPool, marks: str, owes: int, polled: bool
) -> None:
    internal_id = await create(used)
    if polled:
        await used.pass_time(1)
    assert await owed(used) == (0, 0)

    await report(used, marks)
    assert await owed(used) == (owes, owes)  # at once: nothing has been written yet
    used.pool.bbb("bbb-1").end_meeting("room", callback=False)
    await tick(used)
    assert await owed(used) == (owes, owes)
    assert await in_database(used) == owes

    await deliver(used, internal_id)
    await tick(used)
    assert await owed(used) == (0, 0)
    assert await in_database(used) == 0
    await database(used).execute("DELETE FROM recordings")  # by the front-end
    await restore_debts(used.usage)
    await tick(used)
    assert await owed(used) == (0, 0)


async def test_marks_that_are_reported_late_settle_the_debt(used: UsedPool) -> None:
    """A front-end ends the meeting, or a poll misses it; then the server reports."""
    for meeting_id in ("one", "two"):
        await create(used, meeting_id)
    await used.pass_time(1)
    await end_meeting(used.features.meetings, CALLER, (("meetingID", "one"),))
    used.pool.bbb("bbb-1").end_meeting("two", callback=False)
    await used.pass_time(1)
    await tick(used)
    assert await owed(used) == (2, 2)

    await report(used, "false", 0)
    await report(used, "true", 1)
    await tick(used)
    assert await owed(used) == (1, 1)
    assert await in_database(used) == 1
    used.clock[0] += LATE_REPORT_MS
    await used.pass_time(1)
    await report(used, "false", 1)  # too late to be believed to be the same run
    await tick(used)
    assert await owed(used) == (1, 1)
    assert not (await used.usage.store.read(ServerId("bbb-1")))[1].unmarked


async def test_meeting_without_recording_owes_nothing(used: UsedPool) -> None:
    await create(used, record="false")
    await used.pass_time(1)
    used.pool.bbb("bbb-1").end_meeting("room", callback=False)
    await used.pass_time(2)
    await tick(used)
    assert await owed(used) == (0, 0)


async def test_each_run_of_a_meeting_owes_its_own_recording(used: UsedPool) -> None:
    internal_ids = []
    for _ in range(2):
        internal_ids.append(await create(used))
        await report(used, "true")
        used.pool.bbb("bbb-1").end_meeting("room", callback=False)
        await tick(used)
    await deliver(used, internal_ids[0])
    await tick(used)
    (left,) = (await used.usage.store.read_debts()).values()
    assert list(left) == internal_ids[1:]


async def test_debt_survives_the_loss_of_redis_and_of_the_database(
    used: UsedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(used)
    await report(used, "true")
    # The database is away: nothing is written for hours.
    await close_ended(used.usage)
    used.clock[0] += 5 * HOUR_MS
    assert await owed(used) == (1, 1)
    await write_waiting(used.usage)

    await used.pool.redis("DEL", "appliance:owed:bbb-1")
    await used.pool.redis("DEL", "appliance:owed")
    assert await owed(used) == (0, 0)
    await restore_debts(used.usage)
    assert await owed(used) == (1, 1)

    used.clock[0] += 2 * DAY_MS  # it stays visible
    await restore_debts(used.usage)
    assert await owed(used) == (1, 0)
    await database(used).execute("DELETE FROM appliance.meeting_runs")  # usage retention
    await restore_debts(used.usage)
    assert await owed(used) == (0, 0)


async def test_run_that_was_lost_and_goes_on_owes_nothing_until_it_ends(used: UsedPool) -> None:
    await create(used)
    await used.pass_time(1)
    used.clock[0] += 20 * 60_000
    await close_unpolled(used.usage)
    await tick(used)
    assert (await owed(used), await in_database(used)) == ((1, 1), 1)

    await used.pass_time(1)
    await tick(used)
    assert (await owed(used), await in_database(used)) == ((0, 0), 0)

    used.pool.bbb("bbb-1").end_meeting("room", callback=False)
    await used.pass_time(1)
    assert await owed(used) == (1, 1)
    await tick(used)
    assert (await owed(used), await in_database(used)) == ((1, 1), 1)


async def test_server_that_owes_is_removed_by_force_or_when_nobody_waits_any_more(
    used: UsedPool,
) -> None:
    servers = used.features.servers
    await create(used)
    await report(used, "true")
    used.pool.bbb("bbb-1").end_meeting("room", callback=False)
    await tick(used)
    with pytest.raises(Refused, match="has 1 recording to deliver; wait for it, or use force"):
        await remove_server(servers, "me", "bbb-1", force=False)
    (step,) = (await sync_servers(servers, "me", "servers: {}")).servers
    assert (step.step.kind.value, step.step.owed) == ("cordon", 1)
    (server,) = await list_servers(servers)
    assert server.state.value == "cordoned"

    used.clock[0] += 2 * DAY_MS + 1000
    assert await owed(used) == (1, 0)
    await remove_server(servers, "me", "bbb-1", force=False)
    assert await list_servers(servers) == ()
    assert await used.usage.store.read_debts() != {}  # it is retired, and may still deliver


async def test_a_create_and_an_end_take_no_further_round_trips(used: UsedPool) -> None:
    def trips() -> Any:
        return used.pool.client.round_trips

    before = trips()
    await create(used)
    assert trips() - before == 2
    before = trips()
    await report(used, "true")
    assert trips() - before == 1


async def test_operators_see_it_and_wait_for_it(used: UsedPool) -> None:
    internal_id = await create(used)
    await report(used, "true")
    used.pool.bbb("bbb-1").end_meeting("room", callback=False)
    await tick(used)
    async with open_control(used.features) as control:
        for words in ("servers list", "status"):
            (row,) = (await control.ctl(*words.split(), "--json")).json
            assert (row["recordings_owed"], row["recordings_awaited"]) == (1, 1)
        assert (await control.get("getServerInfo", id="bbb-1"))["recordings_owed"] == 1
        assert "recordings owed: 1" in (await control.ctl("servers", "list")).out
        assert "OWED" in (await control.ctl("status")).out
        snapshot = StoreSnapshot(await with_debts(used.usage, [await used.pool.server("bbb-1")]))
        _, text = render_metrics(used.features.metrics, snapshot, "")
        assert b'scalelite_server_recordings_owed{host="127.0.0.1",server="bbb-1"} 1.0' in text
        assert (await control.ctl("servers", "drain", "bbb-1", "--recordings")).code == 2
        results: list[Done] = []

        async def drain() -> None:
            words = ("servers", "drain", "bbb-1", "--wait", "--recordings")
            results.append(await control.ctl(*words))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            while (await list_servers(used.features.servers))[0].state.value != "disabled":
                await trio.sleep(0.05)
            refused = await control.ctl("servers", "remove", "bbb-1")
            assert (refused.code, "1 recording to deliver" in refused.err) == (1, True)
            await deliver(used, internal_id)
            await tick(used)
        assert results[0].out.splitlines()[-1] == (
            "drained: empty and disabled, its recordings have arrived"
        )
        assert (await control.ctl("servers", "remove", "bbb-1")).code == 0


@pytest.mark.parametrize("closed_by", ["note", "poll"])
async def test_dismissal_stands_when_the_run_is_closed_later(
    used: UsedPool, closed_by: str
) -> None:
    """By the writer two seconds later, or by a poll; the database does not know the meeting yet."""
    await create(used, "lost")
    await used.pass_time(1)
    await report(used, "true")
    used.pool.bbb("bbb-1").end_meeting("lost", callback=False)
    assert await owed(used) == (1, 1)
    async with open_control(used.features) as control:
        assert (await control.ctl("recordings", "dismiss", "bbb-1", "lost")).code == 0
        await write_waiting(used.usage)  # a run that the database does not have
        if closed_by == "poll":
            await used.usage.store.drop_ends(1)
            await used.pass_time(1)
        for _ in range(2):
            await tick(used)
            await restore_debts(used.usage)
        assert await owed(used) == (0, 0)
        assert await in_database(used) == 0
        assert len(await database(used).fetch("SELECT FROM appliance.meeting_runs")) == 1


async def test_debt_is_listed_and_dismissed_for_good(used: UsedPool) -> None:
    """By the meeting or the recording; what the database is told later does not bring it back."""
    kept, lost = await create(used, "kept"), await create(used, "lost")
    await used.pass_time(1)
    for number, meeting_id in enumerate(("kept", "lost")):
        await report(used, "true", number)
        used.pool.bbb("bbb-1").end_meeting(meeting_id, callback=False)
    await close_ended(used.usage)
    async with open_control(used.features) as control:

        async def ctl(*words: str) -> Done:
            return await control.ctl("recordings", *words)

        listed = (await ctl("owed", "bbb-1", "--json")).json
        assert {one["record_id"] for one in listed} == {kept, lost}
        assert {one["server"] for one in listed} == {"bbb-1"}
        for words, code, reason in (
            (("bbb-1",), 2, "name recordings or meetings"),
            (("bbb-1", lost, "--all"), 2, "name recordings or meetings"),
            (("nope", "--all"), 1, "nope"),
            (("bbb-1", "nothing"), 1, "server bbb-1 owes no recording of nothing"),
        ):
            done = await ctl("dismiss", *words)
            assert (done.code, reason in done.err) == (code, True), done.err

        done = await ctl("dismiss", "bbb-1", lost)  # before its run is written
        assert (done.code, done.out) == (0, "1 recording dismissed\n")
        assert await owed(used) == (1, 1)
        for _ in range(2):
            await used.pass_time(1)
            await tick(used)
            await restore_debts(used.usage)
        await tick(used)
        assert await owed(used) == (1, 1)
        assert await in_database(used) == 1

        (named,) = (await ctl("owed", "--json")).json
        assert (named["meeting"], named["awaited"]) == ("kept", True)
        assert (await ctl("dismiss", "bbb-1", "kept")).code == 0
        await tick(used)
        await restore_debts(used.usage)
        assert await owed(used) == (0, 0)
        assert await in_database(used) == 0
        assert (await ctl("owed", "--json")).json == []
        by_host = await ctl("dismiss", "127.0.0.1", "--all")  # owes nothing any more
        assert (by_host.code, by_host.out) == (0, "0 recordings dismissed\n"), by_host.err
        entries = await used.features.audit.search(AuditQuery())
        before = [one.before for one in entries if one.result == DONE]
        assert [len(one["owed"]) for one in before if one] == [1, 2]


async def test_servers_that_share_a_host_are_told_apart_by_port(used: UsedPool) -> None:
    owing, twin = used.pool.bbb("bbb-1"), ServerChange(url="http://127.0.0.1:1/api", secret="s")
    await used.usage.store.change_debts({ServerId("bbb-1"): {f"{'a' * 40}-1": 1}})

    async with open_control(used.features) as control:
        for label in ("127.0.0.1", f"127.0.0.1:{owing.port}"):
            (one,) = (await control.ctl("recordings", "owed", "--json")).json
            assert one["hostname"] == label
            await used.features.servers.store.add_server(ServerId("twin"), twin)
