"""The poller: who is polled when, by which of two appliances, and what stops none of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import pytest
import trio

from appliance.features import Features
from appliance.model import Server, ServerId, ServerState
from appliance.pool.records import PoolRecords
from appliance.servers import poller
from appliance.servers.poller import Poller
from appliance.servers.values import ServerChange
from tests.doubles.bbb_process import BbbProcess, until
from tests.doubles.features import rewire
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.redis_processes import DURABLE, redis_process

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

SOON_S = 40.0
"""Changes are followed within a second; the rest is for a busy machine."""


@dataclass(frozen=True, slots=True)
class Running:
    """A poller at work."""

    poller: Poller
    res: Features
    scope: trio.CancelScope

    @property
    def held(self) -> set[str]:
        """Return the servers that it polls."""
        return set(self.poller._polled)

    def successes(self, server_id: str) -> int:
        """Return the number of recorded successful polls of a server."""
        polled = self.poller._polled.get(ServerId(server_id))
        return polled.successes if polled else 0


@asynccontextmanager
async def running(res: Features) -> AsyncIterator[Running]:
    """Run a poller for the block."""
    made = Poller()
    res = rewire(res, servers__poll_soon=made.poll_soon)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run, res.servers)
        yield Running(made, res, nursery.cancel_scope)
        nursery.cancel_scope.cancel()


def polls(bbb: BbbProcess) -> int:
    """How often a server was polled."""
    return len(bbb.requests("getMeetings"))


async def soon(condition: Callable[[], bool], what: str = "condition") -> None:
    await until(condition, SOON_S, what)


async def until_online(pool: LivePool, server_id: str, online: bool = True) -> None:
    with trio.fail_after(SOON_S):
        while (await pool.server(server_id)).online is not online:
            await trio.sleep(0.02)


# --- following changes ----------------------------------------------------------------------------


async def test_server_is_polled_as_soon_as_it_is_enabled(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with (
        open_live(redis_url, redis_namespace, bbbs[:1], enable=False) as pool,
        running(pool.res),
    ):
        values = ServerChange(url=bbbs[0].url, secret=bbbs[0].secret)
        await pool.res.servers.store.add_server(ServerId("bbb-1"), values)
        await bbbs[0].until_called("index")
        assert not (await pool.server("bbb-1")).online

        await pool.set_state("bbb-1", ServerState.ENABLED)

        await until_online(pool, "bbb-1")
        assert polls(bbbs[0]) == 1


async def test_changes_of_a_server_are_followed_at_once(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:2], enable=False) as pool:
        await pool.register(bbbs[0])
        async with running(pool.res) as at_work:
            await until_online(pool, "bbb-1")
            moved = ServerChange(url=bbbs[1].url, secret=bbbs[1].secret)
            await pool.res.servers.store.update_server(ServerId("bbb-1"), moved)
            await soon(lambda: polls(bbbs[1]) == 1, "a poll of the new url")

            await pool.set_state("bbb-1", ServerState.DISABLED)
            await soon(lambda: len(bbbs[1].requests("index")) == 1, "a look at the version")

            await pool.res.servers.store.remove_server(ServerId("bbb-1"), force=True, now_ms=0)
            await soon(lambda: not at_work.held, "the end of its task")
            assert polls(bbbs[1]) == 1


async def test_server_is_polled_anew_when_it_changed_during_a_poll(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:2], enable=False) as pool:
        await pool.register(bbbs[0])
        bbbs[0].add_fault("delay", "getMeetings", seconds=1.2)
        async with running(pool.res):
            await bbbs[0].until_called("getMeetings")
            moved = ServerChange(url=bbbs[1].url, secret=bbbs[1].secret)
            await pool.res.servers.store.update_server(ServerId("bbb-1"), moved)

            await soon(lambda: polls(bbbs[1]) == 1, "a poll of the new url")


# --- when -----------------------------------------------------------------------------------------


async def test_server_is_polled_at_its_interval_and_its_version_read_every_ten_polls(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], enable=False, POLL_INTERVAL="0.1"
    ) as pool:
        await pool.register(bbbs[0])
        async with running(pool.res):
            await bbbs[0].until_called("getMeetings", 22, within_s=40)

        requests = bbbs[0].requests()
        order = [request["call"] for request in requests]
        polled = [n for n, call in enumerate(order) if call == "getMeetings"]
        read = [polled.index(n - 1) for n, call in enumerate(order) if call == "index"]
        times_s = [requests[n]["received_s"] for n in polled]
        gaps_s = [b - a for a, b in pairwise(times_s[1:])]
        assert read == [0, 10, 20]
        assert sum(gaps_s) / len(gaps_s) > 0.09


async def test_version_is_read_at_the_first_poll_that_succeeds(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], enable=False, POLL_INTERVAL="0.1"
    ) as pool:
        await pool.register(bbbs[0])
        bbbs[0].add_fault("status", "getMeetings", times=2)
        async with running(pool.res):
            await bbbs[0].until_called("getMeetings", 4)

        order = [request["call"] for request in bbbs[0].requests()]
        assert order[:5] == ["getMeetings"] * 3 + ["index", "getMeetings"]


async def test_failed_poll_is_repeated_soon_until_the_server_is_offline(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url,
        redis_namespace,
        bbbs[:1],
        POLL_INTERVAL="60",
        POLL_RETRY_INTERVAL="0.3",
        SERVER_UNHEALTHY_THRESHOLD="4",
    ) as pool:
        bbbs[0].add_fault("status", "getMeetings")
        async with running(pool.res) as at_work:
            await until_online(pool, "bbb-1", online=False)
            at_work.poller.poll_soon(ServerId("bbb-1"))

        times_s = [request["received_s"] for request in bbbs[0].requests("getMeetings")]
        assert len(times_s) == 4
        assert all(b - a > 0.29 for a, b in pairwise(times_s))


async def test_suspicion_hurries_the_next_poll(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:2], POLL_INTERVAL="60", POLL_RETRY_INTERVAL="0.2"
    ) as pool:
        async with running(rewire(pool.res, servers__random=lambda: 0.99)) as at_work:
            # A suspicion that comes during a poll is superseded by it.
            await soon(lambda: at_work.successes("bbb-1") == at_work.successes("bbb-2") == 1)
            for expected in (2, 3):
                await pool.res.pool.records.suspect_server(ServerId("bbb-1"))
                await bbbs[0].until_called("getMeetings", expected, SOON_S)
                await soon_not_suspected(pool)

        assert (polls(bbbs[0]), polls(bbbs[1])) == (3, 1)


async def soon_not_suspected(pool: LivePool) -> None:
    with trio.fail_after(SOON_S):
        while (await pool.server("bbb-1")).suspected:
            await trio.sleep(0.02)


async def test_suspicion_right_after_a_poll_is_not_lost(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], POLL_INTERVAL="60", POLL_RETRY_INTERVAL="1"
    ) as pool:
        async with running(rewire(pool.res, servers__random=lambda: 0.99)) as at_work:
            await soon(lambda: at_work.successes("bbb-1") == 1)
            await pool.res.pool.records.suspect_server(ServerId("bbb-1"))
            at_work.poller.poll_soon(ServerId("bbb-1"))

            await soon(lambda: polls(bbbs[0]) == 2, "a poll after the gap")

        first, second = (one["received_s"] for one in bbbs[0].requests("getMeetings"))
        assert second - first > 0.9


async def test_failed_calls_do_not_take_a_server_offline_sooner(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url,
        redis_namespace,
        bbbs[:1],
        POLL_INTERVAL="60",
        POLL_RETRY_INTERVAL="0.8",
        POLLER_WAIT_TIMEOUT="1",
    ) as pool:
        bbbs[0].add_fault("hang", "getMeetings")
        async with running(pool.res) as at_work:
            with trio.fail_after(SOON_S):
                while (await pool.server("bbb-1")).online:
                    await pool.res.pool.records.suspect_server(ServerId("bbb-1"))
                    at_work.poller.poll_soon(ServerId("bbb-1"))
                    await trio.sleep(0.02)

        first, second = (one["received_s"] for one in bbbs[0].requests("getMeetings"))
        assert second - first > 1.7


async def test_pool_is_polled_at_random_phases_after_the_first_time(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    phases = iter([0.01, 0.99, 0.99])
    async with (
        open_live(redis_url, redis_namespace, bbbs, POLL_INTERVAL="30") as pool,
        running(rewire(pool.res, servers__random=lambda: next(phases))),
    ):
        await soon(lambda: sorted(map(polls, bbbs)) == [1, 1, 2])


async def test_hung_server_delays_nobody(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url,
        redis_namespace,
        bbbs,
        POLL_INTERVAL="0.1",
        POLLER_WAIT_TIMEOUT="5",
        RESPONSE_TIMEOUT="20",
    ) as pool:
        bbbs[0].add_fault("hang", "getMeetings")
        async with running(pool.res):
            await bbbs[0].until_called("getMeetings")
            await bbbs[1].until_called("getMeetings", 8)
            await bbbs[2].until_called("getMeetings", 8)

        assert polls(bbbs[0]) == 1


async def test_polls_under_way_are_limited(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url,
        redis_namespace,
        bbbs,
        POLL_INTERVAL="60",
        POLLER_THREADS="1",
        POLLER_WAIT_TIMEOUT="0.5",
        SERVER_UNHEALTHY_THRESHOLD="1",
    ) as pool:
        for bbb in bbbs:
            bbb.add_fault("hang", "getMeetings")
        async with running(pool.res):
            await soon(lambda: all(polls(bbb) for bbb in bbbs))

        times_s = sorted(bbb.requests("getMeetings")[0]["received_s"] for bbb in bbbs)
        assert all(b - a > 0.45 for a, b in pairwise(times_s))


async def test_polls_of_very_many_servers_begin_a_few_at_a_time(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "BEGUN_AT_ONCE", 1)
    monkeypatch.setattr(poller, "PAUSE_S", 0.3)
    async with open_live(redis_url, redis_namespace, bbbs, POLL_INTERVAL="60") as pool:
        for bbb in bbbs:
            bbb.clear_requests()  # the pool has polled each once
        async with running(pool.res):
            await soon(lambda: all(polls(bbb) for bbb in bbbs))

        times_s = sorted(bbb.requests("getMeetings")[0]["received_s"] for bbb in bbbs)
        assert all(b - a > 0.25 for a, b in pairwise(times_s))


# --- two appliances -------------------------------------------------------------------------------


async def test_two_appliances_share_the_servers_and_one_takes_over(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with (
        open_live(redis_url, redis_namespace, bbbs, POLL_INTERVAL="0.2") as pool,
        running(pool.res) as first,
        running(rewire(pool.res, servers__instance="second")) as second,
    ):
        every = {"bbb-1", "bbb-2", "bbb-3"}
        await soon(
            lambda: (
                first.held | second.held == every
                and not first.held & second.held
                and bool(first.held and second.held)
            ),
            "a fair share",
        )

        first.scope.cancel()

        await soon(lambda: second.held == every, "the take-over")
        counts = [polls(bbb) for bbb in bbbs]
        await soon(lambda: all(polls(bbb) > n for bbb, n in zip(bbbs, counts, strict=True)))


async def test_servers_of_a_dead_appliance_are_taken_over_when_its_leases_run_out(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs) as pool:
        ids = [ServerId(bbb.server_id) for bbb in bbbs]
        store = pool.res.servers.store
        await store.watch_pool("dead", lease_ms=1000)
        _, held = await store.lease_servers("dead", ids, lease_ms=1000)
        assert len(held) == 3
        async with running(pool.res) as survivor:
            with trio.fail_after(40):
                while len(survivor.held) < 3:
                    await trio.sleep(0.05)


async def test_leases_are_given_back_at_the_end(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs) as pool:
        async with running(pool.res) as at_work:
            await soon(lambda: len(at_work.held) == 3)

        assert await pool.redis("HGETALL", "appliance:leases") == []


async def test_list_is_read_on_a_change_and_what_a_scalelite_changes_is_found(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "TICK_S", 0.02)
    monkeypatch.setattr(poller, "READ_PER_TICK", 1)
    async with open_live(redis_url, redis_namespace, bbbs) as pool:
        lists = CountedLists(pool.res.pool.records.redis)
        async with running(rewire(pool.res, pool__records=lists)) as at_work:
            await soon(lambda: len(at_work.held) == 3)
            await soon(lambda: all(at_work.successes(one.server_id) for one in bbbs))
            await trio.sleep(0.2)
            before = lists.whole

            await trio.sleep(0.5)
            assert lists.whole == before

            await pool.redis("HSET", "server:bbb-3", "load_multiplier", "2")
            count = polls(bbbs[2])
            await soon(lambda: polls(bbbs[2]) > count, "a poll under the new multiplier")
            assert lists.whole == before

            for name in ("server_enabled", "servers"):
                await pool.redis("SREM", name, "bbb-2")
            await soon(lambda: at_work.held == {"bbb-1", "bbb-3"}, "the end of its task")
            for name in ("server_enabled", "servers"):
                await pool.redis("SADD", name, "bbb-2")
            await soon(lambda: len(at_work.held) == 3, "its new task")

            # It is gone before anything of it was compared.
            await pool.redis("RENAME", "server:bbb-2", f"{redis_namespace}:away")
            await soon(lambda: at_work.held == {"bbb-1", "bbb-3"}, "the end of its polls")
            await pool.redis("RENAME", "away", f"{redis_namespace}:server:bbb-2")
            for name in ("server_enabled", "servers"):
                await pool.redis("SADD", name, "bbb-2")
            await soon(lambda: len(at_work.held) == 3, "its polls")


class CountedLists(PoolRecords):
    """Counts how often the whole list of the servers is read."""

    whole = 0

    async def list_servers(self, *, in_background: bool = False) -> list[Server]:
        """Count, and return all servers."""
        type(self).whole += 1
        return await super().list_servers(in_background=in_background)


# --- trouble --------------------------------------------------------------------------------------


async def test_poller_goes_on_when_the_store_was_away(
    redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    with redis_process(*DURABLE) as redis:
        async with open_live(
            redis.unix_url, redis_namespace, bbbs[:1], enable=False, POLL_INTERVAL="0.1"
        ) as pool:
            await pool.register(bbbs[0])
            async with running(pool.res):
                await bbbs[0].until_called("getMeetings", 2)
                redis.kill()
                await soon(lambda: bool(pool.log.named("poller_waits_for_store")))
                redis.start()
                redis.wait_ready()
                await pool.client.wait_connected()
                await pool.res.redis.background.client.wait_connected()
                bbbs[0].clear_requests()

                await bbbs[0].until_called("getMeetings", 3)
                await until_online(pool, "bbb-1")

            warned = [event for event in pool.log.events if event[0] == "warning"]
            assert [name for _, name, _ in warned].count("poller_waits_for_store") == 1


async def test_defect_met_at_one_server_stops_neither_its_polls_nor_others(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:2], POLL_INTERVAL="0.2") as pool:
        await pool.redis("SET", "appliance:meetings_of:bbb-1", "of another type")
        async with running(pool.res):
            await soon(lambda: len(pool.log.errors) >= 2)
            await pool.redis("DEL", "appliance:meetings_of:bbb-1")
            before = polls(bbbs[0])
            await bbbs[0].until_called("getMeetings", before + 2)
            assert polls(bbbs[1]) >= 2

        assert {name for name, _ in pool.log.errors} == {"poll_failed"}
        pool.log.events.clear()


async def test_poll_soon_of_a_server_that_is_not_ours_is_nothing() -> None:
    Poller().poll_soon(ServerId("nobody's"))
