"""The admin calls over the real control socket: paths, status codes, errors, limits."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import trio
import trio.testing

from appliance.bbb.signed_request import Caller
from appliance.ctl.client import ControlError, Refusal
from appliance.features import Features
from appliance.meetings.create import create_meeting
from tests.doubles.bbb_process import open_bbb_servers
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import EventBook, open_features
from tests.doubles.redis_processes import redis_process

URL = "https://bbb1.example.com/bigbluebutton/api"


async def raw(
    control: ControlDouble, head: str, body: bytes = b"", announced: int | None = None
) -> tuple[int, dict[str, Any]]:
    """Send one request and return the status and the JSON of the answer.

    `announced`: the length of the body in the header, if it is not the true one.
    """
    length = len(body) if announced is None else announced
    async with await trio.open_unix_socket(str(control.path)) as stream:
        request = f"{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        await stream.send_all(f"{request}Content-Length: {length}\r\n\r\n".encode() + body)
        answer = b""
        while chunk := await stream.receive_some():
            answer += chunk
    top, _, content = answer.partition(b"\r\n\r\n")
    assert b"application/json" in top
    return int(top.split()[1]), json.loads(content)


def book_of(res: Features) -> EventBook:
    assert isinstance(res.log, EventBook)
    return res.log


async def test_calls_of_scalelite_have_its_codes_and_fields(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_features(redis_url, redis_namespace) as res,
        open_control(res) as control,
    ):
        prefix = "/scalelite/api"
        assert await raw(control, f"GET {prefix}/getServers") == (
            404,
            {"error": "No servers are configured"},
        )
        body = json.dumps({"server": {"url": URL, "secret": "s3cr3t"}}).encode()
        code, added = await raw(control, f"POST {prefix}/addServer", body)
        assert (code, added["state"], added["online"]) == (201, "disabled", "offline")
        code, shown = await raw(control, f"GET {prefix}/getServerInfo?id={added['id']}")
        assert (code, shown) == (200, added)
        change = {"id": added["id"], "server": {"state": "cordon", "load_multiplier": 3}}
        code, changed = await raw(
            control, f"POST {prefix}/updateServer", json.dumps(change).encode()
        )
        assert (code, changed["state"], changed["load_multiplier"]) == (200, "cordoned", "3.0")
        name = json.dumps({"id": added["id"]}).encode()
        code, answer = await raw(control, f"POST {prefix}/panicServer", name)
        assert (code, answer["state"], answer["meetings"]) == (200, "disabled", [])
        assert answer["success"].startswith(f"Server id={added['id']} has been disabled")
        assert await raw(control, f"POST {prefix}/deleteServer", name) == (
            200,
            {"success": f"Server id={added['id']} was destroyed"},
        )
        # Rails takes the fields at the top of the body, too.
        flat = json.dumps({"url": URL, "secret": "s"}).encode()
        assert (await raw(control, f"POST {prefix}/addServer", flat))[0] == 201


@pytest.mark.parametrize(
    ("head", "body", "code", "error"),
    [
        ("GET /scalelite/api/getServerInfo?id=x", b"", 404, "Couldn't find server with id=x"),
        (
            "GET /scalelite/api/getServerInfo",
            b"",
            404,
            "Couldn't find server with id= (id is missing)",
        ),
        ("GET /scalelite/api/getMeetingInfo", b"", 400, "id is missing"),
        ("GET /scalelite/api/noSuchCall", b"", 404, "no such call"),
        ("GET /", b"", 404, "no such call"),
        ("GET /scalelite/api/addServer", b"", 405, "this call has another method"),
        ("POST /scalelite/api/addServer", b"{", 400, "the body is not valid JSON"),
        ("POST /scalelite/api/addServer", b"{}", 400, "Server needs a URL and a secret"),
        (
            "POST /scalelite/api/addServer",
            b'{"url": "not a url", "secret": "s"}',
            400,
            "the url must be plain ASCII text without blanks",
        ),
        ("POST /scalelite/api/updateServer", b'{"id": "x"}', 404, "Couldn't find server with id=x"),
        (
            "POST /scalelite/api/updateServer",
            b'{"id": "x", "server": {"state": "off"}}',
            404,
            "Couldn't find server with id=x",
        ),
        ("POST /scalelite/api/deleteServer", b'{"id": "x"}', 404, "Couldn't find server with id=x"),
        ("POST /scalelite/api/panicServer", b'{"id": "x"}', 404, "Couldn't find server with id=x"),
        ("POST /scalelite/api/poll", b'{"what": "x"}', 400, "what must be"),
        ("POST /scalelite/api/endMeetings", b"{}", 400, "no meeting ids were given"),
        ("GET /scalelite/api/getMeetingInfo?id=m", b"", 404, "no meeting with id m"),
    ],
)
async def test_bad_request_gets_its_code_and_reason(
    head: str, body: bytes, code: int, error: str, redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_features(redis_url, redis_namespace) as res,
        open_control(res) as control,
    ):
        status, document = await raw(control, head, body)

        assert status == code
        assert document["error"].startswith(error)
        assert not book_of(res).errors


async def test_body_of_more_than_a_mebibyte_is_refused_before_it_is_sent(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_features(redis_url, redis_namespace) as res,
        open_control(res) as control,
    ):
        status, document = await raw(
            control, "POST /scalelite/api/addServer", announced=1024 * 1024 + 1
        )

        assert (status, document) == (413, {"error": "The body of the request is too large."})


async def test_duplicate_id_is_refused_with_400(redis_url: str, redis_namespace: str) -> None:
    async with (
        open_features(redis_url, redis_namespace) as res,
        open_control(res) as control,
    ):
        fields = {"server": {"url": URL, "secret": "s", "id": "one"}}
        await control.post("addServer", fields)

        with pytest.raises(Refusal, match="exists already") as refused:
            await control.post("addServer", fields)

        assert refused.value.status == 400


async def test_change_is_logged_with_who_made_it(redis_url: str, redis_namespace: str) -> None:
    async with (
        open_features(redis_url, redis_namespace) as res,
        open_control(res) as control,
    ):
        await control.post("addServer", {"url": URL, "secret": "s3cr3t", "id": "one"})

        (event,) = book_of(res).named("server_added")
        assert event["by"].startswith(f"uid={os.getuid()}")
        assert "s3cr3t" not in str(book_of(res).events)


async def test_meetings_are_listed_shown_and_ended(redis_url: str, redis_namespace: str) -> None:
    async with (
        open_bbb_servers(1) as (bbb,),
        open_features(redis_url, redis_namespace) as res,
        open_control(res) as control,
    ):
        await control.post("addServer", {"url": bbb.url, "secret": bbb.secret, "id": "one"})
        enabled = await control.post("enableServer", {"id": "one"})
        assert (enabled["state"], enabled["status"]) == ("enabled", "online")
        bbb.create_meeting("not-ours")

        (server,) = await control.post("getServerMeetings", {"ids": ["one"]})
        assert [meeting["id"] for meeting in server["meetings"]] == ["not-ours"]
        (polled,) = await control.post("poll", {"what": "all"})
        assert (polled["succeeded"], polled["meetings"]) == (True, 1)
        status = await control.get("getStatus")
        assert status["meetings"] == 1
        assert await control.post("listMeetings", {"ids": ["m"]}) == {
            "meetings": [],
            "unknown": ["m"],
        }
        assert await control.post("endMeetings", {"all": True}) == {"meetings": [], "unknown": []}
        with pytest.raises(Refusal, match="is in use") as refused:
            await control.post("disableServer", {"id": "one"})
        assert (refused.value.status, refused.value.kind) == (409, "confirmation_needed")
        disabled = await control.post("disableServer", {"id": "one", "confirmed": True})
        assert (disabled["state"], disabled["ended"]) == ("disabled", [])


async def test_update_to_disabled_leaves_the_meetings(redis_url: str, redis_namespace: str) -> None:
    async with (
        open_bbb_servers(1) as (bbb,),
        open_features(redis_url, redis_namespace) as res,
        open_control(res) as control,
    ):
        await control.post("addServer", {"url": bbb.url, "secret": bbb.secret, "id": "one"})
        await control.post("enableServer", {"id": "one"})
        await create_meeting(res.meetings, Caller(), (("meetingID", "m1"),))

        fields = {"id": "one", "server": {"state": "disable"}}
        assert (await control.post("updateServer", fields))["state"] == "disabled"

        assert bbb.requests("end") == []
        listed = await control.post("listMeetings", {"ids": ["m1"]})
        assert [meeting["id"] for meeting in listed["meetings"]] == ["m1"]
        disabled = await control.post("disableServer", {"id": "one", "confirmed": True})
        assert [meeting["id"] for meeting in disabled["ended"]] == ["m1"]
        assert bbb.meetings() == {}


async def test_store_that_is_down_is_said_and_comes_back(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with (
            open_features(redis.unix_url, redis_namespace) as res,
            open_control(res) as control,
        ):
            redis.kill()
            for call in (control.get("getStatus"), control.post("poll", {"what": "all"})):
                with pytest.raises(Refusal, match="The meeting store is not reachable") as refused:
                    await call
                assert refused.value.status == 503
            assert not book_of(res).errors

            redis.start()
            with trio.fail_after(40):
                while True:
                    try:
                        await control.get("getStatus")
                        break
                    except ControlError:
                        await trio.sleep(0.05)


async def test_client_that_leaves_while_its_body_is_read_is_no_error(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_features(redis_url, redis_namespace) as res,
        open_control(res) as control,
    ):
        async with await trio.open_unix_socket(str(control.path)) as stream:
            head = "POST /scalelite/api/addServer HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
            await stream.send_all(head.encode() + b"{")
            await trio.testing.wait_all_tasks_blocked()

        assert await control.get("getStatus")
        assert not book_of(res).errors
