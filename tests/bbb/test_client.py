from __future__ import annotations

import gzip
import hashlib
import inspect
import math
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qsl

import httpx
import pytest
import trio

from appliance.bbb import client as bbb_client
from appliance.bbb.client import OUTCOMES, BbbClient
from appliance.bbb.request_body import RequestBody
from appliance.faults import Ambiguous, BbbError, NotSent, ServerFault
from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from appliance.model import ServerId, Target
from appliance.settings import Algorithm
from tests.doubles.raw_http import (
    Authority,
    Handler,
    Peer,
    RawServer,
    Received,
    answer,
    never_answers,
    open_raw_server,
    says,
    until,
)

SSL_CONTEXT = open_ssl_context()
SECRET = "s3cret-of-the-server"
SUCCESS = b"<response><returncode>SUCCESS</returncode></response>"
FAILED = b"<response><returncode>FAILED</returncode><messageKey>notFound</messageKey></response>"
API = "/bigbluebutton/api"


@pytest.fixture
async def pool() -> AsyncIterator[PoolTransport]:
    async with PoolTransport(SSL_CONTEXT) as pool:
        yield pool


@pytest.fixture
def client(pool: PoolTransport) -> BbbClient:
    return make_client(pool)


def make_client(
    pool: PoolTransport,
    *,
    connect_timeout_s: float = 40.0,
    response_timeout_s: float = 40.0,
    algorithm: Algorithm = Algorithm.SHA256,
    max_meetings: float = math.inf,
    request_id: Callable[[], str | None] = lambda: None,
) -> BbbClient:
    return BbbClient(
        pool,
        connect_timeout_s=connect_timeout_s,
        response_timeout_s=response_timeout_s,
        response_max_bytes=1_000_000 if max_meetings == math.inf else 100_000_000,
        send_algorithm=algorithm,
        max_meetings=max_meetings,
        request_id=request_id,
    )


def target_of(server: RawServer, *, path: str = API, online: bool = True) -> Target:
    return Target(ServerId("bbb-1"), f"{server.url}{path}", SECRET, online)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def failure(
    client: BbbClient, handler: Handler, *, online: bool = True, body: RequestBody | None = None
) -> BbbError:
    """Make one call that fails, and check that it was made at most once and gave nothing away."""
    async with open_raw_server(handler) as server:
        with pytest.raises(BbbError) as caught:
            await client.call(
                target_of(server, online=online), "create", (("name", "x"),), body=body
            )
        assert len(server.requests) <= 1
    text = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert SECRET not in text
    assert "checksum" not in text
    assert str(caught.value).startswith("bbb-1: ")
    return caught.value


# --- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [API, f"{API}/"])
async def test_call_is_signed_in_the_query(client: BbbClient, path: str) -> None:
    async with open_raw_server(says(answer(SUCCESS))) as server:
        params = (("meetingID", "a b/ü"), ("meta_x", "1&2"), ("meta_x", ""))

        result = await client.call(target_of(server, path=path), "create", params)

        query = "meetingID=a+b%2F%C3%BC&meta_x=1%262&meta_x="
        checksum = sha256(f"create{query}{SECRET}")
        (request,) = server.requests
        assert (request.method, request.body) == ("GET", b"")
        assert request.target == f"{API}/create?{query}&checksum={checksum}"
        assert (result.succeeded, result.body) == (True, SUCCESS)


async def test_call_without_parameters_is_signed(client: BbbClient) -> None:
    async with open_raw_server(says(answer(SUCCESS))) as server:
        await client.call(target_of(server), "hooks/list", ())

        checksum = sha256(f"hooks/list{SECRET}")
        assert server.requests[0].target == f"{API}/hooks/list?checksum={checksum}"


@pytest.mark.parametrize(
    ("algorithm", "hash_name"),
    [
        (Algorithm.SHA1, "sha1"),
        (Algorithm.SHA384, "sha384"),
        (Algorithm.SHA512, "sha512"),
    ],
)
async def test_call_is_signed_with_the_algorithm_it_is_told(
    pool: PoolTransport, algorithm: Algorithm, hash_name: str
) -> None:
    async with open_raw_server(says(answer(SUCCESS))) as server:
        await make_client(pool, algorithm=algorithm).call(target_of(server), "end", (("a", "b"),))

        checksum = hashlib.new(hash_name, f"enda=b{SECRET}".encode()).hexdigest()
        assert server.requests[0].target.endswith(f"checksum={checksum}")


