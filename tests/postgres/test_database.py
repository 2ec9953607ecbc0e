"""The pool: ready with the database, failing fast without it, recovering by itself."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from appliance.faults import DatabaseDown
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import (
    CONNECT_WAIT_S,
    POOL_SIZE,
    Connection,
    Database,
    open_postgres_store,
    retry_delay_s,
)
from appliance.postgres.errors import DatabaseRefused
from appliance.postgres.migrations import load_migrations
from tests.doubles.store_servers import PostgresServer, private_postgres

DEADLINE_S = 40.0
FOREVER = "SELECT pg_sleep(60)"
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


@asynccontextmanager
async def open_store(
    url: str, *, prepared: bool = True, retry_count: int = 3, wait: bool = True
) -> AsyncIterator[Database]:
    """Open a loop and a store under a deadline, and wait until it is ready."""
    with trio.fail_after(DEADLINE_S):
        async with (
            open_asyncio_loop(tuned=True),
            open_postgres_store(
                url,
                prepared_statements=prepared,
                retry_count=retry_count,
                log=structlog.get_logger(),
            ) as store,
        ):
            if wait:
                await store.wait_ready()
            yield store


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """Give a database without the appliance's schema."""
    return empty_database_url


@contextmanager
def short_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sl-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def url_in(directory: Path, database: str = "postgres") -> str:
    return f"postgresql://scalelite@/{database}?host={directory}"


BOTH = pytest.mark.parametrize("prepared", [True, False])


@BOTH
async def test_store_answers_when_it_is_ready(database_url: str, prepared: bool) -> None:
    async with open_store(database_url, prepared=prepared) as store:
        assert store.ready
        assert store.down_reason is None
        assert 0 < await store.ping(deadline_s=DEADLINE_S) < 2
        assert [row["n"] for row in await store.fetch("SELECT $1::int AS n", 7)] == [7]
        row = await store.fetchrow("SELECT count(*) AS n FROM recordings WHERE record_id = $1", "x")
        assert row is not None
        assert row["n"] == 0
        insert = "INSERT INTO recordings (record_id) VALUES ($1)"
        assert await store.execute(insert, "a") == "INSERT 0 1"


@BOTH
async def test_run_rolls_a_transaction_back_when_the_work_fails(
    database_url: str, prepared: bool
) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute("INSERT INTO recordings (record_id) VALUES ('a')")
        raise KeyError("half way")

    async with open_store(database_url, prepared=prepared) as store:
        with pytest.raises(KeyError):
            await store.run(work, transaction=True)
        assert await store.fetch("SELECT 1 FROM recordings") == []


async def test_refused_statement_leaves_the_store_ready(database_url: str) -> None:
    insert = "INSERT INTO recordings (record_id) VALUES ($1)"
    async with open_store(database_url) as store:
        await store.execute(insert, "geheim")
        with pytest.raises(DatabaseRefused) as caught:
            await store.execute(insert, "geheim")
        assert caught.value.sqlstate == "23505"
        assert "geheim" not in str(caught.value)
        with pytest.raises(DatabaseRefused):
            await store.fetch("SELECT $1::int", "geheim")
        assert store.ready


async def test_deadline_cancels_a_slow_statement_on_the_server(
    postgres_server: PostgresServer, database_url: str
) -> None:
    async with open_store(database_url) as store:
        began_s = trio.current_time()
        with pytest.raises(DatabaseDown, match=r"no answer within 0\.2 s"):
            await store.execute(FOREVER, deadline_s=0.2)
        assert trio.current_time() - began_s < 30
        assert postgres_server.sql(ASLEEP) == "0"
        await store.ping(deadline_s=DEADLINE_S)


async def test_cancelled_calls_lose_no_connection(
    postgres_server: PostgresServer, database_url: str
) -> None:
    async def cancelled(store: Database, wait_s: float) -> None:
        with trio.move_on_after(wait_s):
            await store.execute("SELECT pg_sleep(0.02)")

    async with open_store(database_url) as store:
        for _ in range(5):
            async with trio.open_nursery() as nursery:
                for number in range(3 * POOL_SIZE):
                    nursery.start_soon(cancelled, store, number / 1000)
        async with trio.open_nursery() as nursery:
            for _ in range(POOL_SIZE):
                nursery.start_soon(partial(store.execute, FOREVER, deadline_s=DEADLINE_S))
            while postgres_server.sql(ASLEEP) != str(POOL_SIZE):  # all at the same time
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()


