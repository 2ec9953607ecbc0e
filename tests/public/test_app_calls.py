"""The calls over the wire: methods, bodies, answers, tenants; against simulated BBB servers."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio

from appliance.model import ServerState
from appliance.servers.poller import Poller
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.public import (
    API,
    FORM_TYPE,
    HOST,
    XML_TYPE,
    Answer,
    open_public,
)
from tests.doubles.public_pool import open_both
from tests.doubles.settings import SECRET
from tests.doubles.signing import checksum, sign_form, sign_url

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "X")

# --- what is routed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        ("", {"GET", "POST", "HEAD"}),
        ("create", {"GET", "POST"}),
        ("join", {"GET", "HEAD"}),
        ("isMeetingRunning", {"GET", "POST"}),
        ("getMeetingInfo", {"GET", "POST"}),
        ("getMeetings", {"GET", "POST"}),
        ("end", {"GET", "POST"}),
        ("insertDocument", {"POST"}),
        ("sendChatMessage", {"GET", "POST"}),
    ],
)
async def test_call_takes_its_methods_only(
    call: str, allowed: set[str], redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        taken = set()
        for method in METHODS:
            answer = await public.ask(method, sign_url(API, call, "meetingID=abc", SECRET))
            if method == "CONNECT":  # a 200 would open a tunnel
                assert (answer.status, answer.key) == (404, "unsupportedRequest")
            elif method == "HEAD":  # its answer has no body that would say more
                taken |= {"HEAD"} & allowed
                assert answer.status == 200
            elif answer.key != "unsupportedRequest":
                taken.add(method)
            else:
                assert answer.status == 200
                assert answer.text("message") == "This request is not supported."

        assert taken == allowed
        assert not public.log.errors


@pytest.mark.parametrize(
    "call",
    [
        "Create",
        "CREATE",
        "ismeetingrunning",
        "create/x",
        "../api/create",
        "getjoinurl",
        "noSuchCall",
        "hooks/Create",
        "create%00",
        "\\create",
    ],
)
async def test_other_spelling_of_a_call_is_unsupported(
    call: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.call(call, "meetingID=abc")

    assert (answer.status, answer.key) == (200, "unsupportedRequest")


async def test_escaped_path_is_the_same_call(redis_url: str, redis_namespace: str) -> None:
    signed = checksum("isMeetingRunning", "meetingID=abc", SECRET)
    async with open_public(redis_url, redis_namespace) as public:
        target = f"{API}/is%4DeetingRunning?meetingID=abc&checksum={signed}"

        assert (await public.ask("GET", target)).text("running") == "false"


@pytest.mark.parametrize(
    "path",
    [API, f"{API}/", f"{API}?x=1", f"{API}/?checksum=x", "/bigbluebutton", "/bigbluebutton/"],
)
@pytest.mark.parametrize("build", ["", "v1.2"])
async def test_index_tells_version_and_build(
    path: str, build: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace, BUILD_NUMBER=build) as public:
        for method in ("GET", "POST"):
            answer = await public.ask(method, path)

            assert answer.returncode == "SUCCESS"
            assert answer.text("version") == "2.0"
            assert answer.text("apiVersion") == "2.0"
            assert answer.text("build") == (build or None)
            assert answer.text("bbbVersion") is None  # no server


async def test_index_tells_the_version_that_all_enabled_servers_have(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async def until(version: str | None) -> None:
        with trio.fail_after(40):
            while (await public.ask("GET", API)).text("bbbVersion") != version:
                await trio.sleep(0.02)

    async with (
        open_both(redis_url, redis_namespace, bbbs) as (public, pool),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(Poller().run, pool.res.servers)
        await until("3.0.10")
        await pool.redis("HSET", "server:bbb-2", "bbb_version", "2.7.<3>")
        await until(None)
        for name in ("bbb-1", "bbb-3"):
            await pool.set_state(name, ServerState.CORDONED)
        await until("2.7.<3>")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "target",
    [
        API,
        f"{API}/noSuchCall",
        f"{API}/create",
        f"{API}/getJoinUrl?sessionToken=x",
        *(
            sign_url(API, call, "meetingID=abc&recordID=abc", SECRET)
            for call in (
                *("isMeetingRunning", "getMeetingInfo", "getMeetings", "getSessions", "create"),
                *("end", "sendChatMessage", "hooks/list", "getRecordings", "deleteRecordings"),
                "getRecordingTextTracks",
            )
        ),
    ],
)
async def test_no_answer_may_be_cached(target: str, redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.ask("GET", target)

    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("call", "key"),
    [
        ("getJoinUrl", None),
        ("learningDashboard", None),
        ("feedback", None),
        ("guestWait", "missingSession"),
        ("enter", "missingSession"),
    ],
)
async def test_call_with_a_session_token_is_refused_in_json(
    method: str, call: str, key: str | None, redis_url: str, redis_namespace: str
) -> None:
    named: dict[str, Any] = {"PASSTHROUGH_CALLS": f"sendChatMessage,getSessions,{call}"}
    async with open_public(redis_url, redis_namespace, **named) as public:
        answer = await public.ask(method, f"{API}/{call}?sessionToken=abc", body=b"")

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    refusal = json.loads(answer.body)
    assert list(refusal) == ["response"]
    assert refusal["response"].pop("message")
    assert refusal["response"] == {"returncode": "FAILED", **({"messageKey": key} if key else {})}


async def test_sessions_need_a_checksum(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        assert (await public.ask("GET", f"{API}/getSessions")).key == "checksumError"
        for answer in (await public.call("getSessions"), await public.post_form("getSessions", "")):
            assert (answer.returncode, answer.key) == ("SUCCESS", "noSessions")
            assert b"<sessions/>" in answer.body


async def test_call_with_a_wrong_checksum_leaves_a_trace(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(
        redis_url, redis_namespace, LOADBALANCER_CHECKSUM_ALGORITHM="SHA256"
    ) as public:
        await public.call("create", "meetingID=abc", secret="other")
        await public.call("getRecordingTextTracks", "recordID=abc", secret="other")
        await public.post_form("create", "meetingID=abc", secret="other")
        await public.ask("GET", f"{API}/create?meetingID=abc")
        await public.ask("GET", sign_url(API, "create", "meetingID=abc", SECRET, "SHA1"))
        await public.call("isMeetingRunning", "meetingID=abc")

        assert public.res.metrics.checksum_errors.values == {
            ("wrong",): 3,
            ("missing",): 1,
            ("algorithm",): 1,
            ("tenant",): 0,
        }
        assert public.res.checksum_errors.last_hour() == [("127.0.0.1", 4)]
        (line,) = public.log.named("checksum_wrong")
        assert (line["client"], line["call"], line["host"]) == ("127.0.0.1", "create", HOST)
        assert (line["reason"], line["algorithm"]) == ("wrong", "SHA256")


# --- join -----------------------------------------------------------------------------------------


async def test_join_redirects_to_a_url_that_is_signed_for_the_server(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        await pool.create()
        params = {"meetingID": "room", "fullName": "Ä B&c", "role": "VIEWER", "x[]": "1"}

        answer = await public.call("join", params)

        bbb = pool.bbb(await pool.home())
        location = urlsplit(answer.headers["location"])
        query, _, given = location.query.rpartition("&checksum=")
        assert answer.status == 302
        assert answer.headers["cache-control"] == "no-store"
        assert f"{location.scheme}://{location.netloc}{location.path}" == f"{bbb.url}/join"
        assert dict(parse_qsl(query, keep_blank_values=True)) == params
        assert given == checksum("join", query, bbb.secret)
        assert answer.body == b""


async def test_join_without_redirect_is_redirected_too(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        await pool.create()
        answer = await public.call(
            "join", {"meetingID": "room", "fullName": "A", "redirect": "false"}
        )

        assert answer.status == 302
        assert "redirect=false" in answer.headers["location"]


async def test_join_takes_the_last_value_of_a_parameter(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        await pool.create()

        answer = await public.call("join", "meetingID=room&fullName=A&fullName=B&x=1")

        query = urlsplit(answer.headers["location"]).query.rpartition("&checksum=")[0]
        assert query == "meetingID=room&fullName=B&x=1"


async def test_head_of_join_answers_as_get(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        await pool.create()
        target = sign_url(API, "join", {"meetingID": "room", "fullName": "A"}, SECRET)

        get, head = await public.ask("GET", target), await public.ask("HEAD", target)

        assert head.status == 302
        assert head.headers["location"] == get.headers["location"]


@pytest.mark.parametrize("headers", [[FORM_TYPE], [XML_TYPE], []])
async def test_join_never_reads_a_body(
    headers: list[str], redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        await pool.create()
        target = sign_url(API, "join", {"meetingID": "room", "fullName": "A"}, SECRET)
        extra = b"role=MODERATOR&password=mp"

        added = await public.ask("GET", target, headers=headers, body=extra)
        empty = f"{API}/join?checksum={checksum('join', '', SECRET)}"
        only = await public.ask(
            "GET", empty, headers=headers, body=sign_form("join", "meetingID=room", SECRET).encode()
        )
        posted = await public.ask("POST", target, headers=headers, body=extra)

        assert added.status == 302
        assert "MODERATOR" not in added.headers["location"]
        assert "password" not in added.headers["location"]
        assert only.key == "missingParamMeetingID"
        assert posted.key == "unsupportedRequest"


async def test_join_of_an_unknown_meeting_is_not_found(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        assert (await public.call("join", "meetingID=abc&fullName=A")).key == "notFound"
        assert (await public.call("join", "meetingID=&fullName=A")).key == "missingParamMeetingID"


async def test_join_to_a_lost_server_is_unavailable(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        await pool.create()
        await pool.set_state(await pool.home() or "", ServerState.DISABLED)

        answer = await public.call("join", "meetingID=room&fullName=A")

        assert (answer.status, answer.key) == (200, "serverUnavailable")


# --- pass-through ---------------------------------------------------------------------------------


async def test_chat_message_reaches_the_meetings_server(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        await pool.create()
        params = {"meetingID": "room", "message": "Hällo & so"}

        answers = [
            await public.call("sendChatMessage", params),
            await public.post_form("sendChatMessage", params),
        ]
        unknown = await public.call("sendChatMessage", params | {"meetingID": "other"})
        refused = await public.call("sendChatMessage", "meetingID=room")

        assert [answer.returncode for answer in answers] == ["SUCCESS", "SUCCESS"]
        assert pool.bbb(await pool.home()).meetings()["room"]["chat"] == [params["message"]] * 2
        assert unknown.key == "notFound"
        # The server's own word, unchanged.
        assert refused.key == "validationError"
        assert refused.text("message") == "You must provide the param message"


async def test_calls_that_are_passed_through_are_those_of_the_setting(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(
        redis_url, redis_namespace, bbbs, PASSTHROUGH_CALLS="newCall,other/call,create"
    ) as (public, pool):
        await pool.create()

        await public.call("newCall", "meetingID=room&a=1")
        await public.call("other/call", "meetingID=room")
        chat = await public.call("sendChatMessage", "meetingID=room&message=x")
        missing = await public.call("newCall", "a=1")
        created = await public.call("create", "meetingID=second")

        bbb = pool.bbb(await pool.home())
        (passed,) = bbb.requests("newCall")
        assert passed["query"].startswith("meetingID=room&a=1&checksum=")
        assert len(bbb.requests("other/call")) == 1
        assert chat.key == "unsupportedRequest"
        assert missing.key == "missingParamMeetingID"
        assert created.returncode == "SUCCESS"


async def test_query_in_unencoded_utf8_is_understood(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    """As curl sends what was typed. The checksum covers the bytes as they were sent."""
    room = "meetingID=Mathe-Ä"
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):

        async def ask(
            call: str, query: str, *headers: str, secret: str = SECRET, method: str = "GET"
        ) -> Answer:
            target = sign_url(API, call, query, secret).encode().decode("latin-1")
            return await public.ask(method, target, headers=headers)

        create = await ask("create", f"name=Größe&{room}", method="POST")
        assert create.returncode == "SUCCESS"
        info = await ask("getMeetingInfo", room)
        join = await ask("join", f"{room}&fullName=é&role=VIEWER")
        chat = await ask("sendChatMessage", f"{room}&message=Grüße")  # by Quart
        page = await ask("join", "meetingID=ä", "Accept: text/html")
        forged = await ask("isMeetingRunning", room, secret="wrong")

        bbb = pool.bbb(await pool.home("Mathe-Ä"))
        assert (info.text("meetingName"), info.text("meetingID")) == ("Größe", "Mathe-Ä")
        assert "meetingID=Mathe-%C3%84&" in join.headers["location"]
        assert chat.returncode == "SUCCESS"
        assert bbb.meetings()["Mathe-Ä"]["chat"] == ["Grüße"]
        assert page.headers["content-type"].startswith("text/html")
        assert forged.key == "checksumError"
