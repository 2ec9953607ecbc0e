"""The client with real Redis servers that are killed, stopped, filled up, demoted, replaced."""

from __future__ import annotations

import itertools
import math
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from appliance.instruments import Counter
from appliance.redis.client import (
    RedisAddress,
    RedisClient,
    RedisDown,
    RedisError,
    Script,
    open_redis_client,
)
from tests.doubles.ports import free_port
from tests.doubles.redis_processes import (
    LogBook,
    RedisProcess,
    connected_client,
    eventually,
    redis_process,
    sentinel_process,
    tls_redis_process,
)

PAIR = Script("pair", "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[2])}")
WITHIN_A_SECOND_S = 10.0
"""Limit for an answer: one second, plus a reserve for a slow machine."""


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisProcess]:
    """Start a Redis for tests that do not disturb it."""
    with redis_process() as server:
        yield server


@pytest.fixture
def own() -> Iterator[RedisProcess]:
    """Start a Redis that the test may disturb."""
    with redis_process() as server:
        yield server


async def until_usable(client: RedisClient) -> None:
    """Wait until a write succeeds."""
    while True:
        try:
            await client.command("SET", "probe", "1")
        except RedisDown:
            await trio.sleep(0.01)
        else:
            return


async def why_down(client: RedisClient, *command: str) -> str:
    """Return why a command fails; it must fail within the limit."""
    started = time.monotonic()
    with pytest.raises(RedisDown) as failure:
        await client.command(*command)
    assert time.monotonic() - started < WITHIN_A_SECOND_S
    return failure.value.reason


@dataclass(slots=True)
class Load:
    """Tasks that repeatedly request an echo, each of its own numbers."""

    right: int = 0
    wrong: int = 0
    down: int = 0
    longest_s: float = 0.0
    reasons: set[str] = field(default_factory=set)

    async def ask_forever(self, client: RedisClient, name: int) -> None:
        """Request echoes, and pause briefly when Redis is down."""
        number = 0
        while True:
            number += 1
            started = time.monotonic()
            try:
                echo = await client.command("ECHO", f"{name}-{number}")
            except RedisDown as error:
                self.down += 1
                self.reasons.add(error.reason)
                await trio.sleep(0.005)
            else:
                self.right += echo == f"{name}-{number}"
                self.wrong += echo != f"{name}-{number}"
            self.longest_s = max(self.longest_s, time.monotonic() - started - 0.005)

    async def served(self, more: int) -> None:
        """Wait for `more` further replies."""
        goal = self.right + more
        await eventually(lambda: self.right >= goal)

    async def failed(self, more: int) -> None:
        """Wait for `more` further failures."""
        goal = self.down + more
        await eventually(lambda: self.down >= goal)


@asynccontextmanager
async def load(client: RedisClient, callers: int = 16) -> AsyncIterator[Load]:
    made = Load()
    async with trio.open_nursery() as nursery:
        for name in range(callers):
            nursery.start_soon(made.ask_forever, client, name)
        yield made
        nursery.cancel_scope.cancel()


# --- commands -------------------------------------------------------------------------------------


async def test_command_returns_what_redis_holds(shared: RedisProcess) -> None:
    async with connected_client(shared.unix_url) as client:
        assert await client.command("HSET", "h", "ü", 1, b"b", 0.1) == 2
        assert await client.command("HGETALL", "h") == ["ü", "1", "b", "0.1"]
        assert await client.command("GET", "none") is None
        assert await client.command("SET", "t", b"\xff\x00") == "OK"
        assert (await client.command("GET", "t")).encode("utf-8", "surrogateescape") == b"\xff\x00"


async def test_pipeline_is_one_round_trip_and_not_mixed_with_others(shared: RedisProcess) -> None:
    async with (
        connected_client(shared.tcp_url) as client,
        load(client),
        trio.open_nursery() as nursery,
    ):
        for number in range(50):
            nursery.start_soon(_transaction, client, f"tx{number}")

    async with connected_client(shared.tcp_url) as client:
        before = client.round_trips
        assert await client.pipeline([("SET", "a", 1), ("GET", "a")]) == ["OK", "1"]
        assert await client.pipeline([]) == []
        assert client.round_trips == before + 1


async def _transaction(client: RedisClient, key: str) -> None:
    commands = [("MULTI",), ("INCR", key), ("INCR", key), ("DEL", key), ("EXEC",)]
    assert (await client.pipeline(commands))[-1] == [1, 2, 1]


