"""Bodies of creates: streamed, replayed, kept alive, broken off, cancelled."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio

from appliance.bbb.request_body import RequestBody
from appliance.bbb.signed_request import Caller
from appliance.http.errors import HttpError
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import rewire
from tests.doubles.live_pool import BrokenOffError, LivePool, chunks_of, open_live, streamed
from tests.doubles.pool_store import PoolStore, pool_store, with_store

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

UNABLE = "Unable to create meeting on server."
LARGE = 3 * 1024 * 1024


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool whose creates prefer bbb-1, then bbb-2, and wait for a slow server."""
    async with open_live(redis_url, redis_namespace, bbbs, RESPONSE_TIMEOUT="60") as opened:
        yield opened


def digest(size: int) -> str:
    whole = b"".join(bytes([number % 256]) * 65_536 for number in range(size // 65_536))
    return hashlib.sha256(whole).hexdigest()


async def test_large_body_is_streamed_byte_for_byte(pool: LivePool) -> None:
    body = RequestBody("text/xml", chunks_of(LARGE), LARGE)

    assert (await pool.create(body=body))["returncode"] == "SUCCESS"

    request = pool.servers[0].requests("create")[0]
    assert (request["body_size"], request["body_sha256"]) == (LARGE, digest(LARGE))
    assert request["headers"]["content-length"] == str(LARGE)


async def test_large_body_moves_on_while_none_of_it_was_sent(pool: LivePool) -> None:
    pool.servers[0].add_fault("refuse")

    await pool.create(body=streamed())

    assert pool.holders() == ["bbb-2"]
    assert pool.servers[1].requests("create")[0]["body_sha256"] == digest(LARGE)


async def test_large_body_does_not_move_on_once_it_was_begun(pool: LivePool) -> None:
    before = await pool.traces()
    pool.servers[0].add_fault("status", "create", executed=True)

    assert await pool.failure(body=streamed()) == UNABLE
    await pool.settled()

    assert (pool.holders(), await pool.traces()) == ([], before)
    assert pool.calls("create") == [1, 0, 0]


async def test_small_body_with_a_query_that_just_fits_is_created(pool: LivePool) -> None:
    body = RequestBody("application/xml", b"<modules/>", 10)
    caller = Caller(base_url="https://bbb.example.org")
    assert (await pool.create(body=body, caller=caller, welcome="w" * 7800))["returncode"]
    request = pool.servers[0].requests("create")[0]
    assert "meetingEndedURL" not in request["query"]


async def test_small_body_is_sent_again_to_the_next_server(pool: LivePool) -> None:
    document = b"<modules/>" * 1000
    pool.servers[0].add_fault("status", "create", executed=True)

    await pool.create(body=RequestBody("application/xml", document, len(document)))

    expected = hashlib.sha256(document).hexdigest()
    for bbb in pool.servers[:2]:
        assert bbb.requests("create")[0]["body_sha256"] == expected


@pytest.mark.parametrize(
    "failure",
    [BrokenOffError("client gone"), HttpError(413, "too large"), ValueError("defect")],
)
@pytest.mark.parametrize("known", [False, True])
async def test_body_that_breaks_off_undoes_the_placement(
    pool: LivePool, failure: Exception, known: bool
) -> None:
    if known:
        await pool.create()
    before = await pool.traces()

    with pytest.raises(type(failure)) as raised:
        await pool.create(body=streamed(failure=failure))
    await pool.settled()

    assert raised.value is failure
    assert await pool.traces() == before
    assert pool.holders() == (["bbb-1"] if known else [])
    assert (await pool.create())["returncode"] == "SUCCESS"


async def test_cancelled_create_undoes_the_placement(pool: LivePool) -> None:
    before = await pool.traces()
    first = pool.servers[0]
    first.add_fault("hang", "create", executed=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.create)
        await first.until_called("create")
        nursery.cancel_scope.cancel()
    await pool.settled()

    assert (pool.holders(), await pool.traces()) == ([], before)


async def test_create_cancelled_while_it_is_placed_leaves_nothing(pool: LivePool) -> None:
    before = await pool.traces()

    with trio.CancelScope() as scope:
        scope.cancel()
        await pool.create()
    await pool.settled()

    assert scope.cancelled_caught
    assert (pool.holders(), await pool.traces()) == ([], before)


def with_creating_limit(pool: LivePool, limit_ms: int) -> LivePool:
    """The same pool, whose records count as being created for so long only."""
    res: Any = pool.res
    settings = replace(
        res.settings, meetings=replace(res.settings.meetings, creating_limit_ms=limit_ms)
    )
    before = pool_store(res)
    store = PoolStore(res.redis, replace(before.rules, creating_ms=limit_ms))
    return replace(pool, res=rewire(with_store(res, store), settings=settings))


async def test_record_is_kept_in_creation_while_a_body_is_uploaded(pool: LivePool) -> None:
    pool = with_creating_limit(pool, 2000)
    creating: list[bool] = []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(pool.create, body=streamed(pause_s=0.06)))
        while not (meeting := await pool.meeting()):
            await trio.sleep(0.01)
        while not meeting.confirmed:
            creating.append(meeting.creating)
            await trio.sleep(0.02)
            meeting = await pool.meeting()
            assert meeting is not None

    assert len(creating) > 5
    assert all(creating)
    assert pool.holders() == ["bbb-1"]


async def test_upload_goes_on_when_the_meeting_was_moved_but_is_not_sent_twice(
    pool: LivePool,
) -> None:
    failures: list[str] = []

    async def upload() -> None:
        failures.append(await pool.failure(body=streamed(pause_s=0.01)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(upload)
        while not (meeting := await pool.meeting()):
            await trio.sleep(0.01)
        await pool.res.pool.records.forget_meeting(
            meeting, now_ms=pool.res.now_ms(), even_if_creating=True
        )
        await pool.redis("ZADD", "server_load", 100, "bbb-1")
        await pool.create()

    assert failures == [UNABLE]
    assert (pool.holders(), await pool.home()) == (["bbb-2"], "bbb-2")
    assert pool.calls("create") == [1, 1, 0]
