"""The state of the pool and its sums."""

from __future__ import annotations

from appliance.model import Server, ServerId, ServerState
from appliance.servers.status import PoolStatus, read_status
from tests.doubles.features import open_features


def server(number: int, state: ServerState, *, online: bool = True) -> Server:
    return Server(ServerId(str(number)), "http://x/api", "s", state, online, meetings=1, users=10)


def test_sums_count_every_server() -> None:
    status = PoolStatus(
        (
            server(1, ServerState.ENABLED),
            server(2, ServerState.ENABLED, online=False),
            server(3, ServerState.CORDONED),
        )
    )

    assert (status.meetings, status.users, status.available) == (3, 30, 1)


async def test_status_of_an_empty_pool_is_empty(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        assert await read_status(res.servers) == PoolStatus(())
