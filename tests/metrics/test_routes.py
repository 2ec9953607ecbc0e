"""/metrics over the wire: who may read it, and what is counted on the way."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.instruments import SECONDS
from appliance.metrics.routes import make_metrics_app
from appliance.model import TenantId
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import open_features
from tests.doubles.prometheus_text import samples
from tests.doubles.public import Public, open_public, serving
from tests.doubles.public_pool import open_both
from tests.doubles.recording_pool import open_recording_pool
from tests.doubles.redis_processes import redis_process

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

TOKEN = "Authorization: Bearer t0ken"


@asynccontextmanager
async def own_listener(redis_url: str, namespace: str) -> AsyncIterator[Public]:
    """Serve METRICS_BIND on a loopback port."""
    async with open_features(redis_url, namespace, METRICS_BIND="tcp://127.0.0.1:0") as res:
        web = replace(res.settings.web, binds=res.settings.metrics.binds)
        async with serving(make_metrics_app(res.exposition), web, res.log) as (_, urls, _):
            yield Public(res, int(urls[0].rpartition(":")[2]))


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (TOKEN, 200),
        ("Authorization: bearer  t0ken ", 200),
        ("Authorization: Bearer t0ke", 401),
        ("Authorization: Bearer", 401),
        ("Authorization: Basic t0ken", 401),
        ("X-Nothing: here", 401),
    ],
)
async def test_public_listener_asks_for_the_token(
    header: str, status: int, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace, METRICS_TOKEN="t0ken") as public:
        answer = await public.ask("GET", "/metrics", headers=[header])

    assert answer.status == status
    assert (b"scalelite_info" in answer.body) == (status == 200)
    assert answer.headers.get("www-authenticate") == (None if status == 200 else "Bearer")


async def test_without_a_token_the_public_listener_has_no_metrics(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        assert (
            await public.ask("GET", "/metrics", headers=["Authorization: Bearer "])
        ).status == 404


async def test_own_listener_is_open_and_has_nothing_else(
    redis_url: str, redis_namespace: str
) -> None:
    async with own_listener(redis_url, redis_namespace) as public:
        metrics = await public.ask("GET", "/metrics")
        head = await public.ask("HEAD", "/metrics")
        posted = await public.ask("POST", "/metrics")
        other = await public.ask("GET", "/bigbluebutton/api")

    assert metrics.status == 200
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert samples(metrics.body)["scalelite_redis_up", ()] == 1
    assert (head.status, head.body) == (200, b"")
    assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")
    assert other.status == 404


async def test_metrics_are_told_while_redis_is_away(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with own_listener(redis.unix_url, redis_namespace) as public:
            redis.kill()
            answer = await public.ask("GET", "/metrics")

            assert answer.status == 200
            assert samples(answer.body)["scalelite_redis_up", ()] == 0
            assert not public.log.errors


async def test_metrics_tell_whether_the_database_answers(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> None:
    async with (
        open_recording_pool(
            redis_url, redis_namespace, database_url, tmp_path, METRICS_TOKEN="t0ken"
        ) as pool,
    ):
        for up in (1, 0):
            answer = await pool.public.ask("GET", "/metrics", headers=[TOKEN])
            assert samples(answer.body)["scalelite_postgres_up", ()] == up
            await pool.postgres.close_pool()


async def test_requests_placements_and_servers_are_counted(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs, METRICS_TOKEN="t0ken") as (public, pool):
        await public.call("create", "meetingID=room")
        await public.call("create", "meetingID=room")
        await public.call("getMeetings", secret="wrong")
        await public.ask("GET", "/bigbluebutton/api/made-up")
        await public.ask("GET", "/bigbluebutton/api/meeting_ended?signature=0")
        await public.ask("POST", "/bigbluebutton/api/analytics_callback")
        pool.res.metrics.polls.observe(0.1, "no-longer-there", "ok")
        pool.res.metrics.polls.observe(0.1, bbbs[0].server_id, "ok")

        read = samples((await public.ask("GET", "/metrics", headers=[TOKEN])).body)

    top = str(SECONDS[-1])
    assert read["scalelite_request_seconds_bucket", ("create", top, "ok")] == 2
    assert read["scalelite_request_seconds_count", ("getMeetings", "refused")] == 1
    assert read["scalelite_request_seconds_count", ("unsupported", "refused")] == 1
    assert read["scalelite_request_seconds_count", ("meeting_ended", "refused")] == 1
    assert read["scalelite_request_seconds_count", ("analytics_callback", "refused")] == 1
    assert read["scalelite_placements_total", ("placed",)] == 1
    assert read["scalelite_placements_total", ("known",)] == 1
    assert read["scalelite_pool_desired_servers", ()] >= 1
    assert {labels[1] for name, labels in read if name == "scalelite_server_online"} == {
        bbb.server_id for bbb in bbbs
    }
    assert read["scalelite_poll_seconds_count", ("ok",)] == 1
    polled = {labels for name, labels in read if name == "scalelite_server_polls_failed_total"}
    assert polled == {(bbbs[0].server_id,)}


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False)],
)
async def test_large_answers_are_compressed_for_those_who_accept_it(
    accepted: str, zipped: bool, redis_url: str, redis_namespace: str
) -> None:
    async with own_listener(redis_url, redis_namespace) as public:
        for number in range(200):
            public.res.metrics.requests.observe(0.1, f"call-{number}", "ok")
        answer = await public.ask("GET", "/metrics", headers=[f"Accept-Encoding: {accepted}"])

    assert (answer.headers.get("content-encoding") == "gzip") is zipped
    text = gzip.decompress(answer.body) if zipped else answer.body
    assert samples(text)["scalelite_request_seconds_count", ("call-7", "ok")] == 1


async def test_limits_of_tenants_are_shown_with_what_is_in_use(
    redis_url: str, redis_namespace: str
) -> None:
    async with own_listener(redis_url, redis_namespace) as public:
        assert b"limit_used" not in (await public.ask("GET", "/metrics")).body
        limits = {"max_meetings": "4", "max_duration": "60"}
        await public.res.tenants.limits.change(None, limits)
        public.res.metrics.tenant_refused.add("default", "max_meetings")

        found = samples((await public.ask("GET", "/metrics")).body)

    labels = ("max_meetings", "default")
    assert found["scalelite_tenant_limit_used_ratio", labels] == 0.0
    assert found["scalelite_tenant_refused_total", labels] == 1.0
    assert len([name for name, _ in found if "limit_used_ratio" in name]) == 1


async def test_metrics_show_values_that_are_not_utf_8(redis_url: str, redis_namespace: str) -> None:
    async with own_listener(redis_url, redis_namespace) as public:
        redis, odd = public.res.redis.background, "caf\udce9"  # as Latin-1 in Redis

        async def write(command: str, key: str, *args: str) -> None:
            await redis.command(command, redis.key(key), *args)

        await write("SADD", "servers", odd)
        url = f"https://{odd}/bigbluebutton/api"
        server = ("url", url, "secret", "s", "tag", odd, "state", "enabled", "online", "true")
        await write("HSET", f"server:{odd}", *server, "bbb_version", odd)
        await write("SADD", "tenants", "t")
        await write("HSET", "tenant:t", "name", odd, "secrets", "s")
        await public.res.tenants.limits.change(TenantId("t"), {"max_meetings": "4"})
        for accept in ("text/plain", "application/openmetrics-text"):
            answer = await public.ask("GET", "/metrics", headers=[f"Accept: {accept}"])
            assert answer.status == 200

    text = answer.body.decode()
    assert 'scalelite_server_online{host="caf?",server="caf?"} 1.0' in text
    assert 'scalelite_pool_needed_servers{tag="caf?"}' in text
    assert 'scalelite_tenant_limit_used_ratio{limit="max_meetings",tenant="caf?"} 0.0' in text
