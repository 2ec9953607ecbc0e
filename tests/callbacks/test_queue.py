"""The queue over two real stores, and what an attempt comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import trio

from appliance.callbacks.attempt import (
    MAX_LOOKUP_PAUSE_S,
    TENANT_GONE,
    attempt_callback,
    make_callback_tools,
)
from appliance.callbacks.attributes_yaml import ANALYTICS, KeptUrls
from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.queue import CallbackQueue
from appliance.callbacks.redis_queue import RedisQueue
from appliance.callbacks.rules import (
    AttemptResult,
    Callback,
    CallbackState,
    QueuedCallback,
    analytics,
    id_of_secret,
    meeting_ended,
)
from appliance.faults import CallFailed, CallRefused, DatabaseDown, StoreDown
from appliance.features import Features
from appliance.model import TenantId
from appliance.redis.client import RedisAddress, open_redis_client
from appliance.redis.scripts import load_scripts
from appliance.redis.store import RedisStore
from appliance.tenants.values import TenantChange
from tests.doubles.callback_contract import ready
from tests.doubles.features import EventBook, now_ms, open_features, rewire
from tests.doubles.recordings import open_recordings


async def test_enqueue_takes_redis_when_the_database_is_down(
    redis_url: str, redis_namespace: str, database_url: str
) -> None:
    woken: list[bool] = []
    async with (
        open_redis_client(RedisAddress(redis_url)) as client,
        open_recordings(database_url) as (postgres, _),
    ):
        rows = PostgresQueue(postgres)
        buffer = RedisQueue(RedisStore(client, redis_namespace, load_scripts()), now_ms)
        callbacks = CallbackQueue((rows, buffer), lambda: woken.append(True), EventBook())

        assert await callbacks.enqueue(ready(1), dedup_key="key-1")
        assert not await callbacks.enqueue(ready(1), dedup_key="key-1")
        assert len(await rows.show(None, 10)) == 1
        await postgres.close_pool()
        assert await callbacks.enqueue(ready(2), dedup_key="key-2")

        (kept,) = await buffer.show(None, 10)
        assert await CallbackQueue((buffer,), lambda: None, EventBook()).count() == {
            CallbackState.PENDING: 1,
            CallbackState.FAILED: 0,
        }
        assert kept.callback == ready(2)
        assert len(woken) == 2


async def test_enqueue_says_when_no_store_can_take_it() -> None:
    async with open_redis_client(RedisAddress("redis://127.0.0.1:9")) as client:
        buffer = RedisQueue(RedisStore(client, "t", load_scripts()), now_ms)
        callbacks = CallbackQueue((buffer,), lambda: None, EventBook())
        with pytest.raises(StoreDown), trio.fail_after(40):
            await callbacks.enqueue(ready(), dedup_key="key")


class Calls:
    """A client that records requests and returns prepared answers."""

    def __init__(self, *outcomes: int | Exception) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[tuple[str, str, bytes]] = []

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Keep a call."""
        self.sent.append((method, url, body))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def record_result(
    res: Features, callback: Callback, *outcomes: int | Exception
) -> tuple[AttemptResult, Calls]:
    """Attempt a callback once."""
    calls: Any = Calls(*outcomes)
    settled = await attempt_callback(
        make_callback_tools(res.callbacks, calls), QueuedCallback("1", callback)
    )
    assert calls.outcomes == []
    return settled, calls


def signed_by(calls: Calls) -> list[str]:
    """Return the secrets that signed what was sent."""
    return [
        secret
        for _, _, body in calls.sent
        for secret in (OURS, SECOND, SCHOOL_1, SCHOOL_2)
        if is_signed_by(body, secret)
    ]


def is_signed_by(body: bytes, secret: str) -> bool:
    (token,) = parse_qs(body.decode())["signed_parameters"]
    try:
        jwt.decode(token, secret, ["HS256"])
    except jwt.InvalidSignatureError:
        return False
    return True


TENANT = TenantId("t-1")
OURS, SECOND, SCHOOL_1, SCHOOL_2 = (f"secret-{name}-{name * 32}" for name in "abcd")
VARIABLES: dict[str, Any] = {
    "LOADBALANCER_SECRET": OURS,
    "LOADBALANCER_SECRETS": SECOND,
    "MULTITENANCY_ENABLED": "true",
}


