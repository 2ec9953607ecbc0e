"""Maintenance windows on a real Redis with simulated servers; the clock is moved by the tests."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.audit.rules import AuditQuery
from appliance.model import ServerId, ServerState
from appliance.servers.deps import ServerDeps
from appliance.servers.maintenance.rules import DEFAULT_LEAD_MS, WEEK_MS, Phase, Window
from appliance.servers.maintenance.task import CLAIM_MS, GIVE_UP_MS, Maintenance
from appliance.servers.maintenance.windows import cancel_windows, list_windows, plan_window
from appliance.servers.values import ServerChange
from appliance.usage.model import EndedRun, ServerMinute, Sums, UsageRun
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import rewire
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.usage import make_usage, open_database

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


@dataclass(slots=True)
class Bench:
    """A pool with two appliances that act on its windows."""

    pool: LivePool
    clock: list[int]
    appliances: list[Maintenance] = field(default_factory=list)

    @property
    def deps(self) -> ServerDeps:
        """Return the dependencies of the calls."""
        return self.pool.res.servers

    async def plan(
        self, server: str = "bbb-1", begin: int = 60, end: int | None = 120, **more: Any
    ) -> Window:
        """Plan a window that begins and ends after so many minutes."""
        lead = more.pop("lead", 30)
        window = Window(
            id=more.pop("id", ""),
            server_id=ServerId(server),
            from_ms=self.clock[0] + begin * MINUTE_MS,
            until_ms=None if end is None else self.clock[0] + end * MINUTE_MS,
            lead_ms=0,
            **more,
        )
        lead_ms = None if lead is None else lead * MINUTE_MS
        return await plan_window(self.deps, "tester", window, lead_ms=lead_ms)

    async def act(self, minutes: float = 0) -> None:
        """Let time pass, have both appliances act at the same moment, and wait for the end."""
        self.clock[0] += round(minutes * MINUTE_MS)
        for _ in range(2):  # what follows up may be due at once
            async with trio.open_nursery() as nursery:
                for one in self.appliances:
                    nursery.start_soon(one.act, nursery)

    async def state(self, server: str = "bbb-1") -> str:
        """Return the state of a server."""
        return (await self.pool.server(server)).state.value

    async def phases(self) -> list[Phase]:
        """Return the phases of all windows."""
        return [one.phase for one in await list_windows(self.deps)]

    def logged(self) -> list[str]:
        """Return the events of the windows, in order."""
        return [
            name.removeprefix("maintenance_")
            for _, name, _ in self.pool.log.events
            if name.startswith("maintenance_")
        ]


@asynccontextmanager
async def open_bench(
    redis_url: str, namespace: str, bbbs: Sequence[BbbProcess], **variables: Any
) -> AsyncIterator[Bench]:
    """Give a pool of these servers."""
    clock = [int(time.time() * 1000)]
    async with open_live(redis_url, namespace, bbbs, **variables) as live:
        res = rewire(live.res, now_ms=lambda: clock[0])
        bench = Bench(replace(live, res=rewire(res, meetings__servers=res.servers)), clock)
        for _ in range(2):
            bench.appliances.append(Maintenance(bench.deps))
        yield bench


async def test_window_drains_disables_and_enables_its_server(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        await bench.plan(reason="upgrade")
        await bench.act(29.9)
        assert (await bench.state(), await bench.phases()) == ("enabled", [Phase.PLANNED])

        await bench.act(0.2)
        assert (await bench.state(), await bench.phases()) == ("cordoned", [Phase.DRAINING])
        assert (await bench.pool.create("elsewhere"))["returncode"] == "SUCCESS"
        assert await bench.pool.home("elsewhere") == "bbb-2"

        await bench.pool.poll("bbb-1")  # it is empty, so that the poller disables it
        assert await bench.state() == "disabled"
        await bench.act(30)
        assert (await bench.state(), await bench.phases()) == ("disabled", [Phase.OPEN])

        await bench.act(59.8)
        assert await bench.state() == "disabled"
        await bench.act(0.2)
        assert (await bench.state(), await bench.phases()) == ("enabled", [])
        assert (await bench.pool.server("bbb-1")).online
        assert bench.logged() == ["planned", "draining", "open", "ended"]
        entries = list(reversed(await bench.pool.res.audit.search(AuditQuery())))
        assert {one.who.partition(" ")[0] for one in entries} == {"maintenance"}
        assert [(one.before, one.after) for one in entries] == [
            ({"state": "enabled"}, {"state": "cordoned"}),
            ({"state": "enabled"}, {"state": "disabled"}),
            ({"state": "disabled"}, {"state": "enabled"}),
        ]


async def test_meetings_that_are_left_are_ended_and_begin_elsewhere(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        await bench.pool.create("long")
        assert await bench.pool.home("long") == "bbb-1"
        await bench.plan(lead=0, begin=1)

        await bench.act(1)

        assert await bench.state() == "disabled"
        assert bench.pool.holders("long") == []
        assert bench.pool.log.named("server_cleared")[0]["meetings"] == 1
        await bench.pool.create("long")
        assert await bench.pool.home("long") == "bbb-2"


async def test_server_is_enabled_only_when_it_answers(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        await bench.plan()
        await bench.act(60)
        with bbbs[0].fault("failed", "getMeetings"):
            await bench.act(60)
            assert (await bench.state(), await bench.phases()) == ("disabled", [Phase.ENDING])
            asked = len(bbbs[0].requests("getMeetings"))
            await bench.act()
            assert len(bbbs[0].requests("getMeetings")) == asked, "not again at once"
        await bench.act(CLAIM_MS / MINUTE_MS)
        assert (await bench.state(), await bench.phases()) == ("enabled", [])
        assert (
            bench.pool.log.named("maintenance_waits")[0]["reason"] == "the server answered FAILED"
        )


@pytest.mark.parametrize("before", [ServerState.DISABLED, ServerState.CORDONED])
async def test_state_of_before_comes_back(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], before: ServerState
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        await bench.pool.set_state("bbb-1", before)
        await bench.plan()

        await bench.act(30)
        assert await bench.state() == before.value
        await bench.act(30)
        assert await bench.state() == "disabled"
        await bench.act(60)

        assert (await bench.state(), await bench.phases()) == (before.value, [])


@pytest.mark.parametrize(
    ("state", "after"),
    [(ServerState.DISABLED, "disabled"), (ServerState.ENABLED, "enabled")],
)
@pytest.mark.parametrize("minutes", [30, 60])
async def test_operator_who_changes_the_state_during_a_window_wins(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    state: ServerState,
    after: str,
    minutes: int,
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        await bench.plan()
        await bench.act(minutes)
        await bench.pool.set_state("bbb-1", state)
        await bench.act(120 - minutes)

        assert (await bench.state(), await bench.phases()) == (after, [])


async def test_appliance_that_was_down_makes_up_for_it(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs) as bench:
        await bench.plan("bbb-1")
        await bench.plan("bbb-2", end=None, begin=30)
        await bench.plan("bbb-3", begin=10, end=20, every="weekly", lead=0)

        await bench.act(70)
        assert await bench.phases() == [Phase.OPEN, Phase.OPEN, Phase.PLANNED]
        assert (await bench.state("bbb-1"), await bench.state("bbb-2")) == ("disabled", "disabled")
        assert (await bench.state("bbb-3"), bench.logged().count("missed")) == ("enabled", 1)
        await bench.act(24 * 60)
        assert (await bench.state("bbb-1"), await bench.state("bbb-2")) == ("enabled", "disabled")

        bench.appliances = [Maintenance(bench.deps)]  # a restart
        await cancel_windows(bench.deps, "tester", "bbb-2")
        await bench.act()
        assert await bench.state("bbb-2") == "enabled"


async def test_weekly_window_comes_again(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        first = await bench.plan(every="weekly")
        await bench.act(60)
        await bench.act(60)
        (second,) = await list_windows(bench.deps)

        assert (second.id, second.from_ms) == (first.id, first.from_ms + WEEK_MS)
        assert second.phase is Phase.PLANNED
        await bench.act(WEEK_MS / MINUTE_MS - 60)
        assert await bench.state() == "disabled"


@pytest.mark.parametrize(("minutes", "state"), [(0, "enabled"), (30, "enabled"), (60, "enabled")])
@pytest.mark.parametrize("by_server", [True, False])
async def test_cancelled_window_gives_the_server_back(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    minutes: int,
    state: str,
    by_server: bool,
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        window = await bench.plan(every="weekly")
        await bench.act(minutes)

        await cancel_windows(bench.deps, "tester", "bbb-1" if by_server else window.id)
        await bench.act(0.1)

        assert (await bench.state(), await bench.phases()) == (state, [])
        with pytest.raises(Refused) as refused:
            await cancel_windows(bench.deps, "tester", "bbb-1")
        assert refused.value.kind is RefusalKind.NOT_FOUND


async def test_window_is_changed_until_it_has_begun(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        first = await bench.plan(begin=60, end=120)
        changed = await bench.plan(begin=90, end=180, id=first.id, reason="new disks")

        assert await list_windows(bench.deps) == [changed]
        assert changed.id == first.id
        with pytest.raises(Refused, match="has no maintenance window nothing") as caught:
            await bench.plan(begin=600, end=660, id="nothing")
        assert caught.value.kind is RefusalKind.NOT_FOUND
        await bench.act(minutes=60)
        with pytest.raises(Refused, match="has begun"):
            await bench.plan(begin=600, end=660, id=first.id)


async def test_windows_that_leave_no_server_are_refused(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs) as bench:
        await bench.plan("bbb-1")
        await bench.plan("bbb-2", begin=90, end=200)
        with pytest.raises(Refused, match="cannot do without server bbb-3 then: bbb-1, bbb-2"):
            await bench.plan("bbb-3", begin=100, end=None)
        with pytest.raises(Refused, match="has window"):
            await bench.plan("bbb-1", begin=110, end=130)
        with pytest.raises(Refused, match="Couldn't find server"):
            await bench.plan("bbb-9")
        await bench.plan("bbb-3", begin=250, end=300)


async def test_window_is_refused_while_its_users_have_no_other_seats(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    variables = {"SEATS_PER_SERVER": "100", "POOL_HEADROOM": "20"}
    async with open_bench(redis_url, redis_namespace, bbbs, **variables) as bench:
        await bench.pool.redis("HSET", "server:bbb-1", "users", 160)
        await bench.plan("bbb-1", begin=1, end=5)  # 200 seats for 160 users and 32 more
        with pytest.raises(Refused, match="160 users are expected and POOL_HEADROOM asks for 192"):
            await bench.plan("bbb-2", begin=1, end=5)
        change = ServerChange(max_users=92)
        assert await bench.deps.store.update_server(ServerId("bbb-3"), change)
        await cancel_windows(bench.deps, "tester", "bbb-1")
        await bench.plan("bbb-1", begin=1, end=5)


async def test_window_begins_when_exactly_the_headroom_is_left(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    """100 * 1.1 is more than 110 in floating point."""
    variables = {"SEATS_PER_SERVER": "110", "POOL_HEADROOM": "10"}
    async with open_bench(redis_url, redis_namespace, bbbs[:2], **variables) as bench:
        await bench.pool.redis("HSET", "server:bbb-2", "users", 101)
        with pytest.raises(Refused, match="101 users are expected and POOL_HEADROOM asks for 112"):
            await bench.plan(begin=1, end=5, lead=0)
        await bench.pool.redis("HSET", "server:bbb-2", "users", 100)
        await bench.plan(begin=1, end=5, lead=0)
        await bench.act(1)
        assert (await bench.state(), bench.logged()[-1]) == ("disabled", "open")


async def test_users_that_a_disabled_server_had_need_no_seats(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs) as bench:
        await bench.pool.redis("HSET", "server:bbb-3", "users", 9999)
        await bench.pool.set_state("bbb-3", ServerState.DISABLED)
        await bench.plan(begin=1, end=5, lead=0)
        await bench.act(1)
        assert await bench.state() == "disabled"


async def test_windows_that_are_planned_at_once_do_not_overlap(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        first = await bench.plan("bbb-1", begin=200, end=210)
        refused: list[Refused] = []

        async def plan(server: str, begin: int, **more: Any) -> None:
            try:
                await bench.plan(server, begin=begin, end=120, **more)
            except Refused as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            for begin in range(60, 63):
                nursery.start_soon(plan, "bbb-1", begin)
                nursery.start_soon(plan, "bbb-2", begin)
            nursery.start_soon(partial(plan, "bbb-1", 60, id=first.id))
        assert len(refused) == 6


async def test_window_waits_until_the_pool_can_do_without_its_server(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    variables = {"SEATS_PER_SERVER": "100", "POOL_HEADROOM": "20"}
    async with open_bench(redis_url, redis_namespace, bbbs[:2], **variables) as bench:
        planned = await bench.plan()
        await bench.pool.redis("HSET", "server:bbb-2", "users", 84)
        await bench.act(40)
        await bench.act(10)
        assert (await bench.state(), await bench.phases()) == ("enabled", [Phase.PLANNED])
        assert bench.logged() == ["planned", "postponed"]

        await bench.pool.redis("HSET", "server:bbb-2", "users", 83)
        await bench.act(5)
        (shifted,) = await list_windows(bench.deps)
        assert (await bench.state(), shifted.phase) == ("cordoned", Phase.DRAINING)
        # It keeps its length, and the time to drain.
        assert shifted.from_ms == bench.clock[0] + 30 * MINUTE_MS
        assert planned.until_ms is not None
        assert shifted.until_ms == shifted.from_ms + planned.until_ms - planned.from_ms
        await bench.act(30)
        assert await bench.state() == "disabled"


async def test_window_that_never_finds_room_is_dropped(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        await bench.plan()
        await bench.pool.redis("HSET", "server:bbb-2", "users", 9999)
        await bench.act(40)
        await bench.act(GIVE_UP_MS / MINUTE_MS)

        assert (await bench.phases(), bench.logged()[-2:]) == ([], ["missed", "ended"])


async def test_two_windows_at_once_take_turns_when_a_server_is_lost(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs) as bench:
        await bench.plan("bbb-1")
        await bench.plan("bbb-2")
        await bench.pool.lose("bbb-3")
        await bench.act(60)
        assert sorted([await bench.state("bbb-1"), await bench.state("bbb-2")]) == [
            "disabled",
            "enabled",
        ]
        await bench.act(60)  # the first is over, and the second begins to drain
        await bench.act(0.1)
        assert sorted([await bench.state("bbb-1"), await bench.state("bbb-2")]) == [
            "cordoned",
            "enabled",
        ]


async def test_only_server_is_not_waited_for(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:1]) as bench:
        await bench.pool.redis("HSET", "server:bbb-1", "users", 9999)
        await bench.plan(lead=0)
        await bench.act(60)

        assert await bench.state() == "disabled"


async def test_windows_of_a_removed_server_are_dropped_at_once(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    """A server that is added with the same id has nothing to do with them."""
    async with open_bench(redis_url, redis_namespace, bbbs) as bench:
        await bench.plan("bbb-1")
        await bench.plan("bbb-1", begin=600, end=660)
        kept = await bench.plan("bbb-2", begin=300, end=360)
        await bench.act(60)
        await bench.deps.store.remove_server(ServerId("bbb-1"), force=True, now_ms=0)

        assert await list_windows(bench.deps) == [kept]
        await bench.pool.add(bbbs[0])
        await bench.act(0.1)
        assert await bench.state() == "enabled"


async def test_window_of_a_server_that_a_scalelite_removed_is_dropped_when_it_is_due(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        await bench.plan()
        await bench.pool.redis("DEL", "server:bbb-1")
        await bench.pool.redis("DEL", "bbb-1")
        for command, key in (
            *(("SREM", "servers"), ("SREM", "server_enabled")),
            *(("ZREM", "server_load"), ("ZREM", "cordoned_server_load")),
        ):
            await bench.pool.redis(command, key, "bbb-1")
        await bench.act(60)

        assert (await bench.phases(), bench.logged()[-1]) == ([], "gone")
        await bench.deps.store.sweep(now_ms=bench.clock[0], grace_ms=0)


async def test_past_decides_about_lead_and_room(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], database_url: str
) -> None:
    variables = {"SEATS_PER_SERVER": "100", "POOL_TIME_ZONE": "UTC"}
    async with (
        open_bench(redis_url, redis_namespace, bbbs[:2], **variables) as bench,
        open_database(database_url) as database,
    ):
        usage = make_usage(bench.pool.res, database)
        res = rewire(bench.pool.res, servers__usage=usage)
        bench.pool = replace(bench.pool, res=res)
        begin_ms = bench.clock[0] // HOUR_MS * HOUR_MS - WEEK_MS
        run = UsageRun(
            id="m", created=1, began_ms=begin_ms, peak_users=3, meeting_id="m", tenant=""
        )
        await usage.table.add_runs([EndedRun("bbb-1", run, begin_ms + 50 * MINUTE_MS, "poll")])
        busy = begin_ms // MINUTE_MS + 6 * 60
        minutes = ServerMinute("bbb-1", busy, {"": Sums(meetings=1, users=90)})
        await usage.table.add_minutes([minutes])
        await usage.table.roll_up()

        with pytest.raises(Refused, match="90 users are expected and POOL_HEADROOM asks for 108"):
            await bench.plan(begin=6 * 60, end=7 * 60, lead=None)
        planned = await bench.plan(begin=2 * 60, end=3 * 60, lead=None)
        assert planned.lead_ms == 50 * MINUTE_MS


async def test_lead_is_two_hours_while_nothing_is_known(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, bbbs[:2]) as bench:
        assert (await bench.plan(lead=None)).lead_ms == DEFAULT_LEAD_MS
