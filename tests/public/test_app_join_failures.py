"""A failed join, as a browser and as an API client get it over HTTP."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from appliance.model import ServerId, ServerState
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import open_live
from tests.doubles.public import API, Public, open_public, serve_public
from tests.doubles.settings import SECRET
from tests.doubles.signing import sign_url

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

BROWSER = ("Accept: text/html,*/*;q=0.8", "Accept-Language: de-AT,de;q=0.9")
JOIN = {"meetingID": "room", "fullName": "Ann", "role": "VIEWER"}


async def join(public: Public, *headers: str, **params: str) -> tuple[int, dict[str, str], str]:
    target = sign_url(API, "join", {**JOIN, **params}, SECRET)
    answer = await public.ask("GET", target, headers=list(headers))
    return answer.status, answer.headers, answer.body.decode()


async def test_browser_gets_a_page_that_waits_in_its_language(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        status, headers, page = await join(public, *BROWSER)

    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["cache-control"] == "no-store"
    assert '<html lang="de">' in page
    assert "Das Meeting hat noch nicht begonnen" in page
    assert '<meta http-equiv="refresh" content="5">' in page


@pytest.mark.parametrize(
    ("headers", "params"), [((), {}), (BROWSER, {"redirect": "false"}), (("Accept: */*",), {})]
)
async def test_api_client_gets_xml(
    redis_url: str, redis_namespace: str, headers: tuple[str, ...], params: dict[str, str]
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        status, found, body = await join(
            public, *headers, **{"errorRedirectUrl": "https://lms/"} if params else {}, **params
        )

    assert (status, found["content-type"]) == (200, "text/xml; charset=utf-8")
    assert "<messageKey>notFound</messageKey>" in body


async def test_error_redirect_url_is_followed_for_every_client(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        status, headers, _ = await join(public, errorRedirectUrl="https://lms.example/e?a=1")

    assert status == 302
    query = parse_qs(urlsplit(headers["location"]).query)
    assert query["a"] == ["1"]
    assert json.loads(query["errors"][0])[0]["key"] == "notFound"


async def test_settings_of_joins_apply_to_those_that_fail(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(
        redis_url,
        redis_namespace,
        DEFAULT_JOIN_PARAMS="errorRedirectUrl=https://own.example/",
        JOIN_EXCLUDE_PARAMS="logoutURL",
        JOIN_PARAM_RULES="userID require",
    ) as public:
        _, headers, _ = await join(public)
        assert headers["location"].startswith("https://own.example/?errors=")
        assert "missingParameter" in headers["location"]
        _, headers, _ = await join(public, userID="7", errorRedirectUrl="https://lms.example/")
        assert headers["location"].startswith("https://lms.example/?errors=")
        status, _, body = await join(
            public, userID="7", errorRedirectUrl="", logoutURL="https://lms.example/"
        )
        assert (status, "<messageKey>notFound" in body) == (200, True)


async def test_url_of_a_request_with_a_wrong_checksum_is_not_trusted(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(API, "join", {**JOIN, "errorRedirectUrl": "https://evil/"}, "wrong")
        answer = await public.ask("GET", target, headers=list(BROWSER))

    assert answer.status == 200
    assert answer.key == "checksumError"


async def test_logout_url_of_the_create_is_used_when_the_server_is_disabled(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with (
        open_live(redis_url, redis_namespace, bbbs[:1]) as pool,
        serve_public(pool.res) as public,
    ):
        create = {"meetingID": "room", "logoutURL": "https://lms.example/end?m=%%MEETINGID%%"}
        assert (await public.call("create", create)).returncode == "SUCCESS"
        await pool.res.servers.store.set_server_state(ServerId("bbb-1"), ServerState.DISABLED)

        status, headers, _ = await join(public, *BROWSER)

    assert status == 302
    assert headers["location"].startswith("https://lms.example/end?m=&errors=")
    assert "serverUnavailable" in headers["location"]


async def test_logout_url_of_the_create_outlives_an_outage_of_the_server(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with (
        open_live(redis_url, redis_namespace, bbbs[:1]) as pool,
        serve_public(pool.res) as public,
    ):
        create = {"meetingID": "room", "logoutURL": "https://lms.example/end"}
        assert (await public.call("create", create)).returncode == "SUCCESS"

        await pool.lose("bbb-1")
        _, offline, _ = await join(public, *BROWSER)
        await pool.poll("bbb-1")
        assert await pool.home() == "bbb-1"
        await pool.set_state("bbb-1", ServerState.DISABLED)
        _, disabled, _ = await join(public, *BROWSER)

    assert offline["location"].startswith("https://lms.example/end?errors=")
    assert "notFound" in offline["location"]
    assert disabled["location"].startswith("https://lms.example/end?errors=")


async def test_browser_that_meets_a_full_meeting_gets_a_page_in_its_language(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with (
        open_live(redis_url, redis_namespace, bbbs[:1]) as pool,
        serve_public(pool.res) as public,
    ):
        await pool.create()
        limits = pool.res.tenants.limits
        await limits.change(None, {"max_users_per_meeting": "0"})
        status, headers, page = await join(public, *BROWSER)
        await limits.change(None, {"max_users_per_meeting": "", "max_users": "0"})
        _, _, of_all = await join(public, *BROWSER)
        xml = await join(public)

    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert '<html lang="de">' in page
    assert "Dieses Meeting ist voll" in page
    assert "Dieses Meeting ist voll" not in of_all
    assert "Die höchste Zahl an Personen ist erreicht" in of_all
    assert "http-equiv" not in page
    assert (xml[0], "<messageKey>userLimitReached</messageKey>" in xml[2]) == (200, True)
