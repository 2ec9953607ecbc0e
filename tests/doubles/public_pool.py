"""The public listener in front of a live pool: the appliance's API, with BBB servers behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.http.messages import ClientTimeouts
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.public import LINGER, Public, serve_public


@asynccontextmanager
async def open_both(
    redis_url: str,
    namespace: str,
    bbbs: list[BbbProcess],
    *,
    timeouts: ClientTimeouts = LINGER,
    spread: bool = True,
    **variables: str,
) -> AsyncIterator[tuple[Public, LivePool]]:
    """Serve a pool of these servers; `spread`: all with the same load."""
    async with (
        open_live(redis_url, namespace, bbbs, spread=spread, enable=True, **variables) as pool,
        serve_public(pool.res, timeouts) as public,
    ):
        yield public, pool
