"""create and join at the limits of a tenant: bursts on two appliances, refusals, what is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio

from appliance.bbb.errors import ApiError
from appliance.bbb.signed_request import Caller
from appliance.faults import StoreDown
from appliance.features import Features
from appliance.meetings.calls import join_meeting
from appliance.meetings.create import create_meeting
from appliance.model import Tenant, TenantId
from appliance.settings.param_rules import parse_rules
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import open_features
from tests.doubles.live_pool import LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

NOBODY = Caller()
SCHOOL = Tenant(TenantId("t-1"), "school", ("s",))


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool of one server."""
    async with open_live(redis_url, redis_namespace, bbbs[:1]) as opened:
        yield opened


async def limit(pool: LivePool, **values: str) -> None:
    """Set limits of the pool without tenants."""
    assert await pool.res.tenants.limits.change(None, values)


async def results(calls: list[tuple[Any, tuple[Any, ...]]]) -> Counter[str]:
    """Make calls at once; return how often each result came."""
    found: Counter[str] = Counter()

    async def call(function: Any, arguments: tuple[Any, ...]) -> None:
        try:
            await function(*arguments)
        except ApiError as error:
            found[error.key] += 1
        except StoreDown:  # a busy machine: Redis may have counted it all the same
            found["unknown"] += 1
        else:
            found["done"] += 1

    async with trio.open_nursery() as nursery:
        for function, arguments in calls:
            nursery.start_soon(call, function, arguments)
    return found


def joining(features: Features, meeting_id: str, number: int) -> tuple[Any, tuple[Any, ...]]:
    params = (("meetingID", meeting_id), ("fullName", str(number)))
    return join_meeting, (features.meetings, NOBODY, params)


async def test_bursts_on_two_appliances_exceed_no_limit_by_one(
    redis_url: str, redis_namespace: str, pool: LivePool
) -> None:
    await limit(pool, max_meetings="30", max_users="90", max_users_per_meeting="70")
    async with open_features(redis_url, redis_namespace) as other:
        both = (pool.res, other)
        creates = [
            (create_meeting, (both[number % 2].meetings, NOBODY, (("meetingID", f"m{one}"),)))
            for number in range(200)
            for one in (number, number)[: 1 + number % 2]  # every second one is repeated
        ]
        created = await results(creates)
        running = sorted(pool.servers[0].meetings())
        again = [(create_meeting, (other.meetings, NOBODY, (("meetingID", running[0]),)))] * 20
        repeated = await results(again)
        joined = await results(
            [joining(both[number % 2], running[number % 2], number) for number in range(500)]
        )
        crowded = await results(
            [joining(both[number % 2], running[0], number) for number in range(50)]
        )

    assert len(running) <= 30 <= len(running) + created["unknown"]
    assert set(created) <= {"done", "meetingLimitReached", "unknown"}
    assert set(repeated) <= {"done", "unknown"}
    assert joined["done"] <= 90 <= joined["done"] + joined["unknown"]
    assert crowded["done"] == 0
    refused = [dict(one.metrics.tenant_refused.values) for one in both]
    assert sum(one.get(("default", "max_users"), 0) for one in refused) > 0
    near = [(one["tenant"], one["limit"]) for one in pool.log.named("tenant_limit_near")]
    assert len(near) == len(set(near))


async def test_room_of_one_meeting_is_limited_by_itself(pool: LivePool) -> None:
    await limit(pool, max_users_per_meeting="3")
    for name in ("m1", "m2"):
        await pool.create(name)

    found = [await results([joining(pool.res, one, 0) for _ in range(5)]) for one in ("m1", "m2")]
    assert found == [{"done": 3, "userLimitReached": 2}] * 2


