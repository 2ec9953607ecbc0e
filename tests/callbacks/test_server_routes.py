"""What servers tell us over real HTTP: the end of a meeting, and what it was like."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from appliance.callbacks.analytics_rules import MAX_BODY_BYTES
from appliance.callbacks.ended import notify_ended
from appliance.callbacks.ended_rules import EndUrlSigner, MeetingRun
from appliance.callbacks.rules import QueuedCallback
from appliance.model import MeetingId, ServerId
from appliance.servers.administration import remove_server
from appliance.servers.registration import forget_retired
from tests.doubles.bbb_callbacks import bearer_token
from tests.doubles.bbb_process import BbbProcess, until
from tests.doubles.live_pool import LivePool
from tests.doubles.public import Public, open_public
from tests.doubles.public_pool import open_both
from tests.doubles.redis_processes import redis_process
from tests.doubles.settings import SECRET
from tests.doubles.tenant_pool import add_tenant

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

LMS = "https://lms.example.org/ended?course=7"
WITHIN_S = 40.0


@pytest.fixture
async def both(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[tuple[Public, LivePool]]:
    """Give a listener that the servers can reach, with a pool behind it."""
    async with open_both(redis_url, redis_namespace, bbbs, spread=False) as opened:
        yield opened


async def create(public: Public, **params: Any) -> None:
    """Create a meeting through the address by which the servers reach us."""
    answer = await public.call(
        "create", {"meetingID": "room", **params}, host=f"127.0.0.1:{public.port}"
    )
    assert answer.returncode == "SUCCESS"


def ended_url(bbb: BbbProcess, number: int = -1) -> str:
    """Return the meetingEndedURL that a server was given."""
    query: str = bbb.requests("create")[number]["query"]
    return dict(parse_qsl(query))["meetingEndedURL"]


async def queued(pool: LivePool) -> list[QueuedCallback]:
    """Return what is in the queue."""
    stores: Any = pool.res.callbacks.queue
    found: list[QueuedCallback] = await stores.stores[0].show(None, 10)
    return found


async def until_queued(pool: LivePool, count: int = 1) -> list[str]:
    """Wait until so many callbacks are in the queue, and return their URLs."""
    await pool.settled()
    found = await queued(pool)
    assert len(found) == count
    return [one.callback.url for one in found]


async def call(public: Public, url: str, method: str = "GET") -> int:
    """Call one of our URLs and return the status."""
    parts = urlsplit(url)
    answer = await public.ask(method, f"{parts.path}?{parts.query}", host=parts.netloc)
    return answer.status


async def test_end_of_a_meeting_comes_from_its_server_and_goes_on_to_the_front_end(
    both: tuple[Public, LivePool],
) -> None:
    public, pool = both
    bbb = pool.servers[0]
    await create(public, meetingEndedURL=LMS)
    assert LMS not in bbb.requests("create")[-1]["query"]

    bbb.end_meeting("room", marks=True)
    await until(lambda: bool(bbb.callbacks()), WITHIN_S, "the server's call")

    assert bbb.callbacks()[0]["status"] == 200
    assert (await pool.traces())["records"] == []
    assert (await pool.traces())["bridges"] == []
    assert await until_queued(pool) == [f"{LMS}&recordingmarks=true"]
    (found,) = await queued(pool)
    assert (found.callback.method, found.callback.meeting_id) == ("GET", "room")


async def test_replayed_call_does_nothing_to_the_meeting_that_was_created_again(
    both: tuple[Public, LivePool],
) -> None:
    public, pool = both
    bbb = pool.servers[0]
    await create(public, meetingEndedURL=LMS)
    first = ended_url(bbb)
    bbb.end_meeting("room", callback=False)
    # Its server lost the first run without a report, so the record stays.
    await create(public, meetingEndedURL=LMS)
    assert ended_url(bbb) != first

    assert await call(public, first) == 200

    assert await pool.meeting() is not None
    assert pool.holders() == ["bbb-1"]
    await notify_ended(pool.res.callbacks)
    assert await until_queued(pool) == [LMS]
    assert await call(public, ended_url(bbb) + "&recordingmarks=false") == 200
    assert await pool.meeting() is None
    assert len(await until_queued(pool, 2)) == 2


async def test_repeated_create_is_not_refused_and_leaves_the_url_good(
    both: tuple[Public, LivePool],
) -> None:
    public, pool = both
    bbb = pool.servers[0]
    await create(public, meetingEndedURL=LMS)
    await create(public, meetingEndedURL="https://other.example.org/")
    assert await call(public, ended_url(bbb, 0)) == 200
    assert await pool.meeting() is None
    assert await until_queued(pool) == [LMS]


@pytest.mark.parametrize("changed", ["began=1", "meeting=other", "signature=00", ""])
async def test_forged_call_does_nothing(both: tuple[Public, LivePool], changed: str) -> None:
    public, pool = both
    await create(public, meetingEndedURL=LMS)
    url = urlsplit(ended_url(pool.servers[0]))
    forged = f"{changed}&{url.query}" if changed else ""
    assert await call(public, url._replace(query=forged).geturl()) == 403
    assert await pool.meeting() is not None
    assert await queued(pool) == []


async def test_other_methods_are_no_calls_of_servers(both: tuple[Public, LivePool]) -> None:
    public, pool = both
    await create(public)
    assert await call(public, ended_url(pool.servers[0]), "POST") == 200
    assert await pool.meeting() is not None


async def test_call_is_asked_to_come_again_while_the_store_is_down(
    redis_namespace: str,
) -> None:
    with redis_process() as redis:
        async with open_public(redis.unix_url, redis_namespace) as public:
            signer = EndUrlSigner("http://x", MeetingRun(1), public.res.callbacks.secret_key_base)
            url = signer.url_for(MeetingId("room"), ServerId("bbb-1"))
            assert url is not None
            assert await call(public, url) == 200
            redis.kill()
            assert await call(public, url) == 503


async def test_second_tenant_of_an_id_is_called_back_with_its_own(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(
        redis_url, redis_namespace, bbbs[:1], spread=False, MULTITENANCY_ENABLED="true"
    ) as (public, pool):
        one, two = [await add_tenant(pool, public, *who) for who in (("one", 1), ("two", 2))]
        for tenant in (one, two):
            params = {"meetingID": "room", "meta_endCallbackUrl": LMS}
            assert (await tenant.call("create", params)).returncode == "SUCCESS"
        given = {
            name: meeting["metadata"]["endcallbackurl"]
            for name, meeting in pool.servers[0].meetings().items()
        }
        assert given["room"] == LMS
        url = f"{given[f'room~{two.id}']}&recordingmarks=true&meetingID=room~{two.id}"
        for tenant in (one, two):
            shown = await tenant.call("getMeetingInfo", {"meetingID": "room"})
            assert shown.text("metadata/endcallbackurl") == LMS

        assert await call(public, url.replace("began=", "began=1")) == 403
        for _ in range(2):  # a server that has not heard our answer tries again
            assert await call(public, url) == 200

        assert await until_queued(pool) == [f"{LMS}&recordingmarks=true&meetingID=room"]
        (found,) = await queued(pool)
        assert (found.callback.meeting_id, found.callback.tenant_id) == ("room", two.id)


# --- analytics ------------------------------------------------------------------------------------


ANALYTICS = "meta_analytics-callback-url"
LMS_EVENTS = "https://lms.example.org/events"
TARGET = "/bigbluebutton/api/analytics_callback"


async def post(public: Public, token: str, body: bytes, *headers: str) -> int:
    """Post analytics and return the status."""
    given = [f"Authorization: Bearer {token}", "Content-Type: application/json", *headers]
    return (await public.ask("POST", TARGET, headers=given, body=body)).status


async def test_analytics_come_from_the_server_and_go_on_to_the_front_end(
    both: tuple[Public, LivePool],
) -> None:
    public, pool = both
    await create(public, meetingKeepEvents="true", **{ANALYTICS: LMS_EVENTS})
    bbb = pool.servers[0]
    bbb.end_meeting("room")
    await until(lambda: len(bbb.callbacks()) == 2, WITHIN_S, "two calls")

    assert [one["status"] for one in bbb.callbacks()] == [200, 200]
    await pool.settled()
    (found,) = await queued(pool)
    assert found.callback.url == LMS_EVENTS
    document = json.loads(found.callback.body)
    assert document["customer"] == "scalelite"
    assert document["meeting_id"] == "room"
    assert set(document) == {
        *("version", "meeting_id", "internal_meeting_id", "data", "customer"),
    }


async def test_removed_server_may_still_report(both: tuple[Public, LivePool]) -> None:
    """Its analytics are accepted, and so is the end of a meeting, even if it is known by then."""
    public, pool = both
    await create(public, meetingKeepEvents="true", meetingEndedURL=LMS, **{ANALYTICS: LMS_EVENTS})
    bbb = pool.servers[0]
    await remove_server(pool.res.servers, "me", bbb.server_id, force=True)
    bbb.end_meeting("room")
    await until(lambda: len(bbb.callbacks()) == 2, WITHIN_S, "two calls")
    assert [one["status"] for one in bbb.callbacks()] == [200, 200]
    await pool.settled()
    await notify_ended(pool.res.callbacks)
    called = {one.callback.url.partition("&")[0] for one in await queued(pool)}
    assert called == {LMS, LMS_EVENTS}

    await forget_retired(pool.res.servers, "me", bbb.server_id)
    assert await post(public, bearer_token(bbb.secret), b'{"meeting_id":"room"}') == 401
    assert public.log.named("analytics_refused")


async def test_analytics_without_a_good_token_are_not_taken(
    both: tuple[Public, LivePool],
) -> None:
    public, pool = both
    await create(public, **{ANALYTICS: LMS_EVENTS})
    secret, body = pool.servers[0].secret, b'{"meeting_id":"room"}'
    tokens = [
        "",
        "x.y.z",
        bearer_token("another secret of forty letters and so"),
        bearer_token(secret, algorithm="HS256"),
        bearer_token(secret, exp=time.time() - 3600),
    ]
    assert [await post(public, token, body) for token in tokens] == [401] * len(tokens)
    assert (await public.ask("POST", TARGET, body=body)).status == 401
    assert await queued(pool) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[]", 400), (b"meeting_id=room", 400), (b'{"meeting_id":"other"}', 200)],
)
async def test_analytics_of_nothing_that_we_know_go_nowhere(
    both: tuple[Public, LivePool], body: bytes, status: int
) -> None:
    public, pool = both
    await create(public, **{ANALYTICS: LMS_EVENTS})
    assert await post(public, bearer_token(pool.servers[0].secret), body) == status
    assert await queued(pool) == []


async def test_analytics_that_are_too_large_are_not_read(both: tuple[Public, LivePool]) -> None:
    public, pool = both
    head = f"Authorization: Bearer {bearer_token(pool.servers[0].secret)}"
    length = f"Content-Length: {MAX_BODY_BYTES + 1}"
    answer = await public.ask("POST", TARGET, headers=[head, length])
    assert answer.status == 413


async def test_analytics_of_a_tenant_go_to_its_front_end(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs[:1], MULTITENANCY_ENABLED="true") as (
        public,
        pool,
    ):
        await pool.redis("SADD", "tenants", "t-1")
        await pool.redis("HSET", "tenant:t-1", "name", "school", "secrets", SECRET)
        await pool.redis("HSET", "tenant_name:school", "id", "t-1")
        params = {"meetingID": "room", ANALYTICS: LMS_EVENTS}
        created = await public.call("create", params, host="school.example.org")
        assert created.returncode == "SUCCESS"
        token, body = bearer_token(bbbs[0].secret), b'{"meeting_id":"room"}'
        head = [f"Authorization: Bearer {token}"]
        for host in ("other.example.org", "school.example.org"):
            answer = await public.ask("POST", TARGET, host=host, headers=head, body=body)
            assert answer.status == 200
        await pool.settled()
        (found,) = await queued(pool)
        assert json.loads(found.callback.body) == {"meeting_id": "room", "customer": "school"}
        assert found.callback.tenant_id == "t-1"
