"""`ctl callbacks`: output as table and JSON, retry and drop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from appliance.callbacks.queue import CallbackQueue
from appliance.callbacks.redis_queue import RedisQueue
from appliance.callbacks.rules import AttemptResult, CallbackState
from appliance.ctl.callbacks import STATES
from appliance.features import Features
from appliance.redis.client import RedisAddress, open_redis_client
from appliance.redis.scripts import load_scripts
from appliance.redis.store import RedisStore
from tests.doubles.callback_contract import claim, ready
from tests.doubles.control import ControlDouble, Done, open_control
from tests.doubles.features import EventBook, open_features, rewire

NOT_FOUND = AttemptResult(CallbackState.FAILED, 404, "the receiver answered 404")
UNCHANGED = "unknown call, or not possible in its state"


@pytest.fixture
async def res(redis_url: str, redis_namespace: str) -> AsyncIterator[Features]:
    async with open_features(redis_url, redis_namespace) as opened:
        yield opened


@pytest.fixture
async def control(res: Features) -> AsyncIterator[ControlDouble]:
    async with open_control(res) as opened:
        yield opened


def store_of(res: Features) -> RedisQueue:
    assert isinstance(res.callbacks.queue, CallbackQueue)
    (store,) = res.callbacks.queue.stores
    assert isinstance(store, RedisQueue)
    return store


async def failed_id(res: Features) -> str:
    """Put a callback that failed into the queue, and return its id."""
    store = store_of(res)
    await res.callbacks.queue.enqueue(ready(), dedup_key="key")
    (queued,) = await claim(store)
    await store.record_result("appliance-1", queued, NOT_FOUND)
    return queued.id


def test_every_state_can_be_selected() -> None:
    assert tuple(CallbackState) == STATES


async def test_calls_are_listed(control: ControlDouble, res: Features) -> None:
    assert (await control.ctl("callbacks")).out.split() == [
        *("ID", "KIND", "STATE", "RECEIVER", "MEETING", "ID", "TRIES", "NEXT", "LAST")
    ]
    callback_id = await failed_id(res)
    listed = await control.ctl("callbacks", "list", "--state", "failed")
    row = listed.out.splitlines()[1].split()
    assert row[:6] == [
        *(callback_id, "recording_ready", "failed", "https://lms.example.org:8443", "math", "1")
    ]
    assert listed.out.rstrip().endswith("the receiver answered 404")
    assert (await control.ctl("callbacks", "--json")).json[0] | {"created_ms": 0} == {
        "id": callback_id,
        "kind": "recording_ready",
        "state": "failed",
        "sending": False,
        "receiver": "https://lms.example.org:8443",
        "url": ready().url,
        "tenant_id": None,
        "meeting_id": "math",
        "record_id": "rec-1",
        "attempts": 1,
        "created_ms": 0,
        "next_in_s": None,
        "last_status": 404,
        "last_error": "the receiver answered 404",
    }
    assert (await control.ctl("callbacks", "list", "--state", "done", "--json")).json == []


async def test_calls_are_retried_and_dropped(control: ControlDouble, res: Features) -> None:
    callback_id = await failed_id(res)
    assert await control.ctl("callbacks", "retry") == Done(0, "1 call scheduled for retry\n", "")
    (shown,) = (await control.ctl("callbacks", "--json")).json
    assert (shown["state"], shown["attempts"], shown["next_in_s"]) == ("pending", 0, 0)
    assert await control.ctl("callbacks", "retry") == Done(0, "0 calls scheduled for retry\n", "")

    dropped = await control.ctl("callbacks", "drop", callback_id, "17")

    assert dropped == Done(1, "1 call dropped\n", f"17: {UNCHANGED}\n")
    assert await claim(store_of(res)) == []
    again = await control.ctl("callbacks", "drop", callback_id, "--json")
    assert (again.code, again.json["unchanged"]) == (1, [callback_id])
    assert isinstance(res.log, EventBook)
    assert res.log.named("callbacks_retried_by_hand")[0]["ids"] == [callback_id]
    assert res.log.named("callbacks_dropped")[0]["ids"] == [callback_id]


async def test_store_that_is_down_is_named_and_the_others_are_shown(
    control: ControlDouble, res: Features
) -> None:
    callback_id = await failed_id(res)
    async with open_redis_client(RedisAddress("redis://127.0.0.1:9")) as nowhere:
        store = store_of(res)
        down = RedisQueue(RedisStore(nowhere, "t", load_scripts()), store._now_ms)
        both = rewire(res, callbacks__queue=CallbackQueue((down, store), lambda: None, res.log))
        async with open_control(both) as opened:
            listed = await opened.ctl("callbacks", "--json")
    assert (listed.code, listed.json[0]["id"]) == (1, callback_id)
    assert listed.err.startswith("Redis is not reachable: ")
