"""Callback URLs of meetings: in Redis at once, in callback_data when the database is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from appliance.callbacks.attributes_yaml import ANALYTICS, RECORDING_READY, KeptUrls
from appliance.callbacks.url_store import CallbackUrls
from appliance.faults import DatabaseDown, StoreDown
from appliance.model import TenantId
from appliance.redis.client import RedisAddress, open_redis_client
from appliance.redis.store import RedisStore
from tests.doubles.callback_bench import CallbackBench, open_callback_bench
from tests.doubles.features import EventBook
from tests.doubles.recordings import open_recordings
from tests.doubles.store_servers import PostgresServer

SCALELITE_DUMP = Path(__file__).resolve().parents[1] / "data/scalelite/postgres.sql"
A, B = TenantId("tenant-a"), TenantId("tenant-b")


def ready(url: str, secret_id: str | None = None) -> KeptUrls:
    return KeptUrls({RECORDING_READY: url}, secret_id)


@pytest.fixture
async def bench(
    redis_url: str, redis_namespace: str, database_url: str
) -> AsyncIterator[CallbackBench]:
    async with open_callback_bench(redis_url, redis_namespace, database_url) as opened:
        yield opened


async def rows(bench: CallbackBench) -> list[tuple[str, str]]:
    found = await bench.database.fetch(
        "SELECT meeting_id, callback_attributes FROM public.callback_data ORDER BY id"
    )
    return [(row["meeting_id"], row["callback_attributes"]) for row in found]


async def test_keep_is_one_command_and_is_written_as_scalelite_writes(
    bench: CallbackBench,
) -> None:
    before = bench.redis.round_trips
    await bench.urls.keep("math", None, ready("http://h/ready", "s1"))
    assert bench.redis.round_trips == before + 1
    assert await rows(bench) == []
    assert await bench.urls.flush() == 1
    assert await bench.urls.flush() == 0
    assert await rows(bench) == [("math", "---\n:recording_ready_url: http://h/ready\n")]
    assert await bench.urls.find("math", None) == ready("http://h/ready", "s1")
    assert await bench.urls.find("other", None) is None


async def test_burst_of_creates_is_written_once(bench: CallbackBench) -> None:
    async def create(number: int) -> None:
        await bench.urls.keep(f"m-{number}", None, ready("http://h/"))
        await bench.urls.flush_soon()

    before = bench.redis.round_trips
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(create, number)
    await bench.urls.flush()
    assert len(await rows(bench)) == 50
    # one to keep and one to remove each, besides some looks at the list
    assert bench.redis.round_trips - before < 50 * 3


async def test_find_sees_what_still_waits(bench: CallbackBench) -> None:
    await bench.urls.keep("math", None, ready("http://h/1"))
    await bench.urls.keep("math", None, ready("http://h/2", "s2"))
    assert await bench.urls.find("math", None) == ready("http://h/2", "s2")


async def test_urls_are_added_to_those_that_scalelite_wrote(bench: CallbackBench) -> None:
    await bench.database.execute(
        "INSERT INTO public.callback_data (meeting_id, callback_attributes, created_at, updated_at)"
        " VALUES ('math', $1, now(), now()), ('math', 'second', now(), now())",
        "--- !ruby/hash:ActiveSupport::HashWithIndifferentAccess\nanalytics_callback_url: http://h/a\n",
    )
    found = await bench.urls.find("math", A)  # it has no idea of tenants
    assert found == KeptUrls({ANALYTICS: "http://h/a"})
    await bench.urls.keep("math", A, ready("http://h/r"))
    found = await bench.urls.find("math", A)
    assert found == KeptUrls({ANALYTICS: "http://h/a", RECORDING_READY: "http://h/r"})
    assert (await rows(bench))[0][1] == (
        "---\n:analytics_callback_url: http://h/a\n:recording_ready_url: http://h/r\n"
    )
    assert (await rows(bench))[1:] == [("math", "second")]


async def test_migration_takes_whatever_scalelite_wrote(
    empty_database_url: str, postgres_server: PostgresServer
) -> None:
    name = urlsplit(empty_database_url).path.removeprefix("/")
    postgres_server.sql(SCALELITE_DUMP.read_text(), name)
    # Random, or it would be compressed until it fits.
    postgres_server.sql(
        "INSERT INTO public.callback_data SELECT 99, string_agg(md5(n::text), ''), NULL, NULL,"
        " now(), now() FROM generate_series(1, 300) n",
        name,
    )
    async with open_recordings(empty_database_url) as (database, _):
        assert database.ready


async def test_hostile_attributes_are_taken_for_none(bench: CallbackBench) -> None:
    await bench.database.execute(
        "INSERT INTO public.callback_data (meeting_id, callback_attributes, created_at, updated_at)"
        " VALUES ('math', '--- !ruby/object:Gem::Installer {}', now(), now())"
    )
    assert await bench.urls.find("math", None) == KeptUrls({})
    assert bench.log.named("callback_data_refused")
    await bench.urls.keep("math", None, ready("http://h/r"))
    assert await bench.urls.find("math", None) == ready("http://h/r")


async def test_equal_ids_of_two_tenants_are_kept_apart(bench: CallbackBench) -> None:
    await bench.urls.keep("math", A, ready("http://a/"))
    await bench.urls.keep("math", B, ready("http://b/"))
    await bench.urls.keep("math", A, ready("http://a/2"))
    assert await bench.urls.find("math", A) == ready("http://a/2")
    assert await bench.urls.find("math", B) == ready("http://b/")
    assert await bench.urls.find("math", TenantId("tenant-c")) is None
    assert await bench.urls.find("math", None) is None
    assert [meeting_id for meeting_id, _ in await rows(bench)] == ["math", "math~tenant-b"]


async def test_keep_does_without_the_database_and_flush_makes_up_for_it(
    bench: CallbackBench,
) -> None:
    database = bench.database
    reason, database._down_reason = database._down_reason, "away"
    await bench.urls.keep("math", None, ready("http://h/"))
    with pytest.raises(DatabaseDown):
        await bench.urls.flush()
    database._down_reason = reason
    assert await bench.urls.flush() == 1
    assert await bench.urls.find("math", None) == ready("http://h/")


async def test_keep_does_without_redis(bench: CallbackBench) -> None:
    async with open_redis_client(RedisAddress("redis://127.0.0.1:9")) as nowhere:
        urls = CallbackUrls(bench.database, RedisStore(nowhere, bench.namespace, {}), bench.log)
        await urls.keep("math", None, ready("http://h/"))
        assert await urls.find("math", None) == ready("http://h/")
        await bench.database.close_pool()
        with pytest.raises(StoreDown):
            await urls.keep("math", None, ready("http://h/2"))


async def test_entry_that_cannot_be_written_holds_nobody_up(bench: CallbackBench) -> None:
    await bench.redis.command("RPUSH", f"{bench.namespace}:appliance:callback_urls", "{}", "x")
    await bench.urls.keep("a\0b\ud800", None, ready("http://h/\0"))
    assert await bench.urls.flush() == 3
    assert await rows(bench) == [("ab?", "---\n:recording_ready_url: http://h/\n")]
    assert [event for event, _ in bench.log.errors] == ["callback_url_lost"] * 2


async def test_urls_are_kept_in_redis_alone_without_a_database(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_redis_client(RedisAddress(redis_url)) as client:
        await client.wait_connected()
        urls = CallbackUrls(None, RedisStore(client, redis_namespace, {}), EventBook())
        await urls.keep("math", A, ready("http://h/", "s1"))
        assert await urls.flush() == 0
        assert await urls.find("math", A) == ready("http://h/", "s1")
        assert await urls.find("math", B) is None
        assert await urls.find("math", None) is None


async def test_old_urls_go_and_those_of_a_scalelite_stay(bench: CallbackBench) -> None:
    for meeting_id, tenant_id in (("old", A), ("new", A), ("again", None), ("shared", None)):
        await bench.urls.keep(meeting_id, tenant_id, ready(f"http://h/{meeting_id}"))
    await bench.urls.flush()
    await bench.database.execute(
        "UPDATE appliance.callback_origins SET updated_at = now() - interval '2 days'"
        " WHERE meeting_id <> 'new'"
    )
    # A Scalelite beside us has had a create of `shared` since.
    await bench.database.execute(
        "UPDATE public.callback_data SET updated_at = updated_at - interval '2 days'"
        " WHERE meeting_id NOT IN ('new', 'shared')"
    )
    await bench.database.execute(
        "INSERT INTO public.callback_data (meeting_id, callback_attributes, created_at, updated_at)"
        " VALUES ('theirs', '--- {}', '2020-01-01', '2020-01-01')"
    )
    await bench.urls.keep("again", None, ready("http://h/again"))
    await bench.urls.flush()

    assert await bench.urls.prune(86400.0) == 1
    assert await bench.urls.prune(86400.0) == 0
    kept = ["again", "new", "shared", "theirs"]
    assert sorted(meeting_id for meeting_id, _ in await rows(bench)) == kept
    assert await bench.urls.find("old", A) is None
    assert await bench.urls.find("old", B) is None