async def test_secrets_of_the_front_end_are_tried_in_turn(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace, **VARIABLES) as res:
        settled, calls = await record_result(res, ready(), 401, 500)
        assert (settled.state, settled.status) == (CallbackState.PENDING, 500)
        assert signed_by(calls) == [OURS, SECOND]
        settled, calls = await record_result(res, ready(), 403, 200)
        assert settled.state is CallbackState.DONE
        for last in (404, 410):
            settled, calls = await record_result(res, ready(), last)
            assert settled.state is CallbackState.FAILED
        settled, calls = await record_result(res, ready(), CallFailed("refused"))
        assert (settled.state, settled.error) == (CallbackState.PENDING, "refused")
        settled, calls = await record_result(res, ready(), CallRefused("an address"))
        assert (settled.state, settled.error) == (CallbackState.FAILED, "not sent: an address")


async def test_secret_of_the_create_is_tried_first_and_the_others_where_it_is_refused(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace, **VARIABLES) as res:
        known = replace(ready(), secret_id=id_of_secret(SECOND))
        settled, calls = await record_result(res, known, 503)
        assert settled.state is CallbackState.PENDING
        assert signed_by(calls) == [SECOND]
        settled, calls = await record_result(res, known, 401, 200)
        assert settled.state is CallbackState.DONE
        assert signed_by(calls) == [SECOND, OURS]


async def test_secrets_of_a_tenant_sign_for_it(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace, **VARIABLES) as res:
        callback = replace(ready(), tenant_id=TENANT)
        settled, _ = await record_result(res, callback)
        assert (settled.state, settled.error) == (CallbackState.FAILED, TENANT_GONE)
        change = TenantChange(name="school", secrets=f"{SCHOOL_1}:{SCHOOL_2}")
        await res.tenants.store.add_tenant(TENANT, change)
        settled, calls = await record_result(res, callback, 401, 204)
        assert settled.state is CallbackState.DONE
        assert signed_by(calls) == [SCHOOL_1, SCHOOL_2]


async def test_end_of_a_meeting_needs_no_secret(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace, **VARIABLES) as res:
        callback = meeting_ended("http://h/end", meeting_id="m", tenant_id=TENANT)
        settled, calls = await record_result(res, callback, 200)
        assert settled.state is CallbackState.DONE
        assert calls.sent == [("GET", "http://h/end", b"")]


class Urls:
    """What is known of who is to be called; None: the database is away."""

    def __init__(self, found: dict[str, str] | None) -> None:
        self.found = found

    async def find(self, meeting_id: str, tenant_id: TenantId | None) -> KeptUrls | None:
        assert (meeting_id, tenant_id) == ("math", None)
        if self.found is None:
            raise DatabaseDown("away")
        return KeptUrls(self.found, id_of_secret(SECOND))


@pytest.mark.parametrize(
    ("found", "outcomes", "state", "wait_s"),
    [
        (None, (), CallbackState.PENDING, MAX_LOOKUP_PAUSE_S),
        ({}, (), CallbackState.DROPPED, 0.0),
        ({"recording_ready_url": "https://lms.example/ready"}, (), CallbackState.DROPPED, 0.0),
        ({ANALYTICS: "https://lms.example/events"}, (200,), CallbackState.DONE, 0.0),
    ],
)
async def test_report_that_came_while_the_database_was_away_is_addressed_when_it_is_sent(
    redis_url: str,
    redis_namespace: str,
    found: dict[str, str] | None,
    outcomes: tuple[int, ...],
    state: CallbackState,
    wait_s: float,
) -> None:
    async with open_features(redis_url, redis_namespace, **VARIABLES) as res:
        urls: Any = Urls(found)
        calls: Any = Calls(*outcomes)
        tools = make_callback_tools(rewire(res, callbacks__urls=urls).callbacks, calls)
        report = QueuedCallback("1", analytics("", b"{}", meeting_id="math"), attempts=9)
        settled = await attempt_callback(tools, report)
        assert (settled.state, settled.wait_s) == (state, wait_s)
        assert [(url, body) for _, url, body in calls.sent] == [
            ("https://lms.example/events", b"{}") for _ in outcomes
        ]
