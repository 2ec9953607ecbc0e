"""Managing servers, on a real Redis and simulated BBB servers."""

from __future__ import annotations

import uuid

import pytest
import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.features import Features
from appliance.model import Server, ServerId, ServerState
from appliance.servers.administration import (
    PoolStatus,
    add_server,
    cordon_server,
    enable_server,
    find_server,
    list_servers,
    read_status,
    remove_server,
    update_server,
)
from appliance.servers.values import NewServer, ServerChange
from appliance.usage.store import UsageStore
from tests.doubles.bbb_process import open_bbb_servers
from tests.doubles.features import EventBook, open_features
from tests.doubles.ports import free_port

URL = "https://BBB1.example.com/bigbluebutton/api"


def book_of(res: Features) -> EventBook:
    assert isinstance(res.log, EventBook)
    return res.log


async def place(res: Features, meeting_id: str, server_id: str) -> None:
    """Record a meeting as a Scalelite beside us does."""
    client, space = res.redis.foreground.client, res.redis.foreground.namespace
    await client.command(
        *("HSET", f"{space}:meeting:{meeting_id}", "server_id", server_id),
        *("moderator_pw", "mp", "voice_bridge", "12345"),
    )
    await client.command("SADD", f"{space}:meetings", meeting_id)


async def test_server_is_added_disabled_with_a_uuid(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        added = await add_server(
            res.servers, "me", NewServer(URL, "s3cr3t", tag="gpu", max_users=7)
        )

        assert uuid.UUID(added.id).version == 4
        assert added == await find_server(res.servers, added.id)
        assert (added.url, added.secret, added.tag) == (URL, "s3cr3t", "gpu")
        assert (added.state, added.online, added.load) == (ServerState.DISABLED, False, None)
        assert (added.load_multiplier, added.max_users, added.max_meetings) == (1.0, 7, None)
        assert book_of(res).named("server_added") == [{"server": added.id, "url": URL, "by": "me"}]
        assert "s3cr3t" not in str(book_of(res).events)


async def test_server_is_named_after_its_host_when_configured(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace, SERVER_ID_IS_HOSTNAME="true") as res:
        assert (await add_server(res.servers, "me", NewServer(URL, "s"))).id == "bbb1.example.com"
        assert (
            await add_server(res.servers, "me", NewServer("http://own/api", "s", id="own"))
        ).id == "own"
        with pytest.raises(Refused, match="the id must be"):
            await add_server(res.servers, "me", NewServer("http://[::1]/api", "s"))


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (NewServer("not a url", "s"), "the url"),
        (NewServer(URL, ""), "the secret"),
        (NewServer(URL, "s", load_multiplier=-1), "multiplier"),
        (NewServer(URL, "s", tag="a;b"), "the tag"),
        (NewServer(URL, "s", id="a b"), "the id"),
        (NewServer(URL, "s", max_meetings=-1), "max_meetings"),
    ],
)
async def test_server_is_refused_with_the_reason(
    new: NewServer, reason: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        with pytest.raises(Refused, match=reason) as refused:
            await add_server(res.servers, "me", new)

        assert refused.value.kind is RefusalKind.INVALID
        assert await list_servers(res.servers) == ()


async def test_second_server_of_an_id_is_refused(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        first = await add_server(res.servers, "me", NewServer(URL, "s", id="one"))

        with pytest.raises(Refused, match="a server with id one exists already"):
            await add_server(res.servers, "me", NewServer(URL, "other", id="one"))

        assert await find_server(res.servers, "one") == first


async def test_url_of_another_server_is_refused(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        await add_server(res.servers, "me", NewServer(URL, "s", id="one"))
        await add_server(res.servers, "me", NewServer("http://two/api", "s", id="two"))
        same = f"{URL.lower()}/"

        with pytest.raises(Refused, match="server one has this url already"):
            await add_server(res.servers, "me", NewServer(same, "s"))
        with pytest.raises(Refused, match="server one has this url already"):
            await update_server(res.servers, "me", "two", ServerChange(url=same, secret="n3w"))

        unchanged = await find_server(res.servers, "two")
        assert (unchanged.url, unchanged.secret) == ("http://two/api", "s")
        assert (await update_server(res.servers, "me", "one", ServerChange(url=same))).url == same


@pytest.mark.parametrize("adds", [True, False])
async def test_one_url_is_given_to_one_server_when_several_ask_for_it_at_once(
    redis_url: str, redis_namespace: str, adds: bool
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        ids = [f"s{number}" for number in range(4)]
        for server_id in [] if adds else ids:
            new = NewServer(f"http://{server_id}/api", "s", id=server_id)
            await add_server(res.servers, "me", new)
        reasons: list[str] = []

        async def ask(server_id: str) -> None:
            try:
                if adds:
                    await add_server(res.servers, "me", NewServer(URL, "s", id=server_id))
                else:
                    await update_server(res.servers, "me", server_id, ServerChange(url=URL))
            except Refused as refused:
                reasons.append(str(refused))

        async with trio.open_nursery() as nursery:
            for server_id in ids:
                nursery.start_soon(ask, server_id)

        (one,) = [server.id for server in await list_servers(res.servers) if server.url == URL]
        assert reasons == [f"server {one} has this url already"] * 3


async def test_servers_are_listed_as_people_sort_them(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        for host in ("bbb10", "bbb2", "Bbb1"):
            await add_server(res.servers, "me", NewServer(f"http://{host}/api", "s"))

        hosts = [server.url for server in await list_servers(res.servers)]

        assert hosts == ["http://Bbb1/api", "http://bbb2/api", "http://bbb10/api"]


async def test_update_changes_only_what_is_named(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        await add_server(
            res.servers, "me", NewServer(URL, "s", id="one", tag="gpu", max_meetings=3)
        )

        changed = await update_server(
            res.servers, "me", "one", ServerChange(secret="n3w", load_multiplier=2.5, max_users=9)
        )

        assert (changed.secret, changed.load_multiplier) == ("n3w", 2.5)
        assert (changed.tag, changed.max_meetings, changed.max_users) == ("gpu", 3, 9)
        assert book_of(res).named("server_changed") == [
            {
                "server": "one",
                "changed": ["secret", "load_multiplier", "max_users"],
                "load_multiplier": 2.5,
                "max_users": 9,
                "by": "me",
            }
        ]
        assert "n3w" not in str(book_of(res).events)
        emptied = await update_server(
            res.servers, "me", "one", ServerChange(tag="", max_meetings=0, max_users=0)
        )
        assert (emptied.tag, emptied.max_meetings, emptied.max_users) == (None, None, None)


async def test_unknown_server_is_refused_by_every_call(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        for call in (
            find_server(res.servers, "x"),
            update_server(res.servers, "me", "x", ServerChange(tag="a")),
            enable_server(res.servers, "me", "x"),
            cordon_server(res.servers, "me", "x"),
            remove_server(res.servers, "me", "x", force=True),
        ):
            with pytest.raises(Refused, match="Couldn't find server with id=x") as refused:
                await call
            assert refused.value.kind is RefusalKind.NOT_FOUND


async def test_enabled_server_is_polled_at_once(redis_url: str, redis_namespace: str) -> None:
    async with (
        open_bbb_servers(1) as (bbb,),
        open_features(redis_url, redis_namespace) as res,
    ):
        bbb.create_meeting("room")
        bbb.set_users("room", participants=4)
        await add_server(res.servers, "me", NewServer(bbb.url, bbb.secret, id="one"))

        enabled = await enable_server(res.servers, "me", "one")

        assert enabled.poll is not None
        assert enabled.poll.succeeded
        assert (enabled.server.state, enabled.server.online) == (ServerState.ENABLED, True)
        assert (enabled.server.meetings, enabled.server.users) == (1, 4)
        assert enabled.server.bbb_version == bbb.version
        assert book_of(res).named("server_state_set") == [
            {"server": "one", "state": "enabled", "before": "disabled", "by": "me"}
        ]


async def test_enabled_server_tells_why_it_cannot_be_polled(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        url = f"http://127.0.0.1:{free_port()}/bigbluebutton/api"
        await add_server(res.servers, "me", NewServer(url, "s", id="one"))

        enabled = await enable_server(res.servers, "me", "one")

        assert enabled.poll is not None
        assert not enabled.poll.succeeded
        assert enabled.poll.reason
        assert (enabled.server.state, enabled.server.online) == (ServerState.ENABLED, False)


async def test_server_with_meetings_is_removed_only_by_force(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        await add_server(res.servers, "me", NewServer(URL, "s", id="one"))
        await place(res, "room", "one")

        with pytest.raises(Refused, match="server one has 1 meeting;"):
            await remove_server(res.servers, "me", "one", force=False)
        assert len(await list_servers(res.servers)) == 1

        await remove_server(res.servers, "me", "one", force=True)
        assert await list_servers(res.servers) == ()
        assert await res.pool.records.list_meetings() == []
        assert book_of(res).named("server_removed") == [
            {"server": "one", "forced": True, "by": "me"}
        ]


async def test_empty_server_is_removed_without_force(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        await add_server(res.servers, "me", NewServer(URL, "s", id="one"))

        await remove_server(res.servers, "me", "one", force=False)

        assert await list_servers(res.servers) == ()


async def test_server_owes_nothing_without_a_database(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        await add_server(res.servers, "me", NewServer(URL, "s", id="one"))
        ended = {f"{'a' * 40}-1": res.now_ms()}
        await UsageStore(res.redis.background).change_debts({ServerId("one"): ended})

        assert (await find_server(res.servers, "one")).recordings_owed == 0
        await remove_server(res.servers, "me", "one", force=False)


def polled_server(number: int, state: ServerState, *, online: bool = True) -> Server:
    return Server(ServerId(str(number)), "http://x/api", "s", state, online, meetings=1, users=10)


def test_sums_count_every_server() -> None:
    status = PoolStatus(
        (
            polled_server(1, ServerState.ENABLED),
            polled_server(2, ServerState.ENABLED, online=False),
            polled_server(3, ServerState.CORDONED),
        )
    )

    assert (status.meetings, status.users, status.available) == (3, 30, 1)


async def test_status_of_an_empty_pool_is_empty(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        assert await read_status(res.servers) == PoolStatus(())