def assert_is_form(request: Received, call: str, params: list[tuple[str, str]]) -> None:
    assert request.method == "POST"
    assert request.target == f"{API}/{call}"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    form = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    assert form == [*params, ("checksum", sha256(f"{call}{SECRET}"))]


@pytest.mark.parametrize(("size", "method"), [(7900, "GET"), (8200, "POST"), (100_000, "POST")])
async def test_long_parameters_go_into_a_form_signed_over_the_empty_query(
    client: BbbClient, size: int, method: str
) -> None:
    async with open_raw_server(says(answer(SUCCESS))) as server:
        params = [("meetingID", "m"), ("welcome", "w" * size)]

        await client.call(target_of(server), "create", tuple(params))

        (request,) = server.requests
        assert request.method == method
        if method == "POST":
            assert_is_form(request, "create", params)


async def test_request_line_is_never_longer_than_servers_take(client: BbbClient) -> None:
    async with open_raw_server(says(answer(SUCCESS))) as server:
        for size in range(8000, 8200, 7):
            await client.call(target_of(server), "create", (("welcome", "w" * size),))

        lines = [len(f"{r.method} {r.target} HTTP/1.1\r\n") for r in server.requests]
        assert max(lines) <= 8192
        assert {r.method for r in server.requests} == {"GET", "POST"}


@pytest.mark.parametrize("params", [[], [("a", "1"), ("b", "x y")]])
async def test_form_is_sent_on_demand(client: BbbClient, params: list[tuple[str, str]]) -> None:
    async with open_raw_server(says(answer(SUCCESS))) as server:
        await client.call(target_of(server), "end", tuple(params), post_form=True)

        assert_is_form(server.requests[0], "end", params)


@pytest.mark.parametrize("streamed", [False, True])
async def test_body_is_passed_on_with_its_type(client: BbbClient, streamed: bool) -> None:
    xml = b"<modules/>" * 3000
    chunks = stream(xml[:11], xml[11:]) if streamed else xml
    async with open_raw_server(says(answer(SUCCESS))) as server:
        await client.call(
            target_of(server),
            "create",
            (("meetingID", "m"),),
            body=RequestBody("application/xml; charset=utf-8", chunks, len(xml)),
        )

        (request,) = server.requests
        checksum = sha256(f"createmeetingID=m{SECRET}")
        assert request.method == "POST"
        assert request.target == f"{API}/create?meetingID=m&checksum={checksum}"
        assert request.headers["content-type"] == "application/xml; charset=utf-8"
        assert request.headers["content-length"] == str(len(xml))
        assert request.body == xml


@pytest.mark.parametrize(
    ("request_id", "sent"), [("abc-1", "abc-1"), ("a\r\nX: y", None), ("", None), (None, None)]
)
async def test_request_id_is_passed_on_if_it_is_one(
    pool: PoolTransport, request_id: str | None, sent: str | None
) -> None:
    client = make_client(pool, request_id=lambda: request_id)
    document = RequestBody("application/xml", b"<modules/>", 10)
    async with open_raw_server(says(answer(SUCCESS))) as server:
        await client.call(target_of(server), "end", ())
        await client.call(target_of(server), "create", (), post_form=True)
        await client.call(target_of(server), "create", (), body=document)
        await client.list_meetings(target_of(server))

        sent_each = [request.headers.get("x-request-id") for request in server.requests]
        assert sent_each == [sent] * 4


MEETING = b"<meeting><meetingID>m</meetingID><welcome>%b</welcome></meeting>"


def listing(meetings: int, size: int) -> bytes:
    head = b"<response><returncode>SUCCESS</returncode><meetings>"
    return head + MEETING % (b"x" * size) * meetings + b"</meetings></response>"


@pytest.mark.parametrize(("meetings", "size"), [(0, 0), (3, 10), (45, 20_000), (2, 450_000)])
async def test_list_of_any_size_is_read(client: BbbClient, meetings: int, size: int) -> None:
    async with open_raw_server(says(answer(listing(meetings, size)))) as server:
        found = await client.list_meetings(target_of(server))

    assert [entry.xml for entry in found.entries] == [MEETING % (b"x" * size)] * meetings


