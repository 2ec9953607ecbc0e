"""Two appliances behind nginx with the site that we ship, restarted in turn: no request is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.appliance_pool import two_appliances
from tests.doubles.appliance_process import ApplianceProcess, wait_for_more
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.nginx import Nginx, run_nginx
from tests.doubles.steady_load import SteadyLoad
from tests.doubles.store_servers import RedisServer

ENDS_S = 20.0
IN_USE_S = 40.0
"""Until nginx sends requests to an appliance again: two seconds, and more on a busy machine."""
SECRET = "the-secret-of-both-appliances"


@pytest.fixture(scope="module")
def appliances(
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
    servers: list[BbbProcess],
) -> Iterator[list[ApplianceProcess]]:
    """Give two appliances on ports that they keep, with the servers in their pool."""
    with two_appliances(redis_server, tmp_path_factory, "rolling", POLL_INTERVAL="1") as both:
        for server in servers:
            both[0].add_server(server)
        yield both


@pytest.fixture(scope="module")
def nginx(
    appliances: list[ApplianceProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nginx]:
    ports = [one.front.port for one in appliances]
    root = tmp_path_factory.mktemp("site")
    with run_nginx(root / "nginx", *ports, published=Path(root)) as one:
        yield one


def test_rolling_restart_behind_nginx_loses_no_request(
    appliances: list[ApplianceProcess], nginx: Nginx
) -> None:
    load = SteadyLoad()
    with load.run(nginx.port, SECRET):
        for one in appliances:
            wait_for_more(load.answered, 50)
            assert one.terminate(within_s=ENDS_S) == 0
            wait_for_more(load.answered, 50)
            one.start()
            one.wait_event("request", IN_USE_S, call="isMeetingRunning")
    assert load.failures == []
