"""Analytics of meetings, from a server's post to the queue and to the files."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import trio

from appliance.admin_calls.refusal import Refused
from appliance.bbb.signed_request import Caller
from appliance.callbacks import analytics
from appliance.callbacks.analytics import (
    ReportOutcome,
    accept_report,
    find_reporter,
    prune_reports_forever,
)
from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.callbacks.analytics_rules import BadReport
from appliance.callbacks.attributes_yaml import KeptUrls
from appliance.callbacks.rules import Callback, CallbackKind, Signing, id_of_secret
from appliance.faults import DatabaseDown
from appliance.meetings.create import create_meeting
from appliance.model import Tenant, TenantId
from tests.doubles.bbb_callbacks import bearer_token
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import open_features, rewire
from tests.doubles.live_pool import LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

LMS = "https://lms.example.org/events?course=7"
PARAM = "meta_analytics-callback-url"
CALLER = Caller(base_url="http://127.0.0.1:9")
A, B = (Tenant(TenantId(f"t-{name}"), name, ("s",)) for name in "ab")
RUN = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"


@asynccontextmanager
async def open_one(
    redis_url: str, namespace: str, bbbs: list[BbbProcess], **variables: Any
) -> AsyncIterator[LivePool]:
    async with open_live(redis_url, namespace, bbbs[:1], **variables) as opened:
        yield opened


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool without tenants that keeps no reports."""
    async with open_one(redis_url, redis_namespace, bbbs) as opened:
        yield opened


async def create(pool: LivePool, caller: Caller = CALLER, url: str | None = LMS) -> str | None:
    """Create a meeting; return the URL that its server got."""
    asked = () if url is None else ((PARAM, url),)
    given = (("meetingID", "math"), *asked)
    assert b"SUCCESS" in await create_meeting(pool.res.meetings, caller, given, secret="s")
    await pool.settled()
    query: str = pool.servers[0].requests("create")[-1]["query"]
    return dict(parse_qsl(query)).get(PARAM)


def report(meeting_id: str = "math", **fields: Any) -> bytes:
    return json.dumps({"meeting_id": meeting_id, "internal_meeting_id": RUN, **fields}).encode()


async def queued(pool: LivePool) -> list[Callback]:
    queue: Any = pool.res.callbacks.queue
    return [one.callback for one in await queue.stores[0].show(None, 10)]


@pytest.mark.parametrize(
    ("variables", "caller", "base"),
    [
        ({}, CALLER, "http://127.0.0.1:9"),
        ({"URL_HOST": "bbb.example.org"}, CALLER, "https://bbb.example.org"),
        ({"URL_HOST": "bbb.example.org"}, Caller(A, "http://x"), "https://a.bbb.example.org"),
        (
            {"URL_HOST": "bbb.example.org", "BASE_URL": "schools.example.org"},
            Caller(A, "http://x"),
            "https://a.schools.example.org",
        ),
        ({}, Caller(A, "http://a.example.org"), "http://a.example.org"),
    ],
)
async def test_server_gets_a_url_of_ours_where_the_front_end_gave_one(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    variables: dict[str, Any],
    caller: Caller,
    base: str,
) -> None:
    if caller.tenant:
        variables = {**variables, "MULTITENANCY_ENABLED": "true"}
    async with open_one(redis_url, redis_namespace, bbbs, **variables) as pool:
        url = await create(pool, caller)
        assert url == f"{base}/bigbluebutton/api/analytics_callback"


@pytest.mark.parametrize("given", [None, "", "ftp://lms.example.org/"])
async def test_server_gets_none_where_nobody_wants_to_know(
    pool: LivePool, given: str | None
) -> None:
    assert await create(pool, url=given) is None


