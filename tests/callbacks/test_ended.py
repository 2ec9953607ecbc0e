"""The end of meetings: which URL a server gets, and when the front-end's own is queued."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import pytest
import trio

from appliance.bbb.signed_request import Caller
from appliance.callbacks.ended import notify_ended, notify_ended_forever, record_end
from appliance.faults import StoreDown
from appliance.meetings import calls as meetings
from appliance.meetings.end import end_meeting
from appliance.model import Tenant, TenantId
from appliance.pool.records import NOTIFY_AFTER_END_MS, NOTIFY_AFTER_LOSS_MS
from tests.doubles.bbb_process import BbbProcess, until
from tests.doubles.features import rewire
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.redis_processes import DURABLE, redis_process

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

LMS = "https://lms.example.org/ended?course=7"
CALLER = Caller(base_url="http://127.0.0.1:9")
OURS = "http://127.0.0.1:9/bigbluebutton/api/meeting_ended?"


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool with the default settings."""
    async with open_live(redis_url, redis_namespace, bbbs) as opened:
        yield opened


async def create(pool: LivePool, **params: Any) -> str | None:
    """Create a meeting; return the meetingEndedURL that its server got."""
    given = {"caller": CALLER, **params}
    await pool.create(**given)
    home = pool.bbb(await pool.home())
    return dict(parse_qsl(home.requests("create")[-1]["query"])).get("meetingEndedURL")


async def queued(pool: LivePool) -> list[tuple[str, str | None]]:
    """Return URL and tenant of what is in the queue."""
    stores: Any = pool.res.callbacks.queue
    found = await stores.stores[0].show(None, 10)
    return [(one.callback.url, one.callback.tenant_id) for one in found]


async def notify(pool: LivePool, after_ms: int = 0) -> None:
    """Queue the notifications that are due by then."""
    later = rewire(pool.res, now_ms=lambda: pool.res.now_ms() + after_ms)
    await notify_ended(later.callbacks)


async def test_server_gets_our_url_at_the_address_that_the_front_end_used(pool: LivePool) -> None:
    url = await create(pool)
    assert url is not None
    assert url.startswith(OURS)


async def test_server_gets_our_url_at_url_host(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], URL_HOST="bbb.example.org") as pool:
        url = await create(pool)
        assert url is not None
        assert url.startswith("https://bbb.example.org/bigbluebutton/api/meeting_ended?")


async def test_create_takes_no_further_round_trips(pool: LivePool) -> None:
    for expected in (2, 1):
        before = pool.client.round_trips
        await pool.create(caller=CALLER, meetingEndedURL=LMS)
        assert pool.client.round_trips - before == expected


@pytest.mark.parametrize(
    ("variables", "given", "notified"),
    [
        ({"DEFAULT_CREATE_PARAMS": f"meetingEndedURL={LMS}"}, {}, [LMS]),
        (
            {"OVERRIDE_CREATE_PARAMS": f"meetingEndedURL={LMS}"},
            {"meetingEndedURL": "https://other.example.org/"},
            [LMS],
        ),
        ({"CREATE_EXCLUDE_PARAMS": "meetingEndedURL"}, {"meetingEndedURL": LMS}, []),
        ({}, {"meetingEndedURL": "ftp://lms.example.org/"}, []),
        ({}, {"meetingEndedURL": "https://user:pw@lms.example.org/"}, []),
        ({}, {"meetingEndedURL": ""}, []),
    ],
)
async def test_front_ends_url_is_what_the_merged_parameters_say(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    variables: dict[str, Any],
    given: dict[str, str],
    notified: list[str],
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], **variables) as pool:
        url = await create(pool, **given)
        assert url is not None
        assert url.startswith(OURS)
        assert await record_end(pool.res.callbacks, url.partition("?")[2].encode())
        await pool.settled()
        assert await queued(pool) == [(one, None) for one in notified]


async def test_other_urls_pass_untouched(pool: LivePool) -> None:
    await create(pool, meta_endCallbackUrl=LMS)
    assert pool.servers[0].meetings()["room"]["metadata"]["endcallbackurl"] == LMS


async def test_meeting_found_gone_is_notified_once_without_marks(pool: LivePool) -> None:
    url = await create(pool, meetingEndedURL=LMS)
    pool.servers[0].end_meeting("room", callback=False)
    await meetings.get_meeting_info(pool.res.meetings, CALLER, (("meetingID", "room"),))
    await notify(pool)
    assert await queued(pool) == []
    await notify(pool, NOTIFY_AFTER_LOSS_MS)
    assert await queued(pool) == [(LMS, None)]
    assert url is not None
    assert await record_end(pool.res.callbacks, url.partition("?")[2].encode())
    await pool.settled()
    await notify(pool, NOTIFY_AFTER_LOSS_MS)
    assert await queued(pool) == [(LMS, None)]


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(
    "change",
    [("HDEL", "run_ms", "created"), ("HSET", "run_ms", 1)],
    ids=[
        "its creator died before it noted the run",
        "its server calls what a later create brought",
    ],
)
async def test_server_is_asked_where_nobody_knows_which_run_has_ended(
    pool: LivePool, change: tuple[Any, ...], running: bool
) -> None:
    url = await create(pool, meetingEndedURL=LMS)
    assert url is not None
    await pool.redis(change[0], "appliance:meeting:room", *change[1:])
    if not running:
        pool.servers[0].end_meeting("room", callback=False)

    assert await record_end(
        pool.res.callbacks, f"{url.partition('?')[2]}&recordingmarks=true".encode()
    )
    await pool.settled()

    assert (await pool.meeting() is not None) is running
    assert await queued(pool) == ([] if running else [(f"{LMS}&recordingmarks=true", None)])


