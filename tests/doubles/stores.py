"""Fixtures: one Redis and one PostgreSQL a session, a clean corner of it for each test.

A pytest plugin, which tests/conftest.py loads for all. Not to be imported by tests, since
pytest refuses a plugin that was imported before; what is to be imported is in store_servers.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.doubles.store_servers import (
    PostgresServer,
    RedisServer,
    private_postgres,
    private_redis,
)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Give the session's Redis; tests share it and must keep to their own `redis_namespace`."""
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
    """Give the session's PostgreSQL; tests share it and must keep to a database of their own."""
    with private_postgres() as server:
        yield server


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the URL of an empty database that is the test's own."""
    with postgres_server.new_database() as name:
        yield postgres_server.url(name)