async def test_server_gets_ours_where_reports_are_kept(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_one(redis_url, redis_namespace, bbbs, ANALYTICS_STORE="true") as pool:
        url = await create(pool, url=None)
        assert url == "http://127.0.0.1:9/bigbluebutton/api/analytics_callback"


async def test_report_is_queued_for_the_front_end_that_asked(pool: LivePool) -> None:
    await create(pool)
    body = report(data={"duration": 1.10})
    assert await accept_report(pool.res.callbacks, None, body) is ReportOutcome.QUEUED
    (callback,) = await queued(pool)
    assert (callback.kind, callback.url, callback.method) == (CallbackKind.ANALYTICS, LMS, "POST")
    assert callback.body == body[:-1] + b',"customer":"scalelite"}'
    assert (callback.content_type, callback.signing) == ("application/json", Signing.BEARER)
    assert (callback.meeting_id, callback.secret_id) == ("math", id_of_secret("s"))


async def test_report_that_comes_twice_is_queued_once(pool: LivePool) -> None:
    await create(pool)
    for _ in range(2):
        assert await accept_report(pool.res.callbacks, None, report()) is ReportOutcome.QUEUED
    assert await accept_report(pool.res.callbacks, None, report(data={})) is ReportOutcome.QUEUED
    assert len(await queued(pool)) == 2


async def test_report_of_a_meeting_that_nobody_asked_about_goes_nowhere(pool: LivePool) -> None:
    await create(pool)
    assert (
        await accept_report(pool.res.callbacks, None, report("other"))
        is ReportOutcome.NOT_REQUESTED
    )
    assert await queued(pool) == []


async def test_large_report_is_taken(pool: LivePool) -> None:
    await create(pool)
    body = report(data=["x" * 1000] * 1000)
    assert await accept_report(pool.res.callbacks, None, body) is ReportOutcome.QUEUED
    assert len((await queued(pool))[0].body) == len(body) + len(b',"customer":"scalelite"')


async def test_bad_report_is_refused(pool: LivePool) -> None:
    with pytest.raises(BadReport):
        await accept_report(pool.res.callbacks, None, b"[]")


async def test_reports_of_two_tenants_go_to_each_ones_front_end(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_one(redis_url, redis_namespace, bbbs, MULTITENANCY_ENABLED="true") as pool:
        for tenant in (A, B):
            await create(pool, Caller(tenant, "http://x"), f"{LMS}&{tenant.name}")
        assert await accept_report(pool.res.callbacks, A, report("math")) is ReportOutcome.QUEUED
        metadata = {"meeting_id": "math~t-b", "secret_lrs_payload": "c2VjcmV0", "x": "y"}
        scoped = report("math~t-b", data={"metadata": metadata})
        assert await accept_report(pool.res.callbacks, B, scoped) is ReportOutcome.QUEUED
        # To the host of no tenant.
        assert (
            await accept_report(pool.res.callbacks, None, report("math~t-b"))
            is ReportOutcome.NOT_REQUESTED
        )
        found = {one.url: (json.loads(one.body), one.tenant_id) for one in await queued(pool)}
        for tenant in (A, B):
            body, tenant_id = found[f"{LMS}&{tenant.name}"]
            assert (body["meeting_id"], body["customer"]) == ("math", tenant.name)
            assert tenant_id == tenant.id
            assert "tenant_id" not in body
        seen, _ = found[f"{LMS}&{B.name}"]
        assert seen["data"] == {"metadata": {"meeting_id": "math", "x": "y"}}


async def test_reporter_is_a_server_of_the_pool(pool: LivePool) -> None:
    good = f"Bearer {bearer_token(pool.servers[0].secret)}"
    assert await find_reporter(pool.res.callbacks, good) == "bbb-1"
    for bad in (None, "", "Bearer x", f"Bearer {bearer_token('x' * 40)}"):
        assert await find_reporter(pool.res.callbacks, bad) is None


class Away:
    """The URLs, whose database is away."""

    async def find(self, meeting_id: str, tenant_id: TenantId | None) -> KeptUrls | None:
        raise DatabaseDown("away")


async def test_report_waits_in_the_queue_for_a_database_that_is_away(pool: LivePool) -> None:
    await create(pool)
    urls: Any = Away()
    assert (
        await accept_report(rewire(pool.res, callbacks__urls=urls).callbacks, None, report())
        is ReportOutcome.QUEUED
    )
    (waiting,) = await queued(pool)
    assert (waiting.url, waiting.meeting_id) == ("", "math")
    assert json.loads(waiting.body) == json.loads(report()) | {"customer": "scalelite"}


# --- kept reports ---------------------------------------------------------------------------------


async def test_report_is_kept_whoever_waits_for_it(pool: LivePool, tmp_path: Path) -> None:
    res = rewire(pool.res, callbacks__analytics_files=AnalyticsFiles(tmp_path))
    assert await accept_report(res.callbacks, None, report()) is ReportOutcome.NOT_REQUESTED
    (stored,) = await analytics.list_reports(res.callbacks, 10)
    assert (stored.id, stored.meeting_id, stored.customer) == (RUN, "math", "scalelite")
    document: Any = await analytics.show_report(res.callbacks, RUN)
    assert document == json.loads(report()) | {"customer": "scalelite"}


async def test_report_goes_on_although_it_cannot_be_kept(pool: LivePool, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    await create(pool)
    files = AnalyticsFiles(tmp_path / "file")
    res = rewire(pool.res, callbacks__analytics_files=files)
    assert await accept_report(res.callbacks, None, report()) is ReportOutcome.QUEUED
    assert [name for name, _ in pool.log.errors] == ["analytics_not_stored"]
    pool.log.events.clear()


@pytest.mark.parametrize("name", ["other", "", "../secret_key_base", "a/b"])
async def test_report_that_is_not_there_is_not_found(
    pool: LivePool, tmp_path: Path, name: str
) -> None:
    res = rewire(pool.res, callbacks__analytics_files=AnalyticsFiles(tmp_path))
    (tmp_path / "secret_key_base.json").write_bytes(b"{}")
    with pytest.raises(Refused, match="no analytics are kept for"):
        await analytics.show_report(res.callbacks, name)


async def test_file_that_somebody_broke_is_listed_all_the_same(
    pool: LivePool, tmp_path: Path
) -> None:
    files = AnalyticsFiles(tmp_path)
    files.save("broken", b"{")
    (stored,) = await analytics.list_reports(
        rewire(pool.res, callbacks__analytics_files=files).callbacks, 10
    )
    assert (stored.id, stored.meeting_id) == ("broken", "")


async def test_without_keeping_it_is_said_how_to_switch_it_on(pool: LivePool) -> None:
    with pytest.raises(Refused, match="ANALYTICS_STORE=true"):
        await analytics.list_reports(pool.res.callbacks, 10)


async def test_reports_are_pruned_at_the_start(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    files = AnalyticsFiles(tmp_path)
    files.save("old", b"{}")
    os.utime(files.directory / "old.json", (1_000, 1_000))
    files.save("new", b"{}")
    async with (
        open_features(redis_url, redis_namespace, ANALYTICS_RETENTION_DAYS="30") as res,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(prune_reports_forever, res.callbacks, files)
        while len(files.names(10)) > 1:
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()

    assert [name for name, _, _ in files.names(10)] == ["new"]
