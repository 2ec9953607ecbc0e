"""What a checksum covers is read, and nothing else: over the wire, against the real application.

The probe is isMeetingRunning of an unknown meeting: `running` false says that the request
was taken for signed, checksumError that it was not.
"""

from __future__ import annotations

import hashlib

import pytest
import trio

from appliance.bbb.signed_request import FORM_MAX_BYTES
from appliance.http.messages import ClientTimeouts
from tests.doubles.public import API, FORM_TYPE, Answer, open_public, read_answer, request
from tests.doubles.settings import SECRET
from tests.doubles.signing import checksum, sign_form, sign_url

CALL = "isMeetingRunning"
ID = "meetingID=abc"
SIGNED = checksum(CALL, ID, SECRET)
OVER_NOTHING = checksum(CALL, "", SECRET)
MULTIPART_TYPE = 'Content-Type: multipart/form-data; boundary="x y"'


def accepted(answer: Answer) -> bool:
    """Whether the request was taken for signed."""
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    if answer.returncode == "SUCCESS":
        assert answer.text("running") == "false"
        return True
    assert answer.key == "checksumError"
    assert answer.text("message") == "You did not pass the checksum security check"
    return False


def multipart(*fields: tuple[str, str], extra: str = "") -> bytes:
    """Render fields as a multipart body with the boundary of MULTIPART_TYPE."""
    parts = [
        f'--x y\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields
    ]
    return ("".join(parts) + extra + "--x y--\r\n").encode()


