"""The queue in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.queue_store import CallbackStore
from appliance.callbacks.rules import CallbackState
from appliance.faults import DatabaseDown
from appliance.postgres.database import Database
from tests.doubles.callback_contract import CONTRACT, DONE, LEASE_S, OTHER, WHO, claim, ready
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


@pytest.mark.parametrize(("attempts", "due"), [(0, True), (1, True), (12, False)])
async def test_callback_is_due_when_the_clock_was_set_back_an_hour(
    database: Database, attempts: int, due: bool
) -> None:
    """Only a callback whose pause is an hour anyway may wait that long."""
    queue = PostgresQueue(database)
    await queue.add(ready(), "key")
    postpone = "UPDATE appliance.callbacks SET attempts = $1, next_at = next_at + interval '1 hour'"
    await database.execute(postpone, attempts)

    assert await claim(queue) == []
    assert await queue.make_postponed_due(LEASE_S) == int(due)

    assert len(await claim(queue)) == int(due)


async def test_claim_of_a_dead_appliance_ends_when_the_clock_was_set_back(
    database: Database,
) -> None:
    queue = PostgresQueue(database)
    await queue.add(ready(), "key")
    (queued,) = await claim(queue)
    assert await queue.make_postponed_due(LEASE_S) == 0
    postpone = "UPDATE appliance.callbacks SET claimed_until = claimed_until + interval '1 hour'"
    await database.execute(postpone)

    assert await queue.make_postponed_due(LEASE_S) == 1

    (again,) = await claim(queue, OTHER)
    assert again.id == queued.id
