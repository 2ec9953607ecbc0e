"""The application as a whole, over the wire: hosts, long addresses, errors, and what is logged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from appliance.http.server.fast_path import MAX_HEAD_BYTES
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import open_live
from tests.doubles.public import (
    API,
    FORM_TYPE,
    HOST,
    open_public,
    read_answer,
    request,
    serve_public,
)
from tests.doubles.settings import SECRET
from tests.doubles.signing import checksum, sign_form, sign_url

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

PROBE = sign_url(API, "isMeetingRunning", "meetingID=abc", SECRET)

# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{API}/noSuchCall", 200),
        (f"{API}/create/more", 200),
        ("/bigbluebutton/apicreate", 404),
        ("/bigbluebutton/apis", 404),
        ("/index.html", 404),
        ("//index.html//", 404),
        (f"{API.upper()}/create", 404),
        (f"http://user@evil.example{API}/create", 404),
        ("*", 404),
    ],
)
async def test_unknown_path_is_unsupported_and_404_outside_of_the_api(
    path: str, status: int, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        for method in ("GET", "POST"):
            answer = await public.ask(method, path)

            assert (answer.status, answer.key) == (status, "unsupportedRequest")


async def test_whole_url_is_a_target(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(API, "isMeetingRunning", "meetingID=abc", SECRET)

        assert (await public.ask("GET", f"http://{HOST}{target}")).text("running") == "false"


async def test_head_has_the_headers_of_get(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        for path in (API, "/elsewhere", "/health_check"):
            get, head = await public.ask("GET", path), await public.ask("HEAD", path)

            assert head.status == get.status
            assert head.body == b""
            assert head.headers["content-length"] == str(len(get.body))
            assert head.headers["content-type"] == get.headers["content-type"]


# --- long addresses -------------------------------------------------------------------------------


def target_of(length: int) -> str:
    """Return a signed request target of so many bytes."""
    call = "isMeetingRunning"
    frame = f"{API}/{call}?meetingID=abc&x=&checksum={'0' * 64}"
    query = f"meetingID=abc&x={'a' * (length - len(frame))}"
    target = f"{API}/{call}?{query}&checksum={checksum(call, query, SECRET)}"
    assert len(target) == length
    return target


@pytest.mark.parametrize("length", [10_500, 32 * 1024, MAX_HEAD_BYTES - 100])
async def test_long_address_works(length: int, redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        assert (await public.ask("GET", target_of(length))).text("running") == "false"


@pytest.mark.parametrize("length", [MAX_HEAD_BYTES, 100_000, 200_000])
async def test_address_over_the_limit_is_refused(
    length: int, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.ask("GET", target_of(length))
        other = await public.ask("GET", f"/elsewhere?{'a' * length}")

    assert (answer.status, answer.key) == (431, "requestTooLarge")
    assert answer.headers["content-type"].startswith("text/xml")
    assert (other.status, other.body) == (431, b"")


async def send_for_ever(stream: trio.SocketStream, data: bytes) -> None:
    with trio.fail_after(40):
        while True:
            await stream.send_all(data)


async def test_address_without_end_is_cut_off_and_hurts_nobody(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        async with await public.connect() as stream:
            await stream.send_all(b"GET /")
            with pytest.raises(trio.BrokenResourceError):
                await send_for_ever(stream, b"a" * 100_000)

        assert (await public.ask("GET", PROBE)).text("running") == "false"
        assert not public.log.errors


# --- hosts ----------------------------------------------------------------------------------------


async def test_only_its_own_host_is_served(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace, URL_HOST="bbb.example") as public:
        for host in ("bbb.example", "BBB.example:3000"):
            assert (await public.ask("GET", PROBE, host=host)).status == 200
        for host in ("evil.example", "a.bbb.example", "127.0.0.1", ""):
            for path in (PROBE, API, "/elsewhere"):
                assert (await public.ask("GET", path, host=host)).status == 403
        no_host = await public.raw(f"GET {PROBE} HTTP/1.0\r\n\r\n".encode())
        assert no_host.status == 403


async def test_console_is_served_to_the_host_itself(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace, URL_HOST="bbb.example") as public:
        for host in ("127.0.0.1:3000", "localhost", "[::1]:3000"):
            assert (await public.ask("GET", "/scalelite/", host=host)).status != 403
            assert (await public.ask("GET", "/scalelite/api/ping", host=host)).status == 403
        assert (await public.ask("GET", "/scalelite/", host="evil.example")).status == 403


async def test_health_check_is_answered_for_any_host(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace, URL_HOST="bbb.example") as public:
        for path in ("/health_check", "/"):
            assert (await public.ask("GET", path, host="10.0.0.1:3000")).status == 200


@pytest.mark.parametrize(
    ("trusted", "statuses"),
    [("", (200, 403)), ("127.0.0.0/8", (200, 403)), ("192.0.2.0/24", (403, 200))],
)
async def test_forwarded_host_counts_if_the_peer_is_a_trusted_proxy(
    trusted: str, statuses: tuple[int, int], redis_url: str, redis_namespace: str
) -> None:
    async with open_public(
        redis_url, redis_namespace, URL_HOST="bbb.example", TRUSTED_PROXIES=trusted
    ) as public:
        ours, evil = "X-Forwarded-Host: bbb.example", "X-Forwarded-Host: evil.example"
        answers = [
            await public.ask("GET", PROBE, host="inner", headers=[evil, ours]),
            await public.ask("GET", PROBE, host="bbb.example", headers=[ours, evil]),
        ]

    assert tuple(answer.status for answer in answers) == statuses


@pytest.mark.parametrize(
    ("value", "echoed"),
    [
        ("abc-123", True),
        ("a" * 129, False),
        ("a b", False),
        ("", False),
        ("\xe9", False),
        ("<x>", False),
    ],
)
async def test_request_id_is_echoed_if_it_is_harmless(
    value: str, echoed: bool, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        for path in (PROBE, "/health_check", "/elsewhere"):
            answer = await public.ask("GET", path, headers=[f"X-Request-ID: {value}"])

            assert answer.headers.get("x-request-id") == (value if echoed else None)


async def test_no_header_can_be_injected(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        for value in ("a\rInjected: 1", "a\nInjected: 1", "a\0", "a%0d%0aInjected: 1"):
            answer = await public.ask("GET", PROBE, headers=[f"X-Request-ID: {value}"])

            assert "injected" not in answer.headers


# --- clients that go away -------------------------------------------------------------------------


async def until_gone(wait: Callable[[], Awaitable[object]]) -> None:
    with trio.fail_after(40):
        await wait()


async def test_client_that_leaves_during_its_form_is_no_error(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        form = sign_form("end", "meetingID=abc", SECRET).encode()
        for part in (form[:5], b""):
            async with await public.connect() as stream:
                head = request("POST", f"{API}/end", headers=[FORM_TYPE, "Content-Length: 999"])
                await stream.send_all(head + part)
        answer = await public.post_form("end", "meetingID=abc")

        assert answer.key == "notFound"
        assert not public.log.errors


async def test_create_goes_on_to_its_end_when_the_client_leaves(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with (
        open_live(redis_url, redis_namespace, bbbs) as pool,
        serve_public(pool.res) as public,
    ):
        bbbs[0].add_fault("delay", "create", seconds=0.5)
        async with await public.connect() as stream:
            await stream.send_all(request("GET", sign_url(API, "create", "meetingID=room", SECRET)))
            await bbbs[0].until_called("create")

        async def confirmed() -> None:
            while not ((meeting := await pool.meeting()) and meeting.confirmed):
                await trio.sleep(0.02)

        await until_gone(confirmed)
        assert pool.holders() == ["bbb-1"]


async def test_half_closed_connection_still_gets_its_answer(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public, await public.connect() as stream:
        await stream.send_all(request("GET", PROBE))
        await stream.send_eof()

        assert (await read_answer(stream)).text("running") == "false"
