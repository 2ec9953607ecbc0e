"""Real processes for the tests of this folder: an appliance a module, emptied for each test.

A module that needs other variables defines its own `environ`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.doubles.appliance_pool import SHORT_TIMEOUTS, Keys, ServedPool
from tests.doubles.appliance_process import ApplianceProcess
from tests.doubles.bbb_process import BbbProcess, bbb_servers
from tests.doubles.scalelite_place import BBB3, Place, scalelite_place
from tests.doubles.store_servers import PostgresServer, RedisServer


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Give the variables of the module's appliance: no poll comes unless it is asked for."""
    return {**SHORT_TIMEOUTS, "POLL_INTERVAL": "600"}


@pytest.fixture(scope="module")
def servers() -> Iterator[list[BbbProcess]]:
    """Give three simulated servers, started once a module."""
    with bbb_servers(3) as started:
        yield started


@pytest.fixture(scope="module")
def appliance(
    redis_server: RedisServer,
    environ: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApplianceProcess]:
    """Give an appliance on the session's Redis, in a namespace of its own, without PostgreSQL."""
    stores = {"REDIS_URL": redis_server.url, "REDIS_NAMESPACE": f"t{uuid.uuid4().hex[:12]}"}
    directory = tmp_path_factory.mktemp("appliance")
    secret_key = {"SECRET_KEY_BASE": "k" * 64, "DB_DISABLED": "true"}
    with ApplianceProcess(directory, **{**stores, **secret_key, **environ}) as started:
        yield started


@pytest.fixture(scope="module")
def both_stores(
    redis_server: RedisServer, postgres_server: PostgresServer
) -> Iterator[dict[str, str]]:
    """Give the variables of the session's Redis and PostgreSQL, in corners of the module's own."""
    with postgres_server.new_database() as database:
        yield {
            "REDIS_URL": redis_server.url,
            "REDIS_NAMESPACE": f"t{uuid.uuid4().hex[:12]}",
            "DATABASE_URL": postgres_server.url(database),
            "SECRET_KEY_BASE": "k" * 64,
        }


@pytest.fixture(scope="module")
def place(
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """Give a Scalelite's place, whose cordoned server is not empty, and stays cordoned."""
    root = tmp_path_factory.mktemp("volume")
    with scalelite_place(redis_server, postgres_server, root) as made:
        made.servers[BBB3].create_meeting("seminar")
        yield made


@pytest.fixture
def empty_pool(
    appliance: ApplianceProcess, servers: list[BbbProcess], redis_server: RedisServer
) -> Iterator[ServedPool]:
    """Give the module's appliance with no server in its pool."""
    keys = Keys(redis_server.socket_path, appliance.environ["REDIS_NAMESPACE"])
    pool = ServedPool(appliance, servers, keys)
    pool.reset()
    yield pool
    appliance.check_new_log()  # here, so that it is this test that fails


@pytest.fixture
def pool(empty_pool: ServedPool) -> ServedPool:
    """Give the module's appliance with its three servers enabled and online."""
    empty_pool.add_all()
    return empty_pool