async def test_list_is_given_up_when_it_has_too_many_meetings(pool: PoolTransport) -> None:
    client = make_client(pool, max_meetings=5000)
    sent = trio.Event()

    async def handle(peer: Peer) -> None:
        await peer.read()
        whole = answer(listing(400_000, 50))
        await peer.send(whole[: len(whole) // 4])
        sent.set()
        await trio.sleep_forever()  # the rest never comes

    async with open_raw_server(handle) as server:
        with trio.fail_after(40), pytest.raises(ServerFault, match="more than 5000 meetings"):
            await client.list_meetings(target_of(server))
    assert not sent.is_set()


async def test_large_answer_is_parsed_in_a_thread(client: BbbClient) -> None:
    attendee = b"<attendee><userID>u</userID><fullName>A</fullName></attendee>"
    body = SUCCESS.replace(b"</response>", attendee * 2_000 + b"</response>")
    threads = trio.to_thread.current_default_thread_limiter()
    threads.total_tokens = 1
    params = (("meetingID", "m"),)
    async with open_raw_server(says(answer(SUCCESS), answer(body))) as server:
        async with threads:
            assert (await client.call(target_of(server), "getMeetingInfo", params)).succeeded
            with trio.move_on_after(0.5) as scope:
                await client.call(target_of(server), "getMeetingInfo", params)
            assert scope.cancelled_caught
        found = await client.call(target_of(server), "getMeetingInfo", params)

    assert found.body == body


@pytest.mark.parametrize(
    "url", ["https://b.example/bigbluebutton/api", "https://b.example/bigbluebutton/api/"]
)
async def test_join_url_is_signed_and_asks_nobody(client: BbbClient, url: str) -> None:
    target = Target(ServerId("bbb-1"), url, SECRET)

    joined = client.join_url(target, (("fullName", "A B"), ("meetingID", "m")))

    checksum = sha256(f"joinfullName=A+B&meetingID=m{SECRET}")
    assert joined == (f"https://b.example{API}/join?fullName=A+B&meetingID=m&checksum={checksum}")


@pytest.mark.parametrize(("path", "asked"), [(API, API), (f"{API}/", API), ("", "/"), ("/", "/")])
async def test_version_is_asked_without_a_checksum(
    client: BbbClient, path: str, asked: str
) -> None:
    said = b"<response><returncode>SUCCESS</returncode><bbbVersion>3.0.1</bbbVersion></response>"
    async with open_raw_server(says(answer(said))) as server:
        version = await client.version(target_of(server, path=path))

        assert version == "3.0.1"
        assert (server.requests[0].method, server.requests[0].target) == ("GET", asked)


async def test_version_is_none_when_the_server_does_not_tell(client: BbbClient) -> None:
    async with open_raw_server(says(answer(SUCCESS))) as server:
        assert await client.version(target_of(server)) is None


async def test_servers_may_use_tls_with_a_ca_of_ones_own(authority: Authority) -> None:
    async with (
        open_raw_server(says(answer(SUCCESS)), tls=authority.server_context) as server,
        PoolTransport(open_ssl_context(authority.ca_file)) as trusting,
        PoolTransport(SSL_CONTEXT) as distrusting,
    ):
        assert (await make_client(trusting).call(target_of(server), "end", ())).succeeded
        with pytest.raises(NotSent, match="TLS handshake failed"):
            await make_client(distrusting).call(target_of(server), "end", ())

        assert len(server.requests) == 1


# --- what comes back ------------------------------------------------------------------------------


async def test_failed_answer_is_an_answer(client: BbbClient) -> None:
    async with open_raw_server(says(answer(FAILED))) as server:
        result = await client.call(target_of(server), "getMeetingInfo", ())

        assert (result.succeeded, result.message_key, result.body) == (False, "notFound", FAILED)


@pytest.mark.parametrize("content_type", [b"text/html", b"application/json", b"", b"nonsense"])
async def test_answer_is_judged_by_its_bytes_not_its_type(
    client: BbbClient, content_type: bytes
) -> None:
    said = answer(SUCCESS, headers=b"Content-Type: " + content_type + b"\r\n")
    async with open_raw_server(says(said)) as server:
        assert (await client.call(target_of(server), "end", ())).succeeded


ENTITY = b'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (answer(b"down", 500), 500),
        (answer(SUCCESS, 500), 500),
        (answer(b"", 502), 502),
        (answer(b"", 503), 503),
        (answer(b"", 404), 404),
        (answer(b"", 302, b"Location: /elsewhere\r\n"), 302),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (answer(b"x", 503, b"Content-Encoding: gzip\r\n"), 503),
        (answer(gzip.compress(SUCCESS), headers=b"Content-Encoding: gzip\r\n"), 200),
        (answer(b"<html>hello"), 200),
        (answer(b""), 200),
        (answer(SUCCESS[:-3]), 200),
        (answer(b"<response/>"), 200),
        (answer(ENTITY + SUCCESS), 200),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n", 200),
        (b"garbage\r\n\r\n", 0),
    ],
)
async def test_unusable_answer_is_a_server_fault(
    client: BbbClient, said: bytes, status: int
) -> None:
    fault = await failure(client, says(said))

    assert type(fault) is ServerFault
    assert fault.status == status
    assert fault.refused_by_server == (status >= 500)