async def test_poll_that_finds_the_meeting_gone_notifies_its_front_end(pool: LivePool) -> None:
    await create(pool, meetingEndedURL=LMS)
    pool.servers[0].end_meeting("room", callback=False)
    await pool.poll("bbb-1")
    assert await pool.meeting() is None
    await notify(pool, NOTIFY_AFTER_LOSS_MS)
    assert await queued(pool) == [(LMS, None)]


async def test_ended_meeting_waits_for_its_servers_word(pool: LivePool) -> None:
    url = await create(pool, meetingEndedURL=LMS)
    await end_meeting(pool.res.meetings, CALLER, (("meetingID", "room"),))
    await notify(pool, NOTIFY_AFTER_END_MS - 5000)
    assert await queued(pool) == []
    assert url is not None
    assert await record_end(
        pool.res.callbacks, f"{url.partition('?')[2]}&recordingmarks=true".encode()
    )
    await pool.settled()
    await notify(pool, NOTIFY_AFTER_END_MS)
    assert await queued(pool) == [(f"{LMS}&recordingmarks=true", None)]


async def test_meeting_of_a_tenant_is_notified_as_the_tenants(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    school = Tenant(TenantId("t-1"), "school", ("s",))
    async with open_live(redis_url, redis_namespace, bbbs[:1]) as pool:
        url = await create(
            pool, caller=Caller(school, "http://school.example.org"), meetingEndedURL=LMS
        )
        assert url is not None
        assert await record_end(pool.res.callbacks, url.partition("?")[2].encode())
        await pool.settled()
        assert await queued(pool) == [(LMS, "t-1")]


async def test_forged_word_is_not_taken(pool: LivePool) -> None:
    await create(pool)
    assert not await record_end(
        pool.res.callbacks, b"meeting=room&server=bbb-1&began=1&signature=00"
    )
    assert await pool.meeting() is not None


class FullQueue:
    """A queue that can take nothing."""

    async def enqueue(self, *_args: Any, **_named: Any) -> Any:
        raise StoreDown("full")

    show = count = retry = drop = enqueue


async def test_end_that_no_queue_can_take_is_notified_later(pool: LivePool) -> None:
    await create(pool, meetingEndedURL=LMS)
    pool.servers[0].end_meeting("room", callback=False)
    await pool.poll("bbb-1")
    later = rewire(
        pool.res,
        now_ms=lambda: pool.res.now_ms() + NOTIFY_AFTER_LOSS_MS,
        callbacks__queue=FullQueue(),
    )
    assert await notify_ended(later.callbacks) == 0
    await notify(pool, NOTIFY_AFTER_LOSS_MS)
    assert await queued(pool) == []
    await notify(pool, 60_000)
    assert await queued(pool) == [(LMS, None)]


class PickyQueue:
    """A queue that fails at one meeting."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def enqueue(self, callback: Any, **_named: Any) -> bool:
        if callback.meeting_id == "bad":
            raise ValueError("a defect")
        self.taken.append(callback.meeting_id)
        return True


async def test_meeting_that_cannot_be_notified_holds_up_no_other(pool: LivePool) -> None:
    for meeting_id in ("bad", "good", "fine"):
        await pool.create(meeting_id, caller=CALLER, meetingEndedURL=LMS)
        pool.bbb(await pool.home(meeting_id)).end_meeting(meeting_id, callback=False)
    for bbb in pool.servers:
        await pool.poll(bbb.server_id)
    picky: Any = PickyQueue()
    later = rewire(
        pool.res, now_ms=lambda: pool.res.now_ms() + NOTIFY_AFTER_LOSS_MS, callbacks__queue=picky
    )
    assert await notify_ended(later.callbacks) == 2
    assert sorted(picky.taken) == ["fine", "good"]
    assert [name for name, _ in pool.log.errors] == ["meeting_end_not_queued"]
    pool.log.events.clear()


async def until_queued_by_task(pool: LivePool) -> None:
    """Run the task until the front-end's URL is in the queue."""
    later = rewire(pool.res, now_ms=lambda: pool.res.now_ms() + NOTIFY_AFTER_LOSS_MS)
    queue: Any = pool.res.callbacks.queue
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(notify_ended_forever, later.callbacks, pause_s=0.05))
        with trio.fail_after(40):
            while not await queue.stores[0].show(None, 1):
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()


async def test_front_end_is_notified_by_itself_also_when_the_store_was_away(
    redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    with redis_process(*DURABLE) as redis:
        async with open_live(redis.unix_url, redis_namespace, bbbs[:1]) as pool:
            caller = Caller(base_url="http://127.0.0.1:9")
            await pool.create(caller=caller, meetingEndedURL=LMS)
            bbbs[0].end_meeting("room", callback=False)
            await pool.poll("bbb-1")
            redis.kill()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(notify_ended_forever, pool.res.callbacks, pause_s=0.05))
                waits = pool.log.named
                await until(lambda: bool(waits("ended_meetings_wait_for_store")), 40, "a failure")
                redis.start()
                redis.wait_ready()
                await pool.client.wait_connected()
                nursery.cancel_scope.cancel()
            await until_queued_by_task(pool)
