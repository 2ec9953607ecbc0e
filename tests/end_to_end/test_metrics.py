"""The metrics of the real process: what only its supervisor can have wired."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.doubles.appliance_pool import SHORT_TIMEOUTS, ServedPool
from tests.doubles.prometheus_text import samples

WITHIN_S = 60.0


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {**SHORT_TIMEOUTS, "POLL_INTERVAL": "1", "METRICS_BIND": "tcp://127.0.0.1:0"}


def test_process_tells_of_its_stores_loop_polls_and_requests(pool: ServedPool) -> None:
    (url,) = pool.appliance.wait_event("ready")["metrics"]
    wanted = {
        "scalelite_store_seconds_count",
        "scalelite_loop_lag_seconds_count",
        "scalelite_poll_seconds_count",
        "scalelite_server_users",
        "scalelite_request_seconds_count",
        "process_open_fds",
    }
    pool.front.get("getMeetings")
    deadline = time.monotonic() + WITHIN_S
    missing = wanted
    while missing:
        assert time.monotonic() < deadline, missing
        read = samples(httpx.get(f"{url}/metrics", timeout=40).content)
        missing = wanted - {name for (name, _), value in read.items() if value or "users" in name}

    assert read["scalelite_redis_up", ()] == 1
