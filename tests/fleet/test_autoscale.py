"""The autoscaler's hooks on a real Redis: who is told what, once, signed, again after a failure."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from appliance.fleet import autoscale
from appliance.fleet.autoscale import autoscale_forever, make_hooks, read_capacity, tell
from appliance.fleet.deps import FleetDeps
from appliance.model import ServerState
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.callback_receiver import CallbackReceiver, Received
from tests.doubles.live_pool import LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

VARIABLES: dict[str, Any] = {
    "SEATS_PER_SERVER": "10",
    "AUTOSCALE_SECRET": "hook-secret",
    "SERVER_UNHEALTHY_THRESHOLD": "1",
    "LOAD_MIN_USER_COUNT": "0",
}


@asynccontextmanager
async def open_hooked(
    redis_url: str, namespace: str, servers: Sequence[BbbProcess], **variables: Any
) -> AsyncIterator[tuple[LivePool, CallbackReceiver]]:
    """Give a pool and a receiver that is its AUTOSCALE_URL, at a private address."""
    receiver = CallbackReceiver()
    async with receiver.serving():
        given = {**VARIABLES, "AUTOSCALE_URL": receiver.url("/hook?a=b"), **variables}
        async with open_live(redis_url, namespace, servers, spread=True, **given) as pool:
            yield pool, receiver


def bodies(receiver: CallbackReceiver) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in receiver.received]


def kinds(receiver: CallbackReceiver) -> list[str]:
    return [body["event"] for body in bodies(receiver)]


async def have_users(pool: LivePool, server_id: str, users: int) -> None:
    """Have so many users in one meeting of a server."""
    bbb = pool.bbb(server_id)
    bbb.create_meeting(f"room-{server_id}")
    bbb.set_users(f"room-{server_id}", participants=users)
    await pool.poll(server_id)


async def tell_now(deps: FleetDeps, name: str = "url") -> int:
    """Tell a hook what it does not know, as the appliance that has the lease."""
    assert await deps.store.claim(deps.instance, lease_ms=60_000)
    (hook,) = (one for one in make_hooks(deps) if one.name == name)
    return await tell(deps, hook)


async def test_capacity_counts_meetings_that_were_created_ahead(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:2], **VARIABLES) as pool:
        await pool.create(**{"meta_bbb-meeting-size-hint": "40"})
        ahead, _ = await read_capacity(pool.res.fleet)
        await pool.poll("bbb-1")
        polled, _ = await read_capacity(pool.res.fleet)
        pool.bbb(await pool.home()).set_users("room", participants=25)
        await pool.poll("bbb-1")
        joined, _ = await read_capacity(pool.res.fleet)

    for found, users in ((ahead, 0), (polled, 0), (joined, 25)):
        assert (found.demand.users, found.demand.forecast, found.desired_servers) == (users, 40, 5)


async def test_hook_is_told_the_capacity_with_a_signature(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_hooked(redis_url, redis_namespace, bbbs) as (pool, receiver):
        await have_users(pool, "bbb-1", 25)
        assert await tell_now(pool.res.fleet) == 0
        assert await tell_now(pool.res.fleet) == 0
        await have_users(pool, "bbb-2", 9)
        assert await tell_now(pool.res.fleet) == 0

        first, second = bodies(receiver)
        assert first == {
            "event": "desired_servers_changed",
            "users": 25,
            "meetings": 1,
            "seats": 30,
            "free_seats": 20,
            "forecast": 25,
            "desired_servers": 3,
            "drainable": [],
            "safe_to_stop": [],
            "needed": {"none": 3},
        }
        assert second["desired_servers"] == 5
        request = receiver.received[0]
        assert (request.method, request.target) == ("POST", "/hook?a=b")
        assert request.headers["content-type"] == "application/json"
        digest = hmac.new(b"hook-secret", request.body, hashlib.sha256).hexdigest()
        assert request.headers["x-scalelite-signature"] == f"sha256={digest}"


async def test_hook_is_told_of_servers_that_are_safe_to_stop_or_offline(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_hooked(redis_url, redis_namespace, bbbs) as (pool, receiver):
        await tell_now(pool.res.fleet)
        await pool.set_state("bbb-3", ServerState.CORDONED)
        await tell_now(pool.res.fleet)
        await pool.poll("bbb-3")  # it is empty, so it is disabled
        await tell_now(pool.res.fleet)
        await pool.lose("bbb-2")
        await tell_now(pool.res.fleet)

        _, safe, lost = bodies(receiver)
        assert (safe["event"], safe["server"]) == ("server_safe_to_stop", "bbb-3")
        assert safe["safe_to_stop"] == ["bbb-3"]
        assert safe["url"] == pool.bbb("bbb-3").url
        assert (lost["event"], lost["server"]) == ("server_offline", "bbb-2")


async def test_server_that_was_only_added_or_is_registering_is_not_safe_to_stop(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], **VARIABLES) as pool:
        await pool.register(bbbs[1])
        await pool.set_state("bbb-2", ServerState.DISABLED)
        await pool.set_state("bbb-1", ServerState.DISABLED)
        drained, _ = await read_capacity(pool.res.fleet)
        await pool.redis("HSET", "appliance:registering", "bbb-1", 0)
        registering, _ = await read_capacity(pool.res.fleet)

    assert drained.safe_to_stop == ("bbb-1",)
    assert registering.safe_to_stop == ()


async def test_failed_call_is_made_again_with_what_is_so_by_then(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    statuses = [500, 404, 302, 200]

    def answer(request: Received) -> int:
        return statuses[len(receiver.received) - 1]

    async with open_hooked(redis_url, redis_namespace, bbbs[:1]) as (pool, receiver):
        receiver.answer = answer
        await have_users(pool, "bbb-1", 25)
        assert [await tell_now(pool.res.fleet) for _ in range(2)] == [1, 2]
        hook = await pool.res.fleet.store.read_hook_state("url")
        assert (hook.desired, hook.failures, hook.error) == (None, 2, "the receiver answered 404")
        await have_users(pool, "bbb-1", 35)
        assert [await tell_now(pool.res.fleet) for _ in range(3)] == [3, 0, 0]
        wanted = [body["desired_servers"] for body in bodies(receiver)]
        assert wanted == [3, 3, 5, 5]
        warned = pool.log.named("autoscaler_not_told")
        assert [one["reason"] for one in warned] == [
            "the receiver answered 500",
            "the receiver answered 404",
            "the receiver answered 302",
        ]


async def test_two_appliances_tell_once_and_one_goes_on_for_the_other(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], monkeypatch: Any
) -> None:
    monkeypatch.setattr(autoscale, "TICK_S", 0.05)
    async with open_hooked(redis_url, redis_namespace, bbbs[:1]) as (pool, receiver):
        one = pool.res.fleet
        other = replace(one, instance="other")

        async def run(deps: FleetDeps, scope: trio.CancelScope) -> None:
            with scope:
                await autoscale_forever(deps, make_hooks(deps))

        async with trio.open_nursery() as nursery:
            scopes = trio.CancelScope(), trio.CancelScope()
            nursery.start_soon(run, one, scopes[0])
            await receiver.wait(1)
            nursery.start_soon(run, other, scopes[1])
            for count, users in enumerate((15, 25, 35), 2):
                await have_users(pool, "bbb-1", users)
                await receiver.wait(count)
            scopes[0].cancel()
            await have_users(pool, "bbb-1", 45)
            await receiver.wait(5)
            await trio.sleep(0.3)
            nursery.cancel_scope.cancel()

        assert [body["desired_servers"] for body in bodies(receiver)] == [1, 2, 3, 5, 6]


async def test_command_gets_the_same_and_no_secrets(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("LOADBALANCER_SECRET", "S3CRET-OF-THE-API")
    monkeypatch.setenv("CLOUD_TOKEN", "for the command")
    monkeypatch.setenv("CTL_SOCKET", "/run/ctl.sock")
    script = tmp_path / "scale.py"
    script.write_text(
        "import os, sys, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'got')!r}).write_text(sys.stdin.read())\n"
        f"pathlib.Path({str(tmp_path / 'env')!r}).write_text('\\n'.join(os.environ))\n"
        "print('started 2 servers, token=abc')\n"
        f"sys.exit(os.path.exists({str(tmp_path / 'broken')!r}))\n"
    )
    variables = {"AUTOSCALE_COMMAND": f"{sys.executable} {script}"}
    async with open_hooked(redis_url, redis_namespace, bbbs[:1], **variables) as (pool, receiver):
        await have_users(pool, "bbb-1", 15)
        (tmp_path / "broken").touch()
        assert await tell_now(pool.res.fleet, "command") == 1
        (tmp_path / "broken").unlink()
        assert await tell_now(pool.res.fleet, "command") == 0
        assert json.loads((tmp_path / "got").read_text())["desired_servers"] == 2
        assert kinds(receiver) == []
        passed = (tmp_path / "env").read_text().split("\n")
        assert {"CLOUD_TOKEN", "CTL_SOCKET", "PATH"} <= {*passed}
        assert "LOADBALANCER_SECRET" not in passed
        (done,) = pool.log.named("autoscale_command_done")
        assert done["output"] == "started 2 servers, token=***"
        (failed,) = pool.log.named("autoscale_command_failed")
        assert "started 2 servers" in failed["output"]


async def test_what_was_told_outlives_the_appliance(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    """What was told survives a restart; who has lost the lease records nothing."""
    async with open_hooked(redis_url, redis_namespace, bbbs[:1]) as (pool, receiver):
        await tell_now(pool.res.fleet)
        restarted = replace(pool.res.fleet, instance="restarted")
        assert not await restarted.store.claim("restarted", lease_ms=1000)
        await pool.res.fleet.store.release(pool.res.fleet.instance)
        assert await tell_now(restarted) == 0
        assert len(receiver.received) == 1
        before = await restarted.store.read_hook_state("url")
        assert not await restarted.store.save_hook_state("late", "url", replace(before, desired=9))
        assert await restarted.store.read_hook_state("url") == before
