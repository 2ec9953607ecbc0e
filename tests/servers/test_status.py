"""The state of the pool and its sums."""

from __future__ import annotations

from appliance.model import Server, ServerId, ServerState
from appliance.servers.status import PoolStatus, describe_pool, read_status
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


def test_pool_is_described_in_one_line() -> None:
    servers = [
        server(1, ServerState.ENABLED),
        server(2, ServerState.ENABLED, online=False),
        server(3, ServerState.CORDONED),
        server(4, ServerState.DISABLED, online=False),
    ]

    assert describe_pool(servers) == "1 of 2 enabled servers online, 4 meetings, 40 users"
    assert describe_pool([]) == "0 of 0 enabled servers online, 0 meetings, 0 users"


async def test_status_of_an_empty_pool_is_empty(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        assert await read_status(res.servers) == PoolStatus(())
