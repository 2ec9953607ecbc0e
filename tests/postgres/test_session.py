"""A transaction held over several steps: committed, rolled back, never lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel

from appliance.faults import DatabaseDown
from appliance.postgres.database import POOL_SIZE, Connection, Database
from appliance.postgres.errors import DatabaseRefused
from appliance.postgres.session import Session, open_session
from tests.doubles.recordings import open_recordings

DEADLINE_S = 40.0
HOLD_S = 20.0


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    with trio.fail_after(DEADLINE_S):
        async with open_recordings(url) as (postgres, _):
            yield postgres


async def insert(session: Session, record_id: str) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute("INSERT INTO recordings (record_id) VALUES ($1)", record_id)

    await session.run(work)


async def count(postgres: Database) -> int:
    row = await postgres.fetchrow("SELECT count(*) AS n FROM recordings")
    assert row is not None
    return int(row["n"])


async def test_steps_are_committed_together(database_url: str) -> None:
    async with opened(database_url) as postgres:
        async with open_session(postgres, hold_s=HOLD_S) as session:
            await insert(session, "a")
            await trio.lowlevel.checkpoint()
            await insert(session, "b")
            assert await count(postgres) == 0

        assert await count(postgres) == 2


async def test_commit_can_come_before_the_end_of_the_block(database_url: str) -> None:
    async with opened(database_url) as postgres, open_session(postgres, hold_s=HOLD_S) as session:
        await insert(session, "a")
        await session.commit()
        await session.commit()
        assert await count(postgres) == 1


async def test_failed_block_leaves_nothing_and_its_error_comes_out_bare(database_url: str) -> None:
    async with opened(database_url) as postgres:
        with pytest.raises(KeyError):  # noqa: PT012
            async with open_session(postgres, hold_s=HOLD_S) as session:
                await insert(session, "a")
                raise KeyError
        assert await count(postgres) == 0


async def test_refused_statement_comes_out_and_undoes_the_others(database_url: str) -> None:
    async def wrong(connection: Connection) -> None:
        await connection.execute("SELECT no_such_column FROM recordings")

    async with opened(database_url) as postgres:
        with pytest.raises(DatabaseRefused):  # noqa: PT012
            async with open_session(postgres, hold_s=HOLD_S) as session:
                await insert(session, "a")
                with pytest.raises(DatabaseRefused):
                    await session.run(wrong)
                await insert(session, "b")
        assert await count(postgres) == 0


async def test_cancelled_sessions_lose_no_connection(database_url: str) -> None:
    async with opened(database_url) as postgres:
        for _ in range(2 * POOL_SIZE):
            with trio.move_on_after(0.02):
                async with open_session(postgres, hold_s=HOLD_S) as session:
                    await insert(session, "a")
                    await trio.sleep_forever()
        assert await count(postgres) == 0


async def test_session_ends_when_it_was_held_too_long(database_url: str) -> None:
    async with opened(database_url) as postgres:
        with pytest.raises(DatabaseDown):  # noqa: PT012
            async with open_session(postgres, hold_s=0.2) as session:
                await insert(session, "a")
                await trio.sleep(0.4)
                await insert(session, "b")
        assert await count(postgres) == 0


async def test_step_has_a_deadline(database_url: str) -> None:
    async def sleep(connection: Connection) -> None:
        await connection.execute("SELECT pg_sleep(100)")

    async with opened(database_url) as postgres:
        began_s = trio.current_time()
        with pytest.raises(DatabaseDown):
            async with open_session(postgres, hold_s=HOLD_S) as session:
                await session.run(sleep, deadline_s=0.2)
        assert trio.current_time() - began_s < 30
        assert await count(postgres) == 0