# --- the query ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        f"{ID}&checksum={SIGNED}",
        f"checksum={SIGNED}&{ID}",
        f"{ID}&checksum={SIGNED.upper()}",
        f"a=1&checksum={checksum(CALL, f'a=1&{ID}', SECRET)}&{ID}",
        # Percent signs and blanks count as they were sent.
        f"meeting%49D=a%20b&checksum={checksum(CALL, 'meeting%49D=a%20b', SECRET)}",
        f"meetingID=a+b&checksum={checksum(CALL, 'meetingID=a+b', SECRET)}",
        # A name has no structure; Scalelite answers HTTP 500.
        f"{ID}&x[]=1&x[]=2&checksum={checksum(CALL, f'{ID}&x[]=1&x[]=2', SECRET)}",
        f"{ID}&=1&&&checksum={checksum(CALL, f'{ID}&=1&&', SECRET)}",
    ],
)
async def test_signed_query_is_accepted(query: str, redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        assert accepted(await public.ask("GET", f"{API}/{CALL}?{query}"))


@pytest.mark.parametrize(
    "query",
    [
        "",
        ID,
        f"{ID}&checksum",
        f"{ID}&checksum=",
        f"{ID}&checksum={SIGNED[:-1]}",
        f"{ID}&checksum={SIGNED}0",
        f"{ID}&checksum={SIGNED[:-1]}g",
        f"{ID}&checksum={'%30' * 64}",
        f"{ID}&checksum={hashlib.md5(f'{CALL}{ID}{SECRET}'.encode()).hexdigest()}",
        f"{ID}&checksum={checksum(CALL, ID, 'other')}",
        f"{ID}&checksum={checksum(CALL, ID, '')}",
        f"{ID}&checksum={checksum('end', ID, SECRET)}",
        f"{ID}&checksum={checksum(CALL.lower(), ID, SECRET)}",
        f"{ID}&checksum={OVER_NOTHING}",
        f"{ID}&more=1&checksum={SIGNED}",
        f"{ID}&checksum={SIGNED}&checksum={SIGNED}",
        f"checksum={SIGNED}&{ID}&checksum=x",
        f"{ID}&check%73um={SIGNED}",
        f"{ID}&Checksum={SIGNED}",
        # What two readers could read differently may not be said twice, signed or not.
        f"{ID}&meetingID=b&checksum={checksum(CALL, f'{ID}&meetingID=b', SECRET)}",
        f"{ID}&meeting%49D=b&checksum={checksum(CALL, f'{ID}&meeting%49D=b', SECRET)}",
        f"{ID}&role=a&role=a&checksum={checksum(CALL, f'{ID}&role=a&role=a', SECRET)}",
        f"{ID}&check%73um=1&checksum={checksum(CALL, f'{ID}&check%73um=1', SECRET)}",
        f"{ID}&check%73um=1&check%73um=2&checksum="
        + checksum(CALL, f"{ID}&check%73um=1&check%73um=2", SECRET),
    ],
)
async def test_unsigned_query_is_a_checksum_error(
    query: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        assert not accepted(await public.ask("GET", f"{API}/{CALL}?{query}"))
        assert not public.log.errors


@pytest.mark.parametrize("allowed", ["", "SHA1", "SHA256:SHA512", "SHA384"])
async def test_algorithm_counts_only_if_it_is_allowed(
    allowed: str, redis_url: str, redis_namespace: str
) -> None:
    names = ["SHA1", "SHA256", "SHA384", "SHA512"]
    async with open_public(
        redis_url, redis_namespace, LOADBALANCER_CHECKSUM_ALGORITHM=allowed
    ) as public:
        taken = [
            name
            for name in names
            if accepted(await public.ask("GET", sign_url(API, CALL, ID, SECRET, name)))
        ]

    assert taken == (allowed.split(":") if allowed else names)


async def test_each_of_several_secrets_counts(redis_url: str, redis_namespace: str) -> None:
    async with open_public(
        redis_url, redis_namespace, LOADBALANCER_SECRETS="second:third"
    ) as public:
        assert accepted(await public.call(CALL, ID))
        assert accepted(await public.call(CALL, ID, secret="second"))
        assert accepted(await public.call(CALL, ID, secret="third"))
        assert not accepted(await public.call(CALL, ID, secret="fourth"))
        assert not accepted(await public.call(CALL, ID, secret="second:third"))


async def test_lone_separator_of_moodle_is_accepted(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        signed = checksum("getMeetings", "", SECRET)

        answer = await public.ask("GET", f"{API}/getMeetings?&checksum={signed}")

        assert answer.returncode == "SUCCESS"
        assert answer.key == "noMeetings"


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("", sign_form(CALL, "b=2&meetingID=abc&a=1", SECRET, over="empty")),
        ("", sign_form(CALL, "b=2&meetingID=abc&a=1", SECRET, over="body")),
        ("", sign_form(CALL, "b=2&meetingID=abc&a=1", SECRET, over="sorted")),
        ("", f"checksum={OVER_NOTHING}&{ID}"),
        (f"?checksum={OVER_NOTHING}", ID),
        (f"?&checksum={OVER_NOTHING}&", ID),
        (f"?checksum={SIGNED}", ID),
    ],
)
async def test_signed_form_is_accepted(
    query: str, form: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target, headers = f"{API}/{CALL}{query}", [f"{FORM_TYPE}; charset=UTF-8"]

        assert accepted(
            await public.ask("POST", target, headers=headers, body=form.encode("ascii"))
        )


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("", ID),
        ("", f"{ID}&checksum={checksum(CALL, '', 'other')}"),
        ("", f"{ID}&checksum={SIGNED}&more=1"),
        ("", f"{ID}&checksum={SIGNED}&checksum={SIGNED}"),
        ("", f"{ID}&meetingID=b&checksum={OVER_NOTHING}"),
        (f"?checksum={SIGNED}", f"{ID}&checksum={SIGNED}"),
        (f"?checksum={OVER_NOTHING}", f"{ID}&check%73um=1"),
        # Parameters in the query: the form is not read, not even for the checksum.
        (f"?{ID}", f"checksum={SIGNED}"),
        ("?a=1", f"{ID}&checksum={OVER_NOTHING}"),
    ],
)
async def test_unsigned_form_is_a_checksum_error(
    query: str, form: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = f"{API}/{CALL}{query}"
        answer = await public.ask("POST", target, headers=[FORM_TYPE], body=form.encode("ascii"))

        assert not accepted(answer)


async def test_form_beside_a_signed_query_adds_nothing(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(API, CALL, "a=1", SECRET)
        answer = await public.ask("POST", target, headers=[FORM_TYPE], body=ID.encode())

        assert answer.key == "missingParamMeetingID"


async def test_body_of_a_get_adds_nothing(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = f"{API}/{CALL}?checksum={OVER_NOTHING}"
        answer = await public.ask("GET", target, headers=[FORM_TYPE], body=ID.encode())

        assert answer.key == "missingParamMeetingID"


@pytest.mark.parametrize(
    ("query", "body", "counts"),
    [
        ("", multipart(("meetingID", "abc"), ("checksum", OVER_NOTHING)), True),
        ("", multipart(("meetingID", "abc"), ("checksum", SIGNED)), True),
        (f"?checksum={OVER_NOTHING}", multipart(("meetingID", "abc")), True),
        ("", multipart(("meetingID", "abc"), ("checksum", "0" * 64)), False),
        ("", multipart(("meetingID", "abc")), False),
        (
            f"?checksum={OVER_NOTHING}",
            multipart(("meetingID", "abc"), ("meetingID", "b")),
            False,
        ),
    ],
)
async def test_multipart_form_counts_as_a_form(
    query: str, body: bytes, counts: bool, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = f"{API}/{CALL}{query}"
        answer = await public.ask("POST", target, headers=[MULTIPART_TYPE], body=body)

        assert accepted(answer) is counts


async def test_file_of_a_multipart_form_is_no_parameter(
    redis_url: str, redis_namespace: str
) -> None:
    file = '--x y\r\nContent-Disposition: form-data; name="meetingID"; filename="f"\r\n\r\nabc\r\n'
    async with open_public(redis_url, redis_namespace) as public:
        target = f"{API}/{CALL}?checksum={OVER_NOTHING}"
        body = multipart(("a", "1"), extra=file)
        answer = await public.ask("POST", target, headers=[MULTIPART_TYPE], body=body)

        assert answer.key == "missingParamMeetingID"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (MULTIPART_TYPE, b"nothing of the kind"),
        ("Content-Type: multipart/form-data", multipart(("meetingID", "abc"))),
        ("Content-Type: multipart/form-data; boundary=", multipart(("meetingID", "abc"))),
        (MULTIPART_TYPE, multipart(*[("a", "1")] * 1001)),
        (MULTIPART_TYPE, multipart(*[("a", "1" * 30)] * 1001)),
    ],
)
async def test_malformed_multipart_form_is_refused_without_an_error_of_ours(
    content_type: str, body: bytes, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.ask("POST", f"{API}/{CALL}", headers=[content_type], body=body)

        assert answer.key == "unsupportedContentType"
        assert not public.log.errors


@pytest.mark.parametrize(("parameters", "taken"), [(1000, True), (1001, False), (400_000, False)])
async def test_request_with_too_many_parameters_is_refused(
    parameters: int, taken: bool, redis_url: str, redis_namespace: str
) -> None:
    params = f"{ID}{'&a' * (parameters - 1)}"
    async with open_public(redis_url, redis_namespace) as public:
        answers = [await public.post_form(CALL, params)]
        if parameters < 10_000:  # more does not fit into an address
            answers.append(await public.call(CALL, params))

        for answer in answers:
            if taken:
                assert accepted(answer)
            else:
                assert (answer.status, answer.key) == (200, "requestTooLarge")


async def test_form_with_too_many_parameters_is_refused_before_it_has_arrived(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        length = f"Content-Length: {FORM_MAX_BYTES}"
        head = request("POST", f"{API}/{CALL}", headers=[FORM_TYPE, length])

        assert (await public.raw(head + b"a&" * 1001)).key == "requestTooLarge"


async def test_large_multipart_form_is_read(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        fields = ("welcome", "w" * 200_000), ("meetingID", "abc"), ("checksum", OVER_NOTHING)
        body = multipart(*fields)

        assert accepted(
            await public.ask("POST", f"{API}/{CALL}", headers=[MULTIPART_TYPE], body=body)
        )


async def test_form_of_a_mebibyte_is_read_and_one_byte_more_is_413(
    redis_url: str, redis_namespace: str
) -> None:
    frame = len(f"&meetingID=abc&checksum={OVER_NOTHING}")
    async with open_public(redis_url, redis_namespace) as public:
        for length, status in ((FORM_MAX_BYTES, 200), (FORM_MAX_BYTES + 1, 413)):
            form = f"{'a' * (length - frame)}&{ID}&checksum={OVER_NOTHING}".encode()
            assert len(form) == length
            for body, headers in (
                (form, [FORM_TYPE]),
                (None, [FORM_TYPE, "Transfer-Encoding: chunked"]),
            ):
                head = request("POST", f"{API}/{CALL}", headers=headers, body=body or b"")
                chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(form), form)

                answer = await public.raw(head if body else head + chunked)

                assert answer.status == status
                if status == 413:
                    assert answer.key == "requestTooLarge"
                else:
                    assert accepted(answer)


@pytest.mark.parametrize(
    "timeouts",
    [
        ClientTimeouts(rate_s=0.1, linger_s=0.1),
        ClientTimeouts(form_s=0.1, linger_s=0.1),
    ],
)
async def test_form_that_stalls_is_given_up(
    timeouts: ClientTimeouts, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace, timeouts=timeouts) as public:
        head = request("POST", f"{API}/{CALL}", headers=[FORM_TYPE, "Content-Length: 100"])
        async with await public.connect() as stream:
            await stream.send_all(head + b"meetingID=")

            answer = await read_answer(stream)

            assert answer.status == 408
            assert answer.key == "requestTimeout"
            assert answer.headers["connection"] == "close"
            with trio.fail_after(40):
                assert await stream.receive_some() == b""
