"""Tenants over the wire: who is known by which host and secret, and sees what."""

from __future__ import annotations

from typing import Any

from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import LivePool
from tests.doubles.public_pool import open_both
from tests.doubles.settings import SECRET

pytest_plugins = ["tests.doubles.live_pool_fixtures"]


async def add_tenant(pool: LivePool, name: str, secrets: str) -> None:
    await pool.redis("SADD", "tenants", f"id-{name}")
    await pool.redis("HSET", f"tenant:id-{name}", "name", name, "secrets", secrets)
    await pool.redis("HSET", f"tenant_name:{name}", "id", f"id-{name}")


async def test_tenant_is_known_by_its_host_and_its_own_secrets_only(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(
        redis_url, redis_namespace, bbbs, MULTITENANCY_ENABLED="true", URL_HOST="bbb.example"
    ) as (public, pool):
        await add_tenant(pool, "one", "s1:s2")
        await add_tenant(pool, "two", "s3")
        signed = {
            (host, secret): (await public.call("getMeetings", secret=secret, host=host)).returncode
            == "SUCCESS"
            for host in ("one.bbb.example", "ONE.bbb.example:443", "two.bbb.example")
            for secret in ("s1", "s2", "s1:s2", "s3", SECRET)
        }
        strange = [
            await public.call("getMeetings", secret=SECRET, host=host)
            for host in ("three.bbb.example", "bbb.example")
        ]

    assert {pair for pair, accepted in signed.items() if accepted} == {
        ("one.bbb.example", "s1"),
        ("one.bbb.example", "s2"),
        ("ONE.bbb.example:443", "s1"),
        ("ONE.bbb.example:443", "s2"),
        ("two.bbb.example", "s3"),
    }
    assert [answer.key for answer in strange] == ["checksumError", "checksumError"]


async def test_tenant_sees_its_own_meetings_only(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(
        redis_url, redis_namespace, bbbs, MULTITENANCY_ENABLED="true", URL_HOST="bbb.example"
    ) as (public, pool):
        await add_tenant(pool, "one", "s1")
        await add_tenant(pool, "two", "s2")
        one: dict[str, Any] = {"secret": "s1", "host": "one.bbb.example"}
        two: dict[str, Any] = {"secret": "s2", "host": "two.bbb.example"}
        assert (await public.call("create", "meetingID=room", **one)).returncode == "SUCCESS"

        assert (await public.call("getMeetingInfo", "meetingID=room", **one)).text("meetingID")
        assert (await public.call("join", "meetingID=room&fullName=A", **one)).status == 302
        assert (await public.call("getMeetings", **one)).text("meetingID") == "room"
        for call in ("getMeetingInfo", "end", "sendChatMessage"):
            assert (await public.call(call, "meetingID=room&message=x", **two)).key == "notFound"
        assert (await public.call("join", "meetingID=room&fullName=A", **two)).key == "notFound"
        running = await public.call("isMeetingRunning", "meetingID=room", **two)
        assert running.text("running") == "false"
        assert (await public.call("getMeetings", **two)).key == "noMeetings"
