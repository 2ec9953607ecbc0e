"""The queue in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.queue_store import CallbackStore
from appliance.callbacks.rules import CallbackState
from appliance.faults import DatabaseDown
from appliance.postgres.database import Database
from tests.doubles.callback_contract import CONTRACT, DONE, WHO, claim, ready
from tests.doubles.recordings import open_recordings


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_recordings(database_url) as (postgres, _):
        yield postgres


@pytest.mark.parametrize("behaviour", CONTRACT)
async def test_queue_keeps_the_contract(
    database: Database, behaviour: Callable[[CallbackStore], Awaitable[None]]
) -> None:
    await behaviour(PostgresQueue(database))


async def test_finished_callbacks_are_pruned(database: Database) -> None:
    queue = PostgresQueue(database)
    for number in range(2):
        await queue.add(ready(number), f"key-{number}")
    (queued,) = await claim(queue, limit=1)
    await queue.record_result(WHO, queued, DONE)
    assert await queue.prune(60.0) == 0
    assert await queue.prune(0.0) == 1
    (left,) = await queue.show(None, 10)
    assert left.state is CallbackState.PENDING


async def test_queue_says_that_the_database_is_down(database: Database) -> None:
    await database.close_pool()
    with pytest.raises(DatabaseDown):
        await PostgresQueue(database).add(ready(), "key")