async def test_pipeline_raises_an_error_within_a_transaction(shared: RedisProcess) -> None:
    async with connected_client(shared.unix_url) as client:
        with pytest.raises(RedisError, match="WRONGTYPE"):
            await client.pipeline([("MULTI",), ("SET", "s", "x"), ("HGET", "s", "f"), ("EXEC",)])

        assert await client.command("GET", "s") == "x"


async def test_command_raises_an_error_without_its_arguments(shared: RedisProcess) -> None:
    async with connected_client(shared.unix_url) as client:
        with pytest.raises(RedisError) as failure:
            await client.command("NOSUCH", "geheim")

    assert "geheim" not in str(failure.value)


async def test_command_leaves_nothing_behind_when_its_arguments_are_wrong(
    shared: RedisProcess,
) -> None:
    async with connected_client(shared.unix_url) as client:
        with pytest.raises(TypeError):
            await client.command("SET", "a", None)  # type: ignore[arg-type]

        assert await client.command("ECHO", "x") == "x"


async def test_client_works_over_tls(tmp_path: Path) -> None:
    big = "x" * 1_000_000
    with tls_redis_process(tmp_path) as server:
        url = f"rediss://localhost:{server.port}?ssl_ca_certs={tmp_path}/ca.crt"
        async with connected_client(url) as client, load(client) as callers:
            for _ in range(10):
                assert await client.command("ECHO", big) == big
            await callers.served(200)

    assert (callers.wrong, callers.down) == (0, 0)


# --- scripts --------------------------------------------------------------------------------------


async def test_script_is_one_round_trip_when_registered(shared: RedisProcess) -> None:
    async with connected_client(shared.unix_url, PAIR) as client:
        await client.command("DEL", "n")
        before = client.round_trips

        assert await client.run_script(PAIR, ["k", "n"], [0.25]) == ["k", "0.25", 1]
        assert client.round_trips == before + 1


async def test_script_runs_once_when_redis_does_not_have_it(own: RedisProcess) -> None:
    async with connected_client(own.unix_url, PAIR) as client:
        own.ask("SCRIPT", "FLUSH")

        assert await client.run_script(PAIR, ["k", "n"], ["v"]) == ["k", "v", 1]


async def test_script_that_does_not_compile_is_an_error(shared: RedisProcess) -> None:
    broken = Script("broken", "return return")
    async with connected_client(shared.unix_url, broken) as client:
        with pytest.raises(RedisError, match="compiling"):
            await client.run_script(broken, [], [])


async def test_script_that_fails_is_an_error(shared: RedisProcess) -> None:
    failing = Script("failing", "return redis.call('HGET', KEYS[1], 'f')")
    async with connected_client(shared.unix_url, failing) as client:
        await client.command("SET", "text", "x")
        with pytest.raises(RedisError) as failure:
            await client.run_script(failing, ["text"], [])

    assert failure.value.code == "WRONGTYPE"


# --- cancelled callers ----------------------------------------------------------------------------


async def test_callers_get_their_own_replies_when_many_are_cancelled(
    shared: RedisProcess,
) -> None:
    tally = {"right": 0, "wrong": 0, "cancelled": 0}

    async def caller(client: RedisClient, name: int) -> None:
        chance = random.Random(name)
        for number in range(300):
            text = f"{name}-{number}"
            limit_s = chance.choice([math.inf, chance.uniform(0, 0.006)])
            with trio.move_on_after(limit_s) as scope:
                if number % 3:
                    right = await client.command("ECHO", text) == text
                else:
                    commands = [("ECHO", text), ("ECHO", "second")]
                    right = await client.pipeline(commands) == [text, "second"]
                tally["right" if right else "wrong"] += 1
            tally["cancelled"] += scope.cancelled_caught

    async def slow_down(client: RedisClient) -> None:
        while True:
            await client.command("DEBUG", "SLEEP", 0.004)

    async with connected_client(shared.unix_url) as client:
        async with trio.open_nursery() as slow:
            slow.start_soon(slow_down, client)
            async with trio.open_nursery() as nursery:
                for name in range(16):
                    nursery.start_soon(caller, client, name)
            slow.cancel_scope.cancel()
        assert await client.command("ECHO", "end") == "end"

    assert tally["wrong"] == 0
    assert tally["right"] > 100
    assert tally["cancelled"] > 100


# --- outages --------------------------------------------------------------------------------------


async def test_client_opens_and_fails_fast_when_there_is_no_redis() -> None:
    log = LogBook()
    async with open_redis_client(
        RedisAddress(f"redis://127.0.0.1:{free_port()}"), log=log
    ) as client:
        assert not client.connected
        assert (await why_down(client, "PING")).startswith("not connected: ")
        assert (await why_down(client, "PING")).startswith("not connected: ")

    assert log.names == ["redis_lost"]