async def test_answer_of_50_mb_is_a_server_fault(client: BbbClient) -> None:
    async def flood(peer: Peer) -> None:
        await peer.read()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n<response>")
        for _ in range(500):
            await peer.send(b" " * 100_000)

    fault = await failure(client, flood)

    assert type(fault) is ServerFault
    assert "larger than" in str(fault)


@pytest.mark.parametrize(
    "said", [b"", answer(SUCCESS)[:-5], answer(b"late", 504), b"HTTP/1.1 200 OK\r\nConte"]
)
async def test_lost_answer_is_ambiguous(client: BbbClient, said: bytes) -> None:
    assert type(await failure(client, says(said, then_close=True))) is Ambiguous


async def test_server_that_closes_after_reading_is_asked_once(client: BbbClient) -> None:
    async with open_raw_server(says(b"", then_close=True)) as server:
        with pytest.raises(Ambiguous):
            await client.call(target_of(server), "create", ())

        assert (server.connections, len(server.requests)) == (1, 1)


async def test_server_that_never_answers_is_ambiguous(pool: PoolTransport) -> None:
    client = make_client(pool, response_timeout_s=0.05)

    fault = await failure(client, never_answers)

    assert type(fault) is Ambiguous
    assert "no answer in time" in str(fault)


async def test_server_that_refuses_was_not_sent_anything(client: BbbClient) -> None:
    async with open_raw_server(never_answers) as server:
        target = target_of(server)

    with pytest.raises(NotSent, match=r"^bbb-1: cannot connect: Connection refused$"):
        await client.call(target, "create", ())


async def test_name_that_is_not_resolved_in_time_was_not_sent_anything() -> None:
    release = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def hangs(_host: str, _port: int) -> list[tuple[object, ...]]:
        trio.from_thread.run(release.wait, trio_token=token)
        return []

    async with PoolTransport(SSL_CONTEXT, lookup=hangs) as pool:
        client = make_client(pool, connect_timeout_s=0.05)
        target = Target(ServerId("bbb-1"), "http://slow.example/api", SECRET)
        with pytest.raises(NotSent, match="not connected in time"):
            await client.call(target, "create", ())
        release.set()


@pytest.mark.parametrize(
    "url", ["ftp://b.example/api", "not a url", "", "http://[::1", "http://b:x/"]
)
async def test_url_that_cannot_be_called_was_not_sent_anything(client: BbbClient, url: str) -> None:
    with pytest.raises(NotSent):
        await client.call(Target(ServerId("bbb-1"), url, SECRET), "create", ())


@pytest.mark.parametrize("sent", [False, True])
async def test_callers_deadline_tells_whether_it_was_sent(pool: PoolTransport, sent: bool) -> None:
    client = make_client(pool, connect_timeout_s=40, response_timeout_s=40)
    async with open_raw_server(never_answers) as server:
        url = f"{server.url}{API}" if sent else f"https://127.0.0.1:{server.port}{API}"
        target = Target(ServerId("bbb-1"), url, SECRET)

        with pytest.raises(Ambiguous if sent else NotSent):
            await client.call(target, "create", (), deadline_s=1.0)


