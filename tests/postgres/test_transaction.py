"""A transaction over several steps: committed, rolled back, no connection lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel

from appliance.faults import DatabaseDown
from appliance.postgres.database import POOL_SIZE, Connection, Database
from appliance.postgres.errors import DatabaseRefused
from appliance.postgres.transaction import Transaction, open_transaction
from tests.doubles.recordings import open_recordings

DEADLINE_S = 40.0
HOLD_S = 20.0


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    with trio.fail_after(DEADLINE_S):
        async with open_recordings(url) as (postgres, _):
            yield postgres


async def insert(transaction: Transaction, record_id: str) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute("INSERT INTO recordings (record_id) VALUES ($1)", record_id)

    await transaction.run(work)


async def count(postgres: Database) -> int:
    row = await postgres.fetchrow("SELECT count(*) AS n FROM recordings")
    assert row is not None
    return int(row["n"])


async def test_steps_are_committed_together(database_url: str) -> None:
    async with opened(database_url) as postgres:
        async with open_transaction(postgres, hold_s=HOLD_S) as transaction:
            await insert(transaction, "a")
            await trio.lowlevel.checkpoint()
            await insert(transaction, "b")
            assert await count(postgres) == 0

        assert await count(postgres) == 2


async def test_commit_is_possible_before_the_end_of_the_block(database_url: str) -> None:
    async with (
        opened(database_url) as postgres,
        open_transaction(postgres, hold_s=HOLD_S) as transaction,
    ):
        await insert(transaction, "a")
        await transaction.commit()
        await transaction.commit()
        assert await count(postgres) == 1


async def test_failed_block_is_rolled_back_and_its_error_is_not_wrapped(database_url: str) -> None:
    async with opened(database_url) as postgres:
        with pytest.raises(KeyError):  # noqa: PT012
            async with open_transaction(postgres, hold_s=HOLD_S) as transaction:
                await insert(transaction, "a")
                raise KeyError
        assert await count(postgres) == 0


async def test_refused_statement_is_raised_and_rolls_back_the_others(database_url: str) -> None:
    async def wrong(connection: Connection) -> None:
        await connection.execute("SELECT no_such_column FROM recordings")

    async with opened(database_url) as postgres:
        with pytest.raises(DatabaseRefused):  # noqa: PT012
            async with open_transaction(postgres, hold_s=HOLD_S) as transaction:
                await insert(transaction, "a")
                with pytest.raises(DatabaseRefused):
                    await transaction.run(wrong)
                await insert(transaction, "b")
        assert await count(postgres) == 0


async def test_cancelled_transactions_lose_no_connection(database_url: str) -> None:
    async with opened(database_url) as postgres:
        for _ in range(2 * POOL_SIZE):
            with trio.move_on_after(0.02):
                async with open_transaction(postgres, hold_s=HOLD_S) as transaction:
                    await insert(transaction, "a")
                    await trio.sleep_forever()
        assert await count(postgres) == 0


async def test_transaction_ends_when_it_is_held_too_long(database_url: str) -> None:
    async with opened(database_url) as postgres:
        with pytest.raises(DatabaseDown):  # noqa: PT012
            async with open_transaction(postgres, hold_s=0.2) as transaction:
                await insert(transaction, "a")
                await trio.sleep(0.4)
                await insert(transaction, "b")
        assert await count(postgres) == 0


async def test_step_has_a_deadline(database_url: str) -> None:
    async def sleep(connection: Connection) -> None:
        await connection.execute("SELECT pg_sleep(100)")

    async with opened(database_url) as postgres:
        began_s = trio.current_time()
        with pytest.raises(DatabaseDown):
            async with open_transaction(postgres, hold_s=HOLD_S) as transaction:
                await transaction.run(sleep, deadline_s=0.2)
        assert trio.current_time() - began_s < 30
        assert await count(postgres) == 0