@pytest.mark.parametrize(
    ("values", "params", "key"),
    [
        ({"max_meetings": "0"}, {}, "meetingLimitReached"),
        ({"max_creates_per_minute": "0"}, {}, "rateLimited"),
        ({"max_recordings_gb": "0"}, {"record": "true"}, "recordingLimitReached"),
    ],
)
async def test_refusal_has_its_key_and_leaves_no_trace(
    pool: LivePool, values: dict[str, str], params: dict[str, str], key: str
) -> None:
    await limit(pool, **values)

    with pytest.raises(ApiError) as refused:
        await pool.create(**params)

    assert (refused.value.key, refused.value.http_status) == (key, 200)
    assert pool.calls("create") == [0]
    assert await pool.meeting() is None
    assert [one["limit"] for one in pool.log.named("tenant_limit_reached")] == [*values]
    if "record" in params:
        await pool.create(record="false")


@pytest.mark.parametrize(
    ("given", "pool_min", "sent"),
    [("", 0, "45"), ("0", 0, "45"), ("60", 0, "45"), ("30", 0, "30"), ("60", 20, "20")],
)
async def test_max_duration_is_sent_to_the_server(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    given: str,
    pool_min: int,
    sent: str,
) -> None:
    opening = open_live(redis_url, redis_namespace, bbbs[:1], MAX_MEETING_DURATION=str(pool_min))
    async with opening as pool:
        await limit(pool, max_duration="45")
        await pool.create(**({"duration": given} if given else {}))
        await pool.create(**({"duration": given} if given else {}))  # repeated

        durations = [query_of(one)["duration"] for one in pool.servers[0].requests("create")]
    assert durations == [sent, sent]


def query_of(request: dict[str, Any]) -> dict[str, str]:
    return dict(parse_qsl(request["query"], keep_blank_values=True))


async def test_rules_change_what_a_server_gets_by_its_version(pool: LivePool) -> None:
    await pool.poll("bbb-1", read_version=True)  # 3.0.10
    rules = "meetingLayout map A:B version=3.*; meetingLayout map A:C version=4.*; name remove"
    caller = Caller(
        replace(
            SCHOOL,
            create_rules=parse_rules(rules),
            join_rules=parse_rules("userID require; role map MODERATOR:VIEWER version=3.0.1?"),
        )
    )
    await pool.create(caller=caller, meetingLayout="A", name="x")
    got = query_of(pool.servers[0].requests("create")[0])
    assert (got["meetingLayout"], "name" in got) == ("B", False)

    params = (("meetingID", "room"), ("role", "MODERATOR"))
    with pytest.raises(ApiError) as refused:
        await join_meeting(pool.res.meetings, caller, params)
    assert refused.value.key == "missingParameter"
    url = await join_meeting(pool.res.meetings, caller, (*params, ("userID", "u")))
    assert dict(parse_qsl(urlsplit(url).query))["role"] == "VIEWER"


async def test_a_parameter_that_a_version_requires_undoes_the_placement(pool: LivePool) -> None:
    await pool.poll("bbb-1", read_version=True)
    caller = Caller(replace(SCHOOL, create_rules=parse_rules("name require version=3.*")))

    with pytest.raises(ApiError) as refused:
        await pool.create(caller=caller)

    assert refused.value.key == "missingParameter"
    assert await pool.meeting() is None
    assert pool.calls("create") == [0]
    await pool.create(caller=caller, name="x")


async def test_rules_decide_about_the_server_tag(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    rules = "meta_server-tag map old:new"
    async with open_live(redis_url, redis_namespace, bbbs[:1], CREATE_PARAM_RULES=rules) as pool:
        await pool.redis("HSET", "server:bbb-1", "tag", "new")
        await pool.create(**{"meta_server-tag": "old"})
        assert await pool.home() == "bbb-1"


async def test_creates_that_fail_on_all_servers_do_not_count(pool: LivePool) -> None:
    await limit(pool, max_creates_per_minute="2")
    with pool.servers[0].fault("status", "create", status=500):
        failed = [await results([(create_meeting, creating(pool, f"m{n}"))]) for n in range(3)]

    done = [await results([(create_meeting, creating(pool, f"m{n}"))]) for n in range(3)]

    assert failed == [{"internalError": 1}] * 3
    assert done == [{"done": 1}, {"done": 1}, {"rateLimited": 1}]


def creating(pool: LivePool, meeting_id: str) -> tuple[Any, ...]:
    return pool.res.meetings, NOBODY, (("meetingID", meeting_id),)