@pytest.mark.parametrize(
    ("configured_s", "connect_s", "response_s"),
    [(10.0, 1.0, 1.0), (3.0, 0.3, 0.5), (1.0, 0.2, 0.5), (0.3, 0.2, 0.3), (0.1, 0.1, 0.1)],
)
def test_offline_server_gets_a_tenth_of_the_time(
    configured_s: float, connect_s: float, response_s: float
) -> None:
    client = make_client(
        PoolTransport(SSL_CONTEXT),
        connect_timeout_s=configured_s,
        response_timeout_s=configured_s,
    )

    limits = client._offline_limits

    assert (limits.connect_s, limits.response_s) == pytest.approx((connect_s, response_s))


async def test_offline_server_is_given_up_sooner(pool: PoolTransport) -> None:
    client = make_client(pool, response_timeout_s=10)
    started = trio.current_time()

    fault = await failure(client, never_answers, online=False)

    assert type(fault) is Ambiguous
    assert trio.current_time() - started < 8


# --- streamed bodies ------------------------------------------------------------------------------


async def test_body_is_not_started_when_nothing_was_sent(client: BbbClient) -> None:
    async with open_raw_server(never_answers) as server:
        target = target_of(server)
    body = RequestBody("text/xml", stream(b"<a/>"), 4)

    with pytest.raises(NotSent) as caught:
        await client.call(target, "create", (), body=body)

    assert not caught.value.body_started
    # The same stream serves another server.
    async with open_raw_server(says(answer(SUCCESS))) as server:
        await client.call(target_of(server), "create", (), body=body)
        assert server.requests[0].body == b"<a/>"


@pytest.mark.parametrize(
    ("said", "fault"),
    [(answer(b"", 503), ServerFault), (answer(b"no xml"), ServerFault), (b"", Ambiguous)],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_body_is_started_once_a_part_of_a_stream_was_taken(
    client: BbbClient, said: bytes, fault: type[BbbError], streamed: bool
) -> None:
    body = RequestBody("text/xml", stream(b"<a/>") if streamed else b"<a/>", 4)

    caught = await failure(client, says(said, then_close=True), body=body)

    assert type(caught) is fault
    assert caught.body_started is streamed


async def test_stalled_upload_is_not_the_servers_fault(pool: PoolTransport) -> None:
    async def stalls() -> AsyncIterator[bytes]:
        yield b"<a"
        await trio.sleep(1.0)
        yield b"/>"

    client = make_client(pool, response_timeout_s=0.5)
    async with open_raw_server(says(answer(SUCCESS))) as server:
        body = RequestBody("text/xml", stalls(), None)

        assert (await client.call(target_of(server), "create", (), body=body)).succeeded


async def test_error_of_the_front_end_is_raised_as_it_is(client: BbbClient) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"<a"
        raise ConnectionAbortedError("the front-end went away")

    async with open_raw_server(says(answer(SUCCESS))) as server:
        body = RequestBody("text/xml", breaks(), 4)

        with pytest.raises(ConnectionAbortedError):
            await client.call(target_of(server), "create", (), body=body)

        await until(lambda: server.open_connections == 0)
        assert server.requests == []


# --- the map of errors ----------------------------------------------------------------------------


def httpx_errors() -> list[type[Exception]]:
    return [
        value
        for _, value in inspect.getmembers(httpx, inspect.isclass)
        if issubclass(value, Exception)
    ]


def test_map_of_outcomes_holds_every_error_of_httpx() -> None:
    assert len(httpx_errors()) > 20
    assert set(OUTCOMES) == set(httpx_errors())


def test_every_error_of_httpx_is_caught() -> None:
    assert all(issubclass(error, bbb_client._HTTPX_ERRORS) for error in httpx_errors())


BEFORE_IT_SENDS = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    *(httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, httpx.CookieConflict),
)
"""What httpx, and our pool in its place, raise only while a server has seen nothing."""


@pytest.mark.parametrize("error", httpx_errors(), ids=lambda error: error.__name__)
def test_error_of_httpx_says_not_sent_only_if_nothing_was(error: type[Exception]) -> None:
    assert (OUTCOMES[error] is NotSent) == issubclass(error, BEFORE_IT_SENDS)
