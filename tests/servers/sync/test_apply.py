"""Sync makes the pool what the file says, server by server; nothing changes if the file is bad."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from appliance.features import Features
from appliance.meetings.placement import PlacementRequest
from appliance.model import Meeting, MeetingId, Server, ServerId, ServerState
from appliance.pool.ending import EndOutcome
from appliance.servers.administration import list_servers
from appliance.servers.sync.apply import (
    StepOutcome,
    SyncedServer,
    add_all_servers,
    export_servers,
    sync_servers,
)
from appliance.servers.sync.plan import StepKind, SyncMode
from appliance.servers.sync.yaml_list import BadServerList
from tests.doubles.features import EventBook, open_features, rewire
from tests.doubles.pool_store import PoolStore, with_store
from tests.doubles.redis_layout import layout_faults
from tests.doubles.store_servers import private_redis

FILE = """\
servers:
  a:
    secret: secr3t-a
    url: http://127.0.0.1:9/a/api
  b:
    secret: sb
    url: http://127.0.0.1:9/b/api
    enabled: false
    load_multiplier: 2.0
    tag: gpu
    max_users: 70
"""
BOTH_ENABLED = FILE.replace("enabled: false", "enabled: true").replace("    tag: gpu\n", "")
ONLY_A = FILE[: FILE.index("  b:")]


@asynccontextmanager
async def pool_of(redis_url: str, namespace: str, file: str = "") -> AsyncIterator[Features]:
    async with open_features(redis_url, namespace) as res:
        if file:
            await sync_servers(res.servers, "test", file)
        yield res
        faults = await layout_faults(res.redis.foreground.client, namespace)
        assert not faults, faults


async def place(res: Features, meeting_id: str, server_id: str) -> None:
    """Give an online server a meeting."""
    key = f"{res.redis.foreground.namespace}:server"
    command = res.redis.foreground.client.command
    await command("HSET", f"{key}:{server_id}", "online", "true")
    await command("ZADD", f"{key}_load", 0, server_id)
    others = frozenset(one.id for one in await list_servers(res.servers) if one.id != server_id)
    request = PlacementRequest(
        MeetingId(meeting_id), None, "mp", "mp", (meeting_id[-5:],), res.now_ms(), 0.0
    )
    meeting = (await res.meetings.store.place_meeting(replace(request, excluded=others))).meeting
    assert meeting is not None
    await res.meetings.store.confirm_meeting(meeting, now_ms=res.now_ms())


async def states(res: Features) -> dict[str, str]:
    return {server.id: server.state.value for server in await list_servers(res.servers)}


def outcomes(servers: tuple[SyncedServer, ...]) -> list[tuple[str, str, str]]:
    return [(one.step.server_id, one.step.kind.value, one.outcome.value) for one in servers]


async def test_servers_are_added_in_their_state_and_polled_soon(
    redis_url: str, redis_namespace: str
) -> None:
    async with pool_of(redis_url, redis_namespace) as res:
        polled: list[ServerId] = []

        result = await sync_servers(
            rewire(res, servers__poll_soon=polled.append).servers, "me", FILE
        )

        assert outcomes(result.servers) == [("a", "add", "done"), ("b", "add", "done")]
        assert (result.failure, polled) == ("", ["a"])
        a, b = await list_servers(res.servers)
        assert a == Server(
            ServerId("a"), "http://127.0.0.1:9/a/api", "secr3t-a", ServerState.ENABLED
        )
        assert (b.state, b.load_multiplier, b.tag, b.max_users) == (
            ServerState.DISABLED,
            2.0,
            "gpu",
            70,
        )
        assert isinstance(res.log, EventBook)
        assert [event["by"] for event in res.log.named("server_added")] == ["me", "me"]
        assert "secr3t-a" not in str(res.log.events)


async def test_what_is_exported_changes_nothing(redis_url: str, redis_namespace: str) -> None:
    async with pool_of(redis_url, redis_namespace, FILE) as res:
        for verbose in (False, True):
            text = await export_servers(res.servers, verbose=verbose)
            result = await sync_servers(res.servers, "me", text)

            assert {one.step.kind for one in result.servers} == {StepKind.NOTHING}


async def test_pool_is_rebuilt_from_its_export(redis_url: str, redis_namespace: str) -> None:
    async with pool_of(redis_url, redis_namespace, FILE) as res:
        before, text = (
            await list_servers(res.servers),
            await export_servers(res.servers, verbose=True),
        )
        await sync_servers(res.servers, "me", "servers: {}")
        assert await list_servers(res.servers) == ()

        await sync_servers(res.servers, "me", text)

        assert await list_servers(res.servers) == before


async def test_values_and_states_are_changed(redis_url: str, redis_namespace: str) -> None:
    async with pool_of(redis_url, redis_namespace, FILE) as res:
        changed = (
            FILE.replace("secr3t-a", "s2")
            .replace("/a/api\n", "/a2/api\n    enabled: no\n")
            .replace("enabled: false", "enabled: true")
            .replace("tag: gpu", "tag: ''")
        )

        result = await sync_servers(res.servers, "me", changed)

        assert outcomes(result.servers) == [("a", "change", "done"), ("b", "change", "done")]
        a, b = await list_servers(res.servers)
        assert (a.url, a.secret, a.state) == ("http://127.0.0.1:9/a2/api", "s2", "cordoned")
        assert (b.tag, b.state) == (None, "enabled")
        assert isinstance(res.log, EventBook)
        assert res.log.named("server_changed") == [
            {
                "server": "a",
                "changed": ["url", "secret", "state"],
                "url": "http://127.0.0.1:9/a2/api",
                "state": "cordoned",
                "by": "me",
            },
            {"server": "b", "changed": ["tag", "state"], "tag": "", "state": "enabled", "by": "me"},
        ]


async def test_dry_run_plans_the_same_and_changes_nothing(
    redis_url: str, redis_namespace: str
) -> None:
    async with pool_of(redis_url, redis_namespace, FILE) as res:
        before = await list_servers(res.servers)
        file = "servers: {c: {secret: s}, a: {secret: new, url: 'http://127.0.0.1:9/a/api'}}"

        dry = await sync_servers(res.servers, "me", file, dry_run=True)

        assert await list_servers(res.servers) == before
        assert {one.outcome for one in dry.servers} == {StepOutcome.PLANNED}
        wet = await sync_servers(res.servers, "me", file)
        assert [one.step for one in dry.servers] == [one.step for one in wet.servers]
        assert [one.step.kind for one in wet.servers] == ["add", "change", "remove"]


async def test_bad_file_changes_nothing(redis_url: str, redis_namespace: str) -> None:
    async with pool_of(redis_url, redis_namespace, FILE) as res:
        before = await list_servers(res.servers)
        for text in ("servers: {new: {secret: s}, a: {secret: ''}}", "servers: [", "servers:"):
            with pytest.raises(BadServerList):
                await sync_servers(res.servers, "me", text, mode=SyncMode.FORCE)
            with pytest.raises(BadServerList):
                await add_all_servers(res.servers, "me", text)

        assert await list_servers(res.servers) == before


@pytest.mark.parametrize(
    ("mode", "after"),
    [
        (SyncMode.KEEP, {"a": "enabled", "b": "enabled", "c": "disabled"}),
        (SyncMode.CORDON, {"a": "enabled", "b": "cordoned"}),
        (SyncMode.FORCE, {"a": "enabled"}),
    ],
)
async def test_servers_not_in_the_file_are_dealt_with_as_the_mode_says(
    mode: SyncMode, after: dict[str, str], redis_url: str, redis_namespace: str
) -> None:
    file = BOTH_ENABLED + "  c: {secret: s, enabled: false}\n"
    async with pool_of(redis_url, redis_namespace, file) as res:
        await place(res, "room-70001", "b")

        result = await sync_servers(res.servers, "me", ONLY_A, mode=mode)

        assert await states(res) == after
        (b,) = [one for one in result.servers if one.step.server_id == "b"]
        # The server of a forced removal is dead here, which stops nothing.
        failed = [one.outcome for one in b.ended]
        assert failed == ([EndOutcome.FAILED] if mode is SyncMode.FORCE else [])
        meetings = await res.pool.records.list_meetings()
        assert len(meetings) == (0 if mode is SyncMode.FORCE else 1)


async def test_cordoned_server_is_removed_once_it_is_empty(
    redis_url: str, redis_namespace: str
) -> None:
    async with pool_of(redis_url, redis_namespace, BOTH_ENABLED) as res:
        await place(res, "room-70001", "b")
        await sync_servers(res.servers, "me", ONLY_A)
        again = await sync_servers(res.servers, "me", ONLY_A)
        assert outcomes(again.servers)[1] == ("b", "cordon", "done")
        assert not again.servers[1].step.changes_something
        (meeting,) = await res.pool.records.list_meetings()
        await res.pool.records.forget_meeting(meeting, now_ms=res.now_ms())

        await sync_servers(res.servers, "me", ONLY_A)

        assert await states(res) == {"a": "enabled"}


class OutdatedStore(PoolStore):
    """A store whose meetings came a moment after they were listed."""

    async def list_meetings(self) -> list[Meeting]:
        """Return what there was a moment ago."""
        return []


@pytest.mark.parametrize(
    ("mode", "kind", "after"),
    [
        (SyncMode.CORDON, "cordon", {"a": "enabled", "b": "cordoned"}),
        (SyncMode.FORCE, "evict", {"a": "enabled"}),
    ],
)
async def test_meeting_that_came_after_the_plan_is_seen(
    mode: SyncMode, kind: str, after: dict[str, str], redis_url: str, redis_namespace: str
) -> None:
    async with pool_of(redis_url, redis_namespace, BOTH_ENABLED) as res:
        await place(res, "room-70001", "b")
        outdated = OutdatedStore(res.redis, res.servers.store.rules)

        result = await sync_servers(with_store(res, outdated).servers, "me", ONLY_A, mode=mode)

        assert outcomes(result.servers)[1] == ("b", kind, "done")
        assert result.servers[1].step.meetings == 1
        assert await states(res) == after


async def test_two_servers_of_one_url_are_noted(redis_url: str, redis_namespace: str) -> None:
    async with pool_of(redis_url, redis_namespace) as res:
        result = await sync_servers(
            res.servers, "me", FILE.replace("/b/api", "/a/api/"), dry_run=True
        )

        assert result.notes == ("servers with the same url: a, b",)


async def test_servers_of_a_file_may_exchange_their_urls_or_share_one(
    redis_url: str, redis_namespace: str
) -> None:
    async with pool_of(redis_url, redis_namespace) as res:
        for a, b in (("c", "c"), ("a", "b"), ("b", "a"), ("a", "c")):
            file = FILE.replace("/a/api", f"/{a}/API").replace("/b/api", f"/{b}/API")
            result = await sync_servers(res.servers, "me", file.replace("API", "api"))
            assert {one.outcome.value for one in result.servers} == {"done"}
            found = await res.pool.records.list_servers()
            assert [one.url.split("/")[-2] for one in found] == [a, b]


@pytest.mark.parametrize("mode", list(SyncMode))
@pytest.mark.parametrize("dry_run", [False, True])
async def test_servers_cannot_be_renamed(
    mode: SyncMode, dry_run: bool, redis_url: str, redis_namespace: str
) -> None:
    async with pool_of(redis_url, redis_namespace, BOTH_ENABLED) as res:
        renamed = BOTH_ENABLED.replace("  a:", "  new:")
        with pytest.raises(BadServerList) as error:
            await sync_servers(res.servers, "me", renamed, mode=mode, dry_run=dry_run)

        (problem,) = error.value.problems
        assert str(problem).startswith("server new: server a has this url already")
        assert "keep the id a" in problem.reason
        assert await states(res) == {"a": "enabled", "b": "enabled"}


async def test_store_that_is_lost_on_the_way_leaves_a_true_account(redis_namespace: str) -> None:
    file = "servers:\n" + "".join(f"  s{n}: {{secret: s}}\n" for n in range(4))
    with private_redis() as redis, trio.fail_after(30):
        async with open_features(redis.url, redis_namespace) as res:
            calls: list[ServerId] = []

            def lose_at_second(server_id: ServerId) -> None:
                calls.append(server_id)
                if len(calls) == 2:
                    redis.process.kill()
                    redis.process.wait()

            result = await sync_servers(
                rewire(res, servers__poll_soon=lose_at_second).servers, "me", file
            )

    assert [outcome for _, _, outcome in outcomes(result.servers)] == [
        *("done", "done", "uncertain", "not_reached"),
    ]
    assert "Redis" in result.failure


async def test_time_that_is_up_leaves_a_true_account(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        result = await sync_servers(res.servers, "me", FILE, apply_s=0.0)

        assert [outcome for _, _, outcome in outcomes(result.servers)] == [
            *("uncertain", "not_reached"),
        ]
        assert result.failure == "not done within 0 seconds"


async def test_add_all_adds_disabled_servers_and_may_be_repeated(
    redis_url: str, redis_namespace: str
) -> None:
    file = (
        "servers:\n- {url: h1.example.com, secret: s}\n"
        "- {url: h2.example.com, secret: s, id: two}\n"
    )
    async with pool_of(redis_url, redis_namespace) as res:
        first = await add_all_servers(res.servers, "me", file)
        second = await add_all_servers(res.servers, "me", file)

        servers = await list_servers(res.servers)
        assert [(one.url, one.state.value) for one in servers] == [
            (f"https://h{n}.example.com/bigbluebutton/api", "disabled") for n in (1, 2)
        ]
        assert [one.was_there for one in first] == [False, False]
        assert [one.was_there for one in second] == [True, True]
        assert [one.server for one in second] == list(servers)
        assert servers[1].id == "two"


async def test_add_all_says_what_it_could_not_add(redis_namespace: str) -> None:
    file = "servers:\n" + "".join(f"- {{url: h{n}, secret: s}}\n" for n in range(3))
    with private_redis() as redis, trio.fail_after(30):
        async with open_features(redis.url, redis_namespace) as res:
            ids = iter(("one", "two", "three"))

            def lose_at_second() -> str:
                found = next(ids)
                if found == "two":
                    redis.process.kill()
                    redis.process.wait()
                return found

            added = await add_all_servers(res.servers, "me", file, new_id=lose_at_second)

    assert [one.outcome for one in added] == ["done", "uncertain", "not_reached"]


async def test_ids_that_hosts_share_stop_none_of_the_others(
    redis_url: str, redis_namespace: str
) -> None:
    file = "servers:\n" + "".join(f"- {{url: 'h1:{n}', secret: s}}\n" for n in (1, 2))
    async with open_features(redis_url, redis_namespace, SERVER_ID_IS_HOSTNAME="true") as res:
        added = await add_all_servers(res.servers, "me", file)

    assert [(one.outcome, one.reason) for one in added] == [
        ("done", ""),
        ("failed", "a server with id h1 exists already"),
    ]


async def test_work_for_each_server_does_not_grow_with_their_number(
    redis_url: str, redis_namespace: str
) -> None:
    def trips() -> int:
        both = res.redis.foreground.client, res.redis.background.client
        return sum(client.round_trips for client in both)

    def file(first: int, count: int) -> str:
        urls = (f"http://127.0.0.1:9/{number}/api" for number in range(first, first + count))
        return "servers:\n" + "".join(f"- {{url: '{url}', secret: s}}\n" for url in urls)

    async with pool_of(redis_url, redis_namespace, FILE) as res:
        await sync_servers(res.servers, "test", "servers: {}\n", mode=SyncMode.FORCE)
        before = trips()
        await sync_servers(res.servers, "test", FILE)
        assert await res.pool.retired.read_all(now_ms=res.now_ms()) == []
        assert trips() - before < 15

        before = trips()
        await add_all_servers(res.servers, "test", file(0, 5))
        few, before = trips() - before, trips()
        await add_all_servers(res.servers, "test", file(5, 15))
        assert trips() - before - few <= 10 * 2  # one to add it, one to read it