async def test_hung_server_delays_a_call_only_until_its_deadline(database_url: str) -> None:
    async def backend(connection: Connection) -> int:
        return int(await connection.fetchval("SELECT pg_backend_pid()"))

    async with open_store(database_url) as store:
        pid = await store.run(backend)
        os.kill(pid, signal.SIGSTOP)
        try:
            began_s = trio.current_time()
            with pytest.raises(DatabaseDown, match="no answer"):
                await store.execute("SELECT 1", deadline_s=0.3)
            assert trio.current_time() - began_s < 30
            await store.ping(deadline_s=DEADLINE_S)
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_store_recovers_when_its_sessions_are_terminated(
    postgres_server: PostgresServer, database_url: str
) -> None:
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
    name = database_url.partition("@/")[2].partition("?")[0]
    async with open_store(database_url) as store:
        await store.ping(deadline_s=DEADLINE_S)
        postgres_server.sql(end.format(name))
        await answers(store)


async def answers(store: Database) -> None:
    """Poll until the store answers; the surrounding deadline ends it."""
    while True:
        try:
            await store.ping(deadline_s=DEADLINE_S)
        except DatabaseDown:
            await trio.sleep(0.01)
        else:
            return


async def test_call_fails_fast_when_there_is_no_database() -> None:
    with short_directory() as directory:
        async with open_store(url_in(directory), wait=False) as store:
            while "No such file" not in (store.down_reason or ""):
                await trio.sleep(0.01)
            assert not store.ready
            for _ in range(50):
                began_s = trio.current_time()
                with pytest.raises(DatabaseDown, match="No such file"):
                    await store.fetch("SELECT 1")
                assert trio.current_time() - began_s < 2


async def test_fault_is_logged_once_for_many_attempts() -> None:
    with (
        short_directory() as directory,
        capture_logs() as logs,
        trio.socket.socket(trio.socket.AF_UNIX) as listener,
    ):
        await listener.bind(str(directory / ".s.PGSQL.5432"))
        listener.listen()
        async with open_store(url_in(directory), wait=False):
            for _ in range(6):  # each attempt ends before the server sends anything
                (await listener.accept())[0].close()
    assert {log["log_level"] for log in logs} == {"warning"}
    assert [log["event"] for log in logs].count("database_down") == 1


async def test_store_becomes_ready_and_recovers_by_itself() -> None:
    with short_directory() as directory, capture_logs() as logs:
        async with open_store(url_in(directory), retry_count=0, wait=False) as store:
            with pytest.raises(DatabaseDown, match="No such file"):
                await store.ping(deadline_s=DEADLINE_S)
            with private_postgres(directory) as server:
                await store.wait_ready()
                assert server.sql("SELECT count(*) FROM recordings") == "0"
                server.process.send_signal(signal.SIGINT)
                server.process.wait(40)
                with pytest.raises(DatabaseDown):
                    await store.ping(deadline_s=DEADLINE_S)
                while store.ready:
                    await trio.sleep(0.01)
            (directory / "data").rename(directory / "before")
            with private_postgres(directory):
                # A new, empty server: the schema is created again.
                await store.wait_ready()
                assert await store.fetch("SELECT 1 FROM recordings") == []
    logged = [log["event"] for log in logs if log["event"] != "database_migrated"]
    assert logged == ["database_down", "database_ready", "database_down", "database_ready"]
    assert sum(log["event"] == "database_migrated" for log in logs) == 2 * len(load_migrations())


@BOTH
async def test_call_waits_while_the_database_is_being_migrated(
    database_url: str, prepared: bool
) -> None:
    async with open_store(database_url, prepared=prepared, wait=False) as store:
        assert not store.ready
        assert await store.fetch("SELECT 1 FROM recordings") == []


async def test_call_gives_up_while_the_server_does_not_answer() -> None:
    with short_directory() as directory, trio.socket.socket(trio.socket.AF_UNIX) as listener:
        await listener.bind(str(directory / ".s.PGSQL.5432"))
        listener.listen()
        async with open_store(url_in(directory), wait=False) as store:
            began_s = trio.current_time()
            with pytest.raises(DatabaseDown):
                await store.fetch("SELECT 1")
            assert trio.current_time() - began_s < CONNECT_WAIT_S + 2


