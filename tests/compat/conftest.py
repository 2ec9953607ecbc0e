"""A running appliance with two simulated servers, and each client library as a program."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.compat.client_programs import CLIENTS, ClientProgram, client_program
from tests.doubles.appliance_pool import Keys, ServedPool
from tests.doubles.appliance_process import ApplianceProcess
from tests.doubles.bbb_process import bbb_servers
from tests.doubles.store_servers import PostgresServer, RedisServer


@pytest.fixture(scope="session")
def pool(
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedPool]:
    """Give an appliance with both stores and its servers."""
    namespace = f"t{uuid.uuid4().hex[:12]}"
    with postgres_server.new_database() as database, bbb_servers(2) as servers:
        variables = {
            "REDIS_URL": redis_server.url,
            "REDIS_NAMESPACE": namespace,
            "DATABASE_URL": postgres_server.url(database),
            "SECRET_KEY_BASE": "k" * 64,
            "POLL_INTERVAL": "600",
        }
        directory = tmp_path_factory.mktemp("compat")
        with ApplianceProcess(directory, **variables) as appliance:
            made = ServedPool(appliance, servers, Keys(redis_server.socket_path, namespace))
            made.add_all()
            yield made


@pytest.fixture(scope="session")
def clients(pool: ServedPool) -> Iterator[dict[str, ClientProgram]]:
    """Give every library."""
    front = pool.front
    api_url = f"http://127.0.0.1:{front.port}/bigbluebutton/api"
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(client_program(name, api_url, front.secret))
            for name in CLIENTS
        }
