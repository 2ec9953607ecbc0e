"""create takes the URL out and keeps it, and costs nothing without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from appliance.bbb.signed_request import Caller
from appliance.callbacks.attributes_yaml import RECORDING_READY, KeptUrls
from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.rules import id_of_secret
from appliance.callbacks.url_store import CallbackUrls
from appliance.meetings.create import create_meeting
from appliance.model import Tenant, TenantId
from appliance.recordings.imports.importer import import_tar
from appliance.recordings.imports.journal import ImportJournal
from appliance.redis.client import RedisAddress, open_redis_client
from appliance.redis.store import RedisStore
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import rewire
from tests.doubles.import_tools import open_import_bench
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.recording_tars import recording_tar

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

URL = "https://lms.example.org/ready?course=1&x=%20"


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    async with open_live(redis_url, redis_namespace, bbbs) as opened:
        yield opened


async def create(pool: LivePool, **params: str) -> bytes:
    """Create the meeting `math` as a front-end that knows the secret `s`."""
    given = (("meetingID", "math"), *params.items())
    return await create_meeting(pool.res.meetings, Caller(), given, secret="s")


def ready(value: str, spelling: str = "bn") -> dict[str, Any]:
    return {f"meta_{spelling}-recording-ready-url": value}


async def test_url_is_kept_and_not_sent_to_the_server(pool: LivePool) -> None:
    assert b"SUCCESS" in await create(pool, **ready("http://h/canvas", "canvas"), **ready(URL))
    assert await pool.res.callbacks.urls.find("math", None) == KeptUrls(
        {RECORDING_READY: URL}, id_of_secret("s")
    )
    (request,) = [one for bbb in pool.servers for one in bbb.requests("create")]
    assert "recording-ready-url" not in request["query"]


async def test_url_of_a_repeated_create_counts(pool: LivePool) -> None:
    await create(pool, **ready("http://h/1"))
    await create(pool, **ready("http://h/2", "bbb"))
    await create(pool)
    kept = await pool.res.callbacks.urls.find("math", None)
    assert kept is not None
    assert kept.urls == {RECORDING_READY: "http://h/2"}


async def test_create_takes_one_round_trip_more_only_with_a_url(pool: LivePool) -> None:
    await create(pool)
    before = pool.client.round_trips
    await create(pool)
    assert pool.client.round_trips - before == 1


@pytest.mark.parametrize("url", ["ftp://h/", "http://user:pw@h/", "nonsense"])
async def test_url_that_may_not_be_called_is_taken_out_all_the_same(
    pool: LivePool, url: str
) -> None:
    for _ in range(2):
        assert b"SUCCESS" in await create(pool, **ready(url))
    assert await pool.res.callbacks.urls.find("math", None) is None
    requests = [one for bbb in pool.servers for one in bbb.requests("create")]
    assert len(requests) == 2
    assert not any("recording-ready-url" in request["query"] for request in requests)
    warned = [one for one in pool.log.events if one[:2] == ("warning", "callback_url_refused")]
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://lms.example.org/end", True),
        ("http://10.0.0.5/end", False),
        ("http://169.254.169.254/latest", False),
        ("http://[::1]/end", False),
        ("http://0x7f.1/end", False),
        ("http://localhost./end", False),
        ("ftp://lms.example.org/end", False),
        ("", True),
    ],
)
async def test_private_end_callback_url_is_not_sent_to_the_server_when_they_are_blocked(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], url: str, sent: bool
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs, CALLBACK_BLOCK_PRIVATE="true") as pool:
        assert b"SUCCESS" in await create(pool, meta_endCallbackUrl=url)

        (request,) = [one for bbb in pool.servers for one in bbb.requests("create")]
        assert ("meta_endCallbackUrl" in request["query"]) == sent
        assert len(pool.log.named("callback_url_refused")) == (0 if sent else 1)


async def test_private_end_callback_url_is_sent_to_the_server_otherwise(pool: LivePool) -> None:
    await create(pool, meta_endCallbackUrl="http://10.0.0.5/end")

    (request,) = [one for bbb in pool.servers for one in bbb.requests("create")]
    assert "meta_endCallbackUrl" in request["query"]


async def test_create_that_failed_keeps_nothing(pool: LivePool) -> None:
    for bbb in pool.servers:
        bbb.add_fault("failed", "create")
    assert b"FAILED" in await create(pool, **ready(URL))
    assert await pool.res.callbacks.urls.find("math", None) is None


async def test_create_succeeds_when_the_url_cannot_be_kept(pool: LivePool) -> None:
    async with open_redis_client(RedisAddress("redis://127.0.0.1:9")) as nowhere:
        urls = CallbackUrls(None, RedisStore(nowhere, pool.namespace, {}), pool.log)
        res = rewire(pool.res, callbacks__urls=urls)
        given = (("meetingID", "math"), *ready(URL).items())
        assert b"SUCCESS" in await create_meeting(res.meetings, Caller(), given, secret="s")
    assert len(pool.log.named("callback_url_lost")) == 1


async def test_recordings_of_two_tenants_with_one_id_are_told_to_each(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    database_url: str,
    tmp_path: Path,
) -> None:
    tenants = [Tenant(TenantId(f"t-{name}"), name, (name * 40,)) for name in "ab"]
    async with (
        open_live(redis_url, redis_namespace, bbbs, MULTITENANCY_ENABLED="true") as pool,
        open_import_bench(database_url, tmp_path) as bench,
    ):
        urls = CallbackUrls(bench.database, pool.res.redis.foreground, pool.log)
        res = rewire(pool.res, callbacks__urls=urls)
        journal = ImportJournal(bench.database, bench.recordings, bench.log, urls=urls)
        tools = replace(bench.tools, journal=journal)
        for tenant in tenants:
            given = (("meetingID", "math"), *ready(f"http://{tenant.name}/").items())
            await create_meeting(res.meetings, Caller(tenant), given, secret=tenant.secrets[0])
        sent = [one["query"] for bbb in bbbs for one in bbb.requests("create")]
        for tenant, query in zip(tenants, sorted(sent, key=len), strict=True):
            params = dict(parse_qsl(query))
            tar = recording_tar(
                tmp_path,
                f"rec-{tenant.name}",
                meeting_id=params["meetingID"],
                metadata={"tenant-id": params["meta_tenant-id"]},
            )
            tar.rename(tmp_path / "spool" / tar.name)
            assert await import_tar(tools, bench.tar(tar.name)) is None
        queued = [one.callback for one in await PostgresQueue(bench.database).show(None, 10)]

    found = {(one.url, one.record_id, one.meeting_id, one.secret_id) for one in queued}
    assert found == {
        ("http://a/", "rec-a", "math", id_of_secret("a" * 40)),
        ("http://b/", "rec-b", "math", id_of_secret("b" * 40)),
    }
