"""Fixtures: one Redis and one PostgreSQL per session, with a namespace and a database per test.

A pytest plugin, loaded by tests/conftest.py. Tests must not import it, since pytest refuses a
plugin that was imported before; importable functions are in store_servers.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import trio

from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.migrations import migrate
from tests.doubles.store_servers import (
    DatabaseSupply,
    PostgresServer,
    RedisServer,
    private_postgres,
    private_redis,
)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Give the session's Redis, which tests share; each uses its own `redis_namespace`."""
    with private_redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Give the URL of the session's Redis."""
    return redis_server.url


@pytest.fixture
def redis_namespace() -> str:
    """Give a REDIS_NAMESPACE that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give the session's PostgreSQL, which tests share; each uses a database of its own."""
    with private_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def database_supply(postgres_server: PostgresServer) -> Iterator[DatabaseSupply]:
    """Give the session's supply of databases, copies of one that is migrated once."""
    with postgres_server.new_database() as template:
        trio.run(_migrate, postgres_server.url(template))
        supply = DatabaseSupply(postgres_server, template)
        try:
            yield supply
        finally:
            supply.close()


async def _migrate(database_url: str) -> None:
    async with open_asyncio_loop(tuned=True):
        await migrate(database_url)


@pytest.fixture
def database_url(postgres_server: PostgresServer, database_supply: DatabaseSupply) -> Iterator[str]:
    """Give the URL of a database of the test, migrated and else empty."""
    with database_supply.take() as name:
        yield postgres_server.url(name)


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the URL of a database of the test, without the appliance's schema."""
    with postgres_server.new_database() as name:
        yield postgres_server.url(name)