async def test_client_connects_when_redis_starts_later(own: RedisProcess) -> None:
    own.kill()
    own.socket_path.unlink()
    async with open_redis_client(RedisAddress(own.unix_url)) as client:
        await why_down(client, "PING")
        own.start()
        with trio.fail_after(40):
            await client.wait_connected()

        assert await client.command("PING") == "PONG"


async def test_client_recovers_under_load_when_redis_is_killed(own: RedisProcess) -> None:
    log = LogBook()
    async with connected_client(own.tcp_url, PAIR, log=log) as client, load(client) as callers:
        for _ in range(3):
            with trio.fail_after(40):
                await callers.served(500)
                own.kill()
                await callers.failed(50)
                own.start()
                await client.wait_connected()
                await callers.served(500)
        # Loaded with the connection, not by its first use.
        assert own.ask("SCRIPT", "EXISTS", PAIR.sha1) == [1]

    assert callers.wrong == 0
    assert callers.longest_s < WITHIN_A_SECOND_S
    names = [name for name in log.names if name != "redis_slow"]  # on a machine under load
    assert names == ["redis_connected", *["redis_lost", "redis_recovered"] * 3]


async def test_client_fails_no_caller_after_a_short_disconnect(
    own: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.redis.client._GRACE_S", 40.0)
    monkeypatch.setattr("appliance.redis.client._SHORT_OUTAGE_S", 40.0)
    async with connected_client(own.unix_url) as client:
        for _ in range(3):
            own.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await eventually(lambda: not client.connected)

            assert await client.command("ECHO", "x") == "x"


async def test_client_never_sends_a_command_twice(own: RedisProcess) -> None:
    done = failed = 0

    async def count(client: RedisClient) -> None:
        nonlocal done, failed
        for _ in range(300):
            try:
                await client.command("INCR", "count")
                done += 1
            except RedisDown:
                failed += 1

    async with connected_client(own.unix_url) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(16):
                nursery.start_soon(count, client)
            for goal in range(800, 4001, 800):
                await eventually(lambda goal=goal: done + failed >= goal)  # type: ignore[misc]
                own.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with trio.fail_after(40):
            await client.wait_connected()
        counted = int(await client.command("GET", "count"))

    assert failed > 0
    assert done <= counted <= done + failed


async def test_client_detects_a_hung_redis_and_recovers(own: RedisProcess) -> None:
    log = LogBook()
    connecting = connected_client(own.unix_url, deadline_s=0.9, log=log)
    async with connecting as client, load(client) as callers:
        await callers.served(100)
        own.signal(signal.SIGSTOP)
        with trio.fail_after(40):
            await callers.failed(16 * 4)
        assert not client.connected
        assert callers.longest_s < WITHIN_A_SECOND_S

        own.signal(signal.SIGCONT)
        with trio.fail_after(40):
            await callers.served(500)

    assert callers.wrong == 0
    assert any("no reply" in reason for reason in callers.reasons)
    assert log.names == ["redis_connected", "redis_lost", "redis_recovered"]


async def test_client_fails_waiting_callers_when_it_is_closed(own: RedisProcess) -> None:
    reasons: list[str] = []

    async def wait(client: RedisClient) -> None:
        reasons.append(await why_down(client, "ECHO", "x"))

    async with trio.open_nursery() as callers, connected_client(own.unix_url) as client:
        own.signal(signal.SIGSTOP)
        callers.start_soon(wait, client)
        await trio.testing.wait_all_tasks_blocked()

    assert reasons == ["connection lost: closed by the client"]


# --- refusals -------------------------------------------------------------------------------------


async def test_client_is_down_for_writes_when_redis_is_full(own: RedisProcess) -> None:
    log = LogBook()
    write = Script("write", "return redis.call('SET', KEYS[1], ARGV[1])")
    async with connected_client(own.unix_url, write, log=log) as client:
        await client.command("SET", "a", "old")
        own.ask("CONFIG", "SET", "maxmemory", "1")
        reasons = {await why_down(client, "SET", "a", "new") for _ in range(5)}
        with pytest.raises(RedisDown) as failure:
            await client.run_script(write, ["a"], ["new"])

        assert {*reasons, failure.value.reason} == {"OOM"}
        assert await client.command("GET", "a") == "old"

        own.ask("CONFIG", "SET", "maxmemory", "0")
        assert await client.command("SET", "a", "new") == "OK"

    assert log.names == ["redis_connected", "redis_refuses"]


async def test_client_is_down_while_redis_is_a_replica(own: RedisProcess) -> None:
    log = LogBook()
    async with connected_client(own.unix_url, log=log) as client:
        own.ask("REPLICAOF", "127.0.0.1", str(free_port()))
        reasons = [await why_down(client, "SET", "a", "x")]
        await eventually(lambda: client.down_reason == "not a master")
        reasons.append(await why_down(client, "SET", "a", "x"))

        own.ask("REPLICAOF", "NO", "ONE")
        with trio.fail_after(40):
            await until_usable(client)

    # REPLICAOF closes no connection: only a refused write shows the change.
    assert reasons == ["READONLY", "not connected: not a master"]
    assert log.names == ["redis_connected", "redis_refuses", "redis_lost", "redis_recovered"]


async def test_client_follows_the_sentinels_to_the_new_master(own: RedisProcess) -> None:
    log = LogBook()
    quick = ("--repl-diskless-sync-delay", "0")
    with redis_process("--replicaof", f"127.0.0.1 {own.port}", *quick) as replica:
        await eventually(lambda: "link_status:up" in str(replica.ask("INFO", "replication")))
        await eventually(lambda: "state=online" in str(own.ask("INFO", "replication")))
        with sentinel_process(own.port) as port:
            address = RedisAddress("redis://", (("127.0.0.1", port),), "pool")
            async with open_redis_client(address, log=log) as client:
                await client.wait_connected()
                await client.command("SET", "a", "kept")
                await eventually(lambda: replica.ask("GET", "a") == "kept")
                await _until_sentinel_knows_a_replica(port)
                own.kill()
                # A Sentinel that was held up does nothing for 30 s.
                with trio.fail_after(90):
                    await until_usable(client)

                assert await client.command("GET", "a") == "kept"
                assert replica.ask("GET", "probe") == "1"

    assert log.names == ["redis_connected", "redis_lost", "redis_recovered"]


async def test_acknowledged_writes_survive_a_planned_failover(own: RedisProcess) -> None:
    """The old master stays alive and accepts writes for seconds; none may be acknowledged."""
    log = LogBook()
    quick = ("--repl-diskless-sync-delay", "0")
    with redis_process("--replicaof", f"127.0.0.1 {own.port}", *quick) as replica:
        await eventually(lambda: "link_status:up" in str(replica.ask("INFO", "replication")))
        await eventually(lambda: "state=online" in str(own.ask("INFO", "replication")))
        with sentinel_process(own.port) as port:
            address = RedisAddress("redis://", (("127.0.0.1", port),), "pool")
            async with open_redis_client(address, log=log) as client:
                await client.wait_connected()
                await _until_sentinel_knows_a_replica(port)
                named = await _fail_over(port, replica.port)
                written = []
                with trio.move_on_after(4):
                    for number in itertools.count():
                        with suppress(RedisDown):
                            await client.command("SET", f"key {number}", "x")
                            if trio.current_time() - named > 1.0:
                                written.append(f"key {number}")
                        await trio.sleep(0.01)

                await eventually(lambda: "role:slave" in str(own.ask("INFO", "replication")))
                assert len(written) > 50
                lost = [key for key in written if replica.ask("GET", key) != "x"]
                assert lost == []
    assert "redis_lost" in log.names


async def _fail_over(port: int, replica_port: int) -> float:
    """Have the Sentinel fail over; return when it names the replica, by Trio's clock."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with trio.fail_after(60):
            while True:
                await stream.send_all(b"SENTINEL FAILOVER pool\r\n")
                if (await stream.receive_some()).startswith(b"+OK"):
                    break
                await trio.sleep(0.2)
            while True:
                await stream.send_all(b"SENTINEL get-master-addr-by-name pool\r\n")
                if str(replica_port).encode() in await stream.receive_some():
                    return trio.current_time()
                await trio.sleep(0.02)


async def _until_sentinel_knows_a_replica(port: int) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        while True:
            await stream.send_all(b"SENTINEL REPLICAS pool\r\n")
            if not (await stream.receive_some()).startswith(b"*0"):
                return
            await trio.sleep(0.02)


async def test_slow_round_trips_are_counted_and_logged_once_a_minute(own: RedisProcess) -> None:
    log, slow = LogBook(), Counter("connection", known=("calls",))
    opened = open_redis_client(
        RedisAddress(own.unix_url), deadline_s=30.0, log=log, slow=slow, name="calls"
    )
    async with opened as client:
        with trio.fail_after(30):
            await client.wait_connected()
            await client.command("PING")
            assert slow.values == {("calls",): 0}
            for _ in range(2):
                await client.command("DEBUG", "SLEEP", "0.3")

    assert slow.values == {("calls",): 2}
    (fields,) = [fields for name, fields in log.events if name == "redis_slow"]
    assert "'round_trips': 1, 'connection': 'calls'" in fields
