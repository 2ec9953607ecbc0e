"""The status line of systemd: the pool and its stores."""

from __future__ import annotations

from pathlib import Path

from appliance.wiring.status import describe_status
from tests.doubles.features import open_features
from tests.doubles.recording_pool import open_recording_pool
from tests.doubles.redis_processes import redis_process

POOL = "0 of 0 enabled servers online, 0 meetings, 0 users"


async def test_status_names_the_stores_that_answer(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> None:
    async with open_recording_pool(redis_url, redis_namespace, database_url, tmp_path) as pool:
        assert await describe_status(pool.res) == f"{POOL}; Redis and PostgreSQL answer"

        await pool.postgres.close_pool()

        line = await describe_status(pool.res)
        assert line.startswith(f"{POOL}; Redis answers; PostgreSQL does not answer (")
        assert line.endswith("): recordings wait")


async def test_status_names_redis_when_it_does_not_answer(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with open_features(redis.unix_url, redis_namespace) as res:
            assert await describe_status(res) == f"{POOL}; Redis answers"

            redis.kill()

            line = await describe_status(res)
            assert line.startswith("Redis does not answer (")
            assert line.endswith("): meetings cannot be created or joined")
