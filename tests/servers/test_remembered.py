"""Servers that vanish from Redis: noticed by the poller, across restarts, until it is resolved."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from appliance.admin_calls.refusal import Refused
from appliance.fault_log import FaultLog
from appliance.model import ServerId
from appliance.servers.administration import accept_empty, remove_server
from appliance.servers.poller import Poller
from appliance.servers.remembered import FILE_NAME, RememberedServers
from appliance.servers.values import ServerChange
from tests.doubles.features import EventBook, now_ms
from tests.doubles.public import Public, open_public
from tests.doubles.redis_processes import redis_process

WITHIN_S = 40.0
LOST = b"Health Check Failure: all servers (2) have vanished from Redis"


@asynccontextmanager
async def polled(url: str, namespace: str, state_dir: Path) -> AsyncIterator[Public]:
    """Run an appliance with a poller; its state stays in `state_dir`."""
    async with (
        open_public(url, namespace, STATE_DIR=str(state_dir)) as public,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(Poller().run, public.res.servers)
        yield public
        nursery.cancel_scope.cancel()


async def add(public: Public, *server_ids: str) -> None:
    """Add disabled servers; nothing answers at their address."""
    for name in server_ids:
        change = ServerChange(url=f"http://127.0.0.1:1/{name}/api", secret="s3cr3t")
        assert await public.res.servers.store.add_server(ServerId(name), change)


async def until_health(public: Public, status: int) -> bytes:
    """Wait for a status of the health check, and return its text."""
    with trio.fail_after(WITHIN_S):
        while (answer := await public.ask("GET", "/health_check")).status != status:
            await trio.sleep(0.02)
    return answer.body


async def until_remembered(state_dir: Path, count: int) -> None:
    path = state_dir / FILE_NAME
    with trio.fail_after(WITHIN_S):
        while not path.exists() or path.read_text() != f"{count}\n":
            await trio.sleep(0.02)


async def test_vanished_servers_are_reported_across_a_restart_until_they_are_back(
    redis_namespace: str, tmp_path: Path
) -> None:
    with redis_process() as redis:
        async with polled(redis.unix_url, redis_namespace, tmp_path) as public:
            await add(public, "a", "b")
            await until_remembered(tmp_path, 2)
            await public.res.redis.background.client.command("FLUSHALL")

            assert await until_health(public, 503) == LOST
            assert [event for event, _ in public.log.errors] == ["servers_vanished"]
        async with polled(redis.unix_url, redis_namespace, tmp_path) as public:
            assert await until_health(public, 503) == LOST
            assert [event for event, _ in public.log.errors] == ["servers_vanished"]

            await add(public, "a")

            assert await until_health(public, 200) == b"success"
            assert public.log.named("servers_back") == [{"servers": 1}]
            await until_remembered(tmp_path, 1)


async def test_accepted_empty_pool_is_healthy_on_every_appliance(
    redis_namespace: str, tmp_path: Path
) -> None:
    with redis_process() as redis:
        async with (
            polled(redis.unix_url, redis_namespace, tmp_path / "one") as one,
            polled(redis.unix_url, redis_namespace, tmp_path / "two") as two,
        ):
            await add(one, "a", "b")
            with pytest.raises(Refused, match="it has 2 servers"):
                await accept_empty(one.res.servers, "test")
            for name in ("one", "two"):
                await until_remembered(tmp_path / name, 2)
            await one.res.redis.background.client.command("FLUSHALL")
            for public in (one, two):
                await until_health(public, 503)

            await accept_empty(one.res.servers, "test")

            assert (await one.ask("GET", "/health_check")).status == 200
            await until_health(two, 200)
            for name in ("one", "two"):
                await until_remembered(tmp_path / name, 0)
            # A pool that is filled again is watched again.
            await add(one, "a", "b")
            await until_remembered(tmp_path / "two", 2)
            await one.res.redis.background.client.command("FLUSHALL")
            assert await until_health(two, 503) == LOST


async def test_last_server_that_an_operator_removes_has_not_vanished(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with polled(redis_url, redis_namespace, tmp_path) as public:
        await add(public, "a")
        await until_remembered(tmp_path, 1)

        await remove_server(public.res.servers, "test", "a", force=False)

        await until_remembered(tmp_path, 0)
        assert (await public.ask("GET", "/health_check")).status == 200
        assert public.log.errors == []


async def test_file_that_cannot_be_written_is_noted_and_tried_again(tmp_path: Path) -> None:
    log = EventBook()
    state_dir = tmp_path / "state"
    state_dir.write_text("not a directory")
    remembered = RememberedServers(state_dir, log, FaultLog(log, now_ms))
    await remembered.observe(3, accepted=False)
    assert len(log.named("server_count_not_stored")) == 1

    state_dir.unlink()
    await remembered.observe(3, accepted=False)

    assert (state_dir / FILE_NAME).read_text() == "3\n"


async def test_file_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    log = EventBook()
    (tmp_path / FILE_NAME).mkdir()

    await RememberedServers(tmp_path, log, FaultLog(log, now_ms)).observe(3, accepted=False)

    assert os.listdir(tmp_path) == [FILE_NAME]


@pytest.mark.parametrize("content", ["", "many\n", "-", "0\n"])
async def test_new_or_damaged_file_makes_an_empty_pool_no_fault(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    log = EventBook()
    remembered = RememberedServers(tmp_path, log, FaultLog(log, now_ms))

    await remembered.observe(0, accepted=False)

    assert (remembered.vanished, log.events) == (0, [])