async def test_store_that_closes_while_it_connects_logs_no_fault() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")  # accepts, and says nothing
    url = f"postgresql://u@127.0.0.1:{listener.socket.getsockname()[1]}/d"
    async with listener:
        with trio.fail_after(DEADLINE_S), capture_logs() as logs:
            for turns in range(20):  # at some of them the connection has just been made
                async with open_asyncio_loop(tuned=True), open_postgres_store(url):
                    for _ in range(turns):
                        await trio.lowlevel.checkpoint()
                gc.collect()
    assert [log for log in logs if log["log_level"] != "debug"] == []


@BOTH
async def test_read_only_server_is_logged_once(
    postgres_server: PostgresServer, database_url: str, prepared: bool
) -> None:
    insert = "INSERT INTO recordings (record_id) VALUES ('a')"
    with capture_logs() as logs:
        async with open_store(database_url, prepared=prepared) as store:

            async def insert_until(result: bool) -> None:
                while True:
                    with suppress(DatabaseDown):
                        await store.execute(insert)
                        if result:
                            return
                        await store.execute("DELETE FROM recordings")
                        continue
                    named = [log["event"] for log in logs]
                    if not result and "database_read_only" in named:
                        return
                    await trio.sleep(0.01)

            row = await store.fetchrow("SELECT current_database() AS name")
            assert row is not None
            change = "ALTER DATABASE {} SET default_transaction_read_only = {}; " + (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
            )
            postgres_server.sql(change.format(row["name"], "on", row["name"]))
            await insert_until(False)
            for _ in range(3):
                with suppress(DatabaseDown):
                    await store.execute(insert)
            await store.wait_ready()
            assert await store.fetch("SELECT 1 FROM recordings") == []
            postgres_server.sql(change.format(row["name"], "off", row["name"]))
            await insert_until(True)
    assert [log["event"] for log in logs].count("database_read_only") == 1


async def test_missing_database_is_reported_until_it_exists(
    postgres_server: PostgresServer,
) -> None:
    with capture_logs() as logs:
        url = postgres_server.url("created_later")
        async with open_store(url, retry_count=0, wait=False) as store:
            while "does not exist" not in (store.down_reason or ""):
                await trio.sleep(0.01)
            postgres_server.sql("CREATE DATABASE created_later")
            try:
                await store.wait_ready()
            finally:
                postgres_server.sql("DROP DATABASE created_later WITH (FORCE)")
    assert 'database "created_later" does not exist' in [log.get("reason") for log in logs]


async def test_older_scalelite_is_the_reason(
    postgres_server: PostgresServer, database_url: str
) -> None:
    name = database_url.partition("@/")[2].partition("?")[0]
    postgres_server.sql("CREATE TABLE recordings (id bigserial)", name)
    async with open_store(database_url, wait=False) as store:
        while "older Scalelite" not in (store.down_reason or ""):
            await trio.sleep(0.01)
        with pytest.raises(DatabaseDown, match="older Scalelite"):
            await store.ping(deadline_s=DEADLINE_S)


async def test_password_is_in_no_log_and_no_error() -> None:
    with short_directory() as directory, capture_logs() as logs:
        url = f"postgresql://user:geheim@/scalelite?host={directory}"
        async with open_store(url, wait=False) as store:
            while not logs:
                await trio.sleep(0.01)
            with pytest.raises(DatabaseDown) as caught:
                await store.ping(deadline_s=DEADLINE_S)
    assert "geheim" not in f"{logs} {caught.value!r} {store!r} {store.down_reason}"


async def test_closed_store_refuses(database_url: str) -> None:
    async with open_store(database_url) as store:
        pass
    with pytest.raises(DatabaseDown, match="closed"):
        await store.ping(deadline_s=DEADLINE_S)


@pytest.mark.parametrize(
    ("failures", "retry_count", "delay_s"),
    [(1, 3, 0), (3, 3, 0), (4, 3, 0.25), (5, 3, 0.5), (11, 3, 30), (9999, 3, 30), (1, 0, 0.25)],
)
def test_retry_delay_doubles_up_to_its_limit(
    failures: int, retry_count: int, delay_s: float
) -> None:
    assert retry_delay_s(failures, retry_count) == delay_s
