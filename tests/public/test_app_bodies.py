"""Bodies over the wire: their types and limits, and creates whose body breaks off."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest
import trio

from appliance.bbb.signed_request import REPLAY_MAX_BYTES
from appliance.http.messages import ClientTimeouts
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import NO_TRACES
from tests.doubles.public import (
    API,
    XML_TYPE,
    ended,
    open_public,
    read_answer,
    request,
)
from tests.doubles.public_pool import open_both
from tests.doubles.settings import SECRET
from tests.doubles.signing import sign_url

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

DOCUMENT = (
    b'<modules><module name="presentation"><document url="http://x/a.pdf"/></module></modules>'
)

# --- bodies ---------------------------------------------------------------------------------------

FORM, XML = "form", "xml"
TYPES = {
    "": None,
    "application/x-www-form-urlencoded": FORM,
    "Application/X-WWW-Form-Urlencoded; charset=UTF-8": FORM,
    "application/xml": XML,
    "text/xml; charset=utf-8": XML,
    "application/json": None,
    "text/plain": None,
    "application/xml+x": None,
}


@pytest.mark.parametrize(
    ("call", "kinds"),
    [
        ("create", {FORM, XML}),
        ("insertDocument", {XML}),
        ("isMeetingRunning", {FORM}),
        ("getMeetingInfo", {FORM}),
        ("getMeetings", {FORM}),
        ("end", {FORM}),
        ("sendChatMessage", {FORM}),
    ],
)
async def test_call_takes_bodies_of_its_types_only(
    call: str, kinds: set[str], redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(API, call, "meetingID=abc", SECRET)
        for content_type, kind in TYPES.items():
            headers = [f"Content-Type: {content_type}"] if content_type else []
            answer = await public.ask("POST", target, headers=headers, body=b"a=1")

            refused = answer.key == "unsupportedContentType"
            assert refused is (kind not in kinds), content_type
            if refused:
                assert answer.status == 200
                text = "POST request Content-Type is missing or unsupported"
                assert answer.text("message") == text


async def test_post_without_a_body_needs_no_type(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(API, "isMeetingRunning", "meetingID=abc", SECRET)
        for headers in ([], ["Content-Length: 0"], ["Content-Length: 0", "Content-Type: a/b"]):
            answer = await public.ask("POST", target, headers=headers)
            assert answer.text("running") == "false"
        target = sign_url(API, "insertDocument", "meetingID=abc", SECRET)
        answer = await public.ask("POST", target)
        assert answer.key == "unsupportedContentType"


async def test_create_by_get_form_and_document(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        by_get = await public.call("create", {"meetingID": "m-get", "name": "é&="})
        by_form = await public.post_form("create", {"meetingID": "m-form", "name": "é&="})
        by_xml = await public.post_xml("create", {"meetingID": "m-xml"}, DOCUMENT)

        for answer, name in ((by_get, "m-get"), (by_form, "m-form"), (by_xml, "m-xml")):
            assert answer.returncode == "SUCCESS"
            assert answer.text("meetingID") == name
            assert len(pool.holders(name)) == 1
        assert pool.bbb(pool.holders("m-form")[0]).meetings()["m-form"]["name"] == "é&="
        (posted,) = [
            one for bbb in bbbs for one in bbb.requests("create") if one["method"] == "POST"
        ]
        assert posted["body_start"] == DOCUMENT.decode()
        assert posted["headers"]["content-type"] == "application/xml"


LABELLED = "Content-Type: application/x-www-form-urlencoded"


def chunked_body(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize("prefix", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("call", ["create", "insertDocument"])
async def test_document_that_is_labelled_as_a_form_is_passed_on(
    call: str, prefix: bytes, redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs[:1]) as (public, pool):
        if call == "insertDocument":
            await pool.create("room")
        bbbs[0].clear_requests()
        target = sign_url(API, call, "meetingID=room", SECRET)
        whole = await public.ask("POST", target, headers=[LABELLED], body=prefix + DOCUMENT)
        head = request("POST", target, headers=[LABELLED, "Transfer-Encoding: chunked"])
        pieces = [bytes([one]) for one in prefix + DOCUMENT[:2]] + [DOCUMENT[2:]]
        in_pieces = await public.raw(head + chunked_body(*pieces))

        assert (whole.returncode, in_pieces.returncode) == ("SUCCESS", "SUCCESS")
        for posted in bbbs[0].requests(call):
            assert posted["method"] == "POST"
            assert posted["body_start"] == DOCUMENT.decode()
            assert posted["headers"]["content-type"] == "application/xml"
        assert len(bbbs[0].requests(call)) == 2


async def test_large_document_that_is_labelled_as_a_form_is_streamed(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    document = b"<modules>" + b"x" * (2 * REPLAY_MAX_BYTES) + b"</modules>"
    async with open_both(redis_url, redis_namespace, bbbs[:1]) as (public, _):
        target = sign_url(API, "create", "meetingID=room", SECRET)
        answer = await public.ask("POST", target, headers=[LABELLED], body=b"\n" + document)

        assert answer.returncode == "SUCCESS"
        (posted,) = bbbs[0].requests("create")
        assert posted["body_sha256"] == hashlib.sha256(document).hexdigest()


@pytest.mark.parametrize(
    ("call", "body", "key"),
    [
        ("create", b"name=Other", ""),  # as in BBB: the query has parameters, so a form has none
        ("create", b"\xef\xbb", ""),
        ("insertDocument", b"a=<b/>", "unsupportedContentType"),
        ("insertDocument", b"\xef\xbb", "unsupportedContentType"),
        ("insertDocument", b" \n", "unsupportedContentType"),
    ],
)
async def test_other_body_that_is_labelled_as_a_form_is_no_document(
    call: str, body: bytes, key: str, redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs[:1]) as (public, pool):
        await pool.create("room")
        bbbs[0].clear_requests()
        target = sign_url(API, call, "meetingID=room", SECRET)
        answer = await public.ask("POST", target, headers=[LABELLED], body=body)

        assert (answer.key or "") == (key or "duplicateWarning")
        assert [one["method"] for one in bbbs[0].requests(call)] == ([] if key else ["GET"])


@pytest.mark.parametrize("query", ["", "meetingID=room"])
async def test_document_that_is_labelled_as_a_form_is_not_read_without_a_checksum(
    query: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        for call in ("create", "insertDocument"):
            target = sign_url(API, call, query, "wrong")
            answer = await public.ask("POST", target, headers=[LABELLED], body=DOCUMENT)
            assert answer.key == "checksumError"
            signed = sign_url(API, call, "", SECRET)  # and without a meetingID
            answer = await public.ask("POST", signed, headers=[LABELLED], body=DOCUMENT)
            assert answer.key == "missingParamMeetingID"


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_document_is_streamed_to_the_server(
    chunked: bool, redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    document = b"<modules>" + b"x" * (3 * REPLAY_MAX_BYTES) + b"</modules>"
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        target = sign_url(API, "create", "meetingID=room", SECRET)
        if chunked:
            head = request("POST", target, headers=[XML_TYPE, "Transfer-Encoding: chunked"])
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(document), document)
            answer = await public.raw(head + body)
        else:
            answer = await public.ask("POST", target, headers=[XML_TYPE], body=document)

        assert answer.returncode == "SUCCESS"
        (received,) = pool.bbb(await pool.home()).requests("create")
        assert received["body_sha256"] == hashlib.sha256(document).hexdigest()


async def test_document_reaches_the_meetings_server(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs) as (public, pool):
        await pool.create()

        answer = await public.post_xml("insertDocument", "meetingID=room", DOCUMENT)
        unknown = await public.post_xml("insertDocument", "meetingID=other", DOCUMENT)

        assert answer.returncode == "SUCCESS"
        assert pool.bbb(await pool.home()).meetings()["room"]["documents"] == 1
        assert unknown.key == "notFound"


LIMIT = 2 * 1024 * 1024


@pytest.mark.parametrize("call", ["create", "insertDocument"])
async def test_announced_body_over_the_limit_is_413_before_it_comes(
    call: str, redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs, REQUEST_MAX_BYTES=str(LIMIT)) as (
        public,
        pool,
    ):
        target = sign_url(API, call, "meetingID=room", SECRET)
        head = request("POST", target, headers=[XML_TYPE, f"Content-Length: {LIMIT + 1}"])
        async with await public.connect() as stream:
            await stream.send_all(head)

            answer = await read_answer(stream)

            assert (answer.status, answer.key) == (413, "requestTooLarge")
            assert answer.headers["connection"] == "close"
            assert await ended(stream)
        assert await pool.traces() == NO_TRACES
        assert not any(bbb.requests(call) for bbb in bbbs)


async def test_client_that_sends_all_of_a_body_over_the_limit_can_read_the_answer(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(
        redis_url,
        redis_namespace,
        REQUEST_MAX_BYTES=str(LIMIT),
        timeouts=ClientTimeouts(linger_s=5.0),
    ) as public:
        target = sign_url(API, "create", "meetingID=room", SECRET)
        answer = await public.ask("POST", target, headers=[XML_TYPE], body=b"x" * (8 * LIMIT))

    assert (answer.status, answer.key) == (413, "requestTooLarge")


async def test_document_of_exactly_the_limit_is_taken(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs, REQUEST_MAX_BYTES=str(LIMIT)) as (
        public,
        _,
    ):
        answer = await public.post_xml("create", "meetingID=room", b"x" * LIMIT)

        assert answer.returncode == "SUCCESS"


async def test_body_of_a_wrong_checksum_is_not_awaited(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(API, "create", "meetingID=room", "wrong")
        head = request("POST", target, headers=[XML_TYPE, "Content-Length: 1000000"])
        async with await public.connect() as stream:
            await stream.send_all(head + b"x" * 300_000)

            assert (await read_answer(stream)).key == "checksumError"
            assert await ended(stream)


async def test_small_document_goes_to_the_next_server_when_one_fails(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_both(redis_url, redis_namespace, bbbs, spread=False) as (public, pool):
        for bbb in bbbs[:2]:
            bbb.add_fault("status", "create", status=500, executed=False)

        answer = await public.post_xml("create", "meetingID=room", DOCUMENT)

        assert answer.returncode == "SUCCESS"
        assert pool.holders() == ["bbb-3"]
        (received,) = bbbs[2].requests("create")
        assert received["body_start"] == DOCUMENT.decode()


# --- creates that are broken off ------------------------------------------------------------------

BREAKS: Mapping[str, tuple[dict[str, Any], list[str], int, int]] = {
    # What ends the body: (timeouts, header, bytes that come, the status that is answered or 0)
    "over the limit": ({}, ["Transfer-Encoding: chunked"], LIMIT + 1, 413),
    "stalled": ({"rate_s": 0.3}, [f"Content-Length: {LIMIT}"], LIMIT - 5, 408),
    "client gone": ({}, [f"Content-Length: {LIMIT}"], LIMIT - 5, 0),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_placement_of_a_create_whose_body_breaks_off_is_undone(
    name: str, redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    timeouts, headers, length, status = BREAKS[name]
    async with open_both(
        redis_url,
        redis_namespace,
        bbbs,
        timeouts=ClientTimeouts(linger_s=0.2, **timeouts),
        REQUEST_MAX_BYTES=str(LIMIT),
    ) as (public, pool):
        target = sign_url(API, "create", "meetingID=room", SECRET)
        head = request("POST", target, headers=[XML_TYPE, *headers])
        body = b"x" * length
        if "chunked" in headers[0]:
            body = b"%x\r\n" % length + body
        async with await public.connect() as stream:
            await stream.send_all(head + body)
            if status:
                answer = await read_answer(stream)
                assert (answer.status, answer.returncode) == (status, "FAILED")

        with trio.fail_after(40):
            while await pool.traces() != NO_TRACES:
                await trio.sleep(0.02)
        assert (await public.call("create", "meetingID=room")).returncode == "SUCCESS"
        assert not pool.log.errors
