"""What is acknowledged after `wait_replicated` survives the loss of the master, on real servers."""

from __future__ import annotations

import itertools
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest
import trio

from appliance.faults import StoreDown
from appliance.redis.client import RedisAddress
from appliance.redis.store import RedisStores, open_redis_stores
from tests.doubles.redis_processes import (
    LogBook,
    RedisProcess,
    eventually,
    redis_process,
    sentinel_process,
)


@contextmanager
def replicated(replicas: int) -> Iterator[list[RedisProcess]]:
    """Run a master with replicas."""
    quick = ("--repl-diskless-sync-delay", "0")
    with ExitStack() as stack:
        master = stack.enter_context(redis_process(*quick))
        follow = ("--replicaof", "127.0.0.1", str(master.port))
        yield [
            master,
            *(stack.enter_context(redis_process(*quick, *follow)) for _ in range(replicas)),
        ]


async def until_in_sync(servers: list[RedisProcess]) -> None:
    count = len(servers) - 1
    await eventually(
        lambda: str(servers[0].ask("INFO", "replication")).count("state=online") == count
    )


@asynccontextmanager
async def open_stores(address: RedisAddress) -> AsyncIterator[RedisStores]:
    log: Any = LogBook()
    async with open_redis_stores(
        address, namespace="n", scripts={}, log=log, min_replicas=1
    ) as stores:
        with trio.fail_after(40):
            await stores.foreground.client.wait_connected()
            while True:
                with suppress(StoreDown):
                    await stores.wait_replicated(stores.term)
                    break
        yield stores


async def test_write_is_acknowledged_when_a_replica_has_it() -> None:
    with replicated(1) as (master, replica):
        await until_in_sync([master, replica])
        async with open_stores(RedisAddress(master.unix_url)) as stores:
            await stores.foreground.command("SET", "key", "value")
            await stores.wait_replicated(stores.term)
            assert replica.ask("GET", "key") == "value"

            replica.kill()
            with pytest.raises(StoreDown, match="fewer than 1 replicas"):
                await stores.wait_replicated(stores.term)


async def test_replica_that_hangs_is_waited_for_once() -> None:
    with replicated(2) as servers:
        await until_in_sync(servers)
        async with open_stores(RedisAddress(servers[0].unix_url)) as stores:
            await stores.wait_replicated(stores.term)
            servers[2].signal(signal.SIGSTOP)
            began_s = trio.current_time()
            for _ in range(20):
                await stores.wait_replicated(stores.term)
            took_s = trio.current_time() - began_s
            servers[2].signal(signal.SIGCONT)

    assert took_s < 5


async def test_acknowledged_writes_survive_a_planned_failover_with_two_replicas() -> None:
    """The replica that confirms need not be the one that becomes the master."""
    with replicated(2) as servers, sentinel_process(servers[0].port) as port:
        await until_in_sync(servers)
        async with open_stores(RedisAddress("redis://", (("127.0.0.1", port),), "pool")) as stores:
            written: list[str] = []

            async def write() -> None:
                for number in itertools.count():
                    with suppress(StoreDown):
                        await stores.foreground.command("SET", f"key {number}", "x")
                        await stores.wait_replicated(stores.term)
                        written.append(f"key {number}")
                    await trio.sleep(0.005)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                await until_two_replicas_are_known(port)
                await fail_over(port)
                with trio.fail_after(60):
                    await eventually(lambda: "role:slave" in info(servers[0]))
                nursery.cancel_scope.cancel()

        (new,) = [server for server in servers if "role:master" in info(server)]
        assert len(written) > 50
        assert [key for key in written if new.ask("GET", key) != "x"] == []


async def test_write_that_began_before_a_failover_is_not_acknowledged_by_the_new_master() -> None:
    with replicated(2) as servers, sentinel_process(servers[0].port) as port:
        await until_in_sync(servers)
        async with open_stores(RedisAddress("redis://", (("127.0.0.1", port),), "pool")) as stores:
            term = stores.term
            await stores.foreground.command("SET", "key", "x")
            await stores.wait_replicated(term)
            await until_two_replicas_are_known(port)
            await fail_over(port)
            with trio.fail_after(60):
                while stores.foreground.client.master in (None, ("127.0.0.1", servers[0].port)):
                    await trio.sleep(0.05)

            with pytest.raises(StoreDown, match="replaced"):
                await stores.wait_replicated(term)
            with trio.fail_after(60):  # the other replica has to follow the new master first
                while True:
                    with suppress(StoreDown):
                        await stores.wait_replicated(stores.term)
                        break


def info(server: RedisProcess) -> str:
    return str(server.ask("INFO", "replication"))


async def until_two_replicas_are_known(port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with trio.fail_after(60):
            while True:
                await stream.send_all(b"SENTINEL REPLICAS pool\r\n")
                if (await stream.receive_some()).startswith(b"*2"):
                    return
                await trio.sleep(0.02)


async def fail_over(port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with trio.fail_after(60):
            while True:
                await stream.send_all(b"SENTINEL FAILOVER pool\r\n")
                if (await stream.receive_some()).startswith(b"+OK"):
                    return
                await trio.sleep(0.2)
