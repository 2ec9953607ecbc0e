"""The admin API on the public listener: who may call, what is refused and how, what is logged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import trio.testing

from appliance.http.messages import ClientTimeouts
from tests.doubles.public import Answer, Public, open_public, read_answer, request
from tests.doubles.settings import SECRET
from tests.doubles.signing import ParamsLike, checksum, sign_url

BASE = "/scalelite/api"
URL = "https://bbb1.example.com/bigbluebutton/api"
JSON = "Content-Type: application/json"


async def get(
    public: Public, call: str, params: ParamsLike = "", *, secret: str = SECRET, **parts: Any
) -> Answer:
    return await public.ask("GET", sign_url(BASE, call, params, secret), **parts)


async def post(
    public: Public,
    call: str,
    body: Mapping[str, Any] | bytes,
    *,
    params: ParamsLike = "",
    secret: str = SECRET,
    headers: tuple[str, ...] = (),
) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    target = sign_url(BASE, call, params, secret)
    return await public.ask("POST", target, headers=[JSON, *headers], body=data)


def document_of(answer: Answer) -> Any:
    """Return the JSON of an answer."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return json.loads(answer.body)


def refused(answer: Answer) -> tuple[int, str | None, str | None]:
    """Return status, returncode and messageKey of a refusal in Scalelite's form."""
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    return answer.status, answer.returncode, answer.key


CHECKSUM_ERROR = (200, "FAILED", "checksumError")


async def test_calls_of_scalelite_have_its_paths_codes_and_fields(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        none = await get(public, "getServers")
        assert (none.status, document_of(none)) == (404, {"error": "No servers are configured"})

        new = await post(public, "addServer", {"server": {"url": URL, "secret": "s3cr3t"}})
        server = document_of(new)
        assert new.status == 201
        assert {name: server[name] for name in server if name != "id"} == {
            "url": URL,
            "secret": "s3cr3t",
            "tag": "",
            "bbb_version": "",
            "state": "disabled",
            "load": "unavailable",
            "load_multiplier": "1.0",
            "online": "offline",
            "max_meetings": None,
            "max_users": None,
            "recordings_owed": 0,
            "recordings_awaited": 0,
            "maintenance": None,
            "dial_in": "",
            "dial_in_port": None,
        }
        listed = await get(public, "getServers")
        assert (listed.status, document_of(listed)) == (200, [server])
        shown = await get(public, "getServerInfo", {"id": server["id"]})
        assert (shown.status, document_of(shown)) == (200, server)
        change = {"id": server["id"], "server": {"state": "cordon", "load_multiplier": "2.5"}}
        changed = await post(public, "updateServer", change)
        assert changed.status == 200
        assert document_of(changed) == {**server, "state": "cordoned", "load_multiplier": "2.5"}
        panic = await post(public, "panicServer", {"server": {"id": server["id"]}})
        assert panic.status == 200
        assert document_of(panic)["success"] == (
            f"Server id={server['id']} has been disabled and the meetings have been destroyed"
        )
        gone = await post(public, "deleteServer", {"id": server["id"]})
        assert (gone.status, document_of(gone)) == (
            200,
            {"success": f"Server id={server['id']} was destroyed"},
        )


@pytest.mark.parametrize(
    ("call", "body", "status", "reason"),
    [
        ("addServer", {"server": {"url": "not a url", "secret": "s"}}, 400, "the url must be"),
        ("addServer", {"server": {"url": URL}}, 400, "Server needs a URL and a secret"),
        (
            "addServer",
            {"server": {"url": URL, "secret": "s", "load_multiplier": -1}},
            400,
            "the load multiplier must be a number greater than 0",
        ),
        ("addServer", {"server": {"url": URL, "secret": "s", "id": "one"}}, 400, "a server with"),
        ("addServer", {"server": {"url": URL, "secret": "\ud800"}}, 400, "the body is not valid"),
        ("addServer", b'{"server": {"url": "\xff"}}', 400, "the body is not valid JSON"),
        ("addServer", b"[]", 400, "the body must be a JSON object"),
        ("updateServer", {"id": "one", "server": {"state": "x"}}, 400, "Invalid state parameter"),
        ("updateServer", {"id": "one", "server": {"load_multiplier": 0}}, 400, "the load multip"),
        ("updateServer", {"id": "two", "server": {}}, 404, "Couldn't find server with id=two"),
        ("updateServer", {"id": "two", "server": {"state": "x"}}, 404, "Couldn't find server with"),
        ("deleteServer", {}, 404, "Couldn't find server with id= (id is missing)"),
        ("panicServer", {"id": ""}, 404, "Couldn't find server with id= (id is missing)"),
        ("updateServer", {"server": {}}, 404, "Couldn't find server with id= (id is missing)"),
        ("updateServer", {"id": 1, "server": {}}, 400, "id must be a text"),
        ("panicServer", {"id": "two"}, 404, "Couldn't find server with id=two"),
    ],
)
async def test_bad_request_gets_its_status_and_the_reason(
    call: str,
    body: Mapping[str, Any] | bytes,
    status: int,
    reason: str,
    redis_url: str,
    redis_namespace: str,
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        await post(public, "addServer", {"url": URL, "secret": "s", "id": "one"})

        answer = await post(public, call, body)

        assert answer.status == status
        assert document_of(answer)["error"].startswith(reason)
        assert not public.log.errors


# --- who may call --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "",
        "checksum=",
        "checksum=" + "0" * 40,
        "checksum=" + "g" * 40,
        f"checksum={checksum('getServers', '', 'wrong')}",
        f"checksum={checksum('getStatus', '', SECRET)}",
        f"x=1&checksum={checksum('getServers', '', SECRET)}",
        f"checksum={checksum('getServers', '', SECRET)}&checksum=1",
        f"checksum={checksum('getServers', '', SECRET)[:-1]}",
        f"checksum={checksum('getServers', '', SECRET, 'md5')}",
    ],
)
async def test_wrong_checksum_is_refused_as_scalelite_refuses_it(
    query: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        assert refused(await public.ask("GET", f"{BASE}/getServers?{query}")) == CHECKSUM_ERROR


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("place", ["{c}&id=x", "id=x&{c}", "a=1&{c}&id=x"])
async def test_checksum_is_found_anywhere_in_the_query(
    algorithm: str, place: str, redis_url: str, redis_namespace: str
) -> None:
    rest = place.replace("{c}&", "").replace("&{c}", "")
    signed = "checksum=" + checksum("getServerInfo", rest, SECRET, algorithm).upper()
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.ask("GET", f"{BASE}/getServerInfo?{place.format(c=signed)}")

    assert (answer.status, document_of(answer)["error"]) == (404, "Couldn't find server with id=x")


async def test_algorithm_that_is_not_allowed_is_refused(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(
        redis_url, redis_namespace, LOADBALANCER_CHECKSUM_ALGORITHM="SHA512"
    ) as public:
        weak = await public.ask("GET", sign_url(BASE, "getServers", "", SECRET, "sha256"))
        strong = await public.ask("GET", sign_url(BASE, "getServers", "", SECRET, "sha512"))

    assert refused(weak) == CHECKSUM_ERROR
    assert strong.status == 404


async def test_admin_secret_takes_administration_from_the_front_ends(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace, ADMIN_SECRET="adm1n") as public:
        front_end = await get(public, "getServers", secret=SECRET)
        admin = await get(public, "getServers", secret="adm1n")
        api = await public.call("getMeetings", secret="adm1n")

    assert refused(front_end) == CHECKSUM_ERROR
    assert admin.status == 404
    assert api.key == "checksumError"


async def test_each_of_several_secrets_may_call_but_no_secret_of_a_tenant(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(
        redis_url,
        redis_namespace,
        LOADBALANCER_SECRETS="two:three",
        MULTITENANCY_ENABLED="true",
        URL_HOST="bbb.example",
    ) as public:
        redis = public.res.redis.foreground.client
        await redis.command("SADD", f"{redis_namespace}:tenants", "id-1")
        await redis.command(
            "HSET", f"{redis_namespace}:tenant:id-1", "name", "one", "secrets", "t1"
        )
        await redis.command("HSET", f"{redis_namespace}:tenant_name:one", "id", "id-1")
        answers = {
            (secret, host): (await get(public, "getStatus", secret=secret, host=host)).key
            if secret == "t1"
            else (await get(public, "getStatus", secret=secret, host=host)).status
            for secret in (SECRET, "two", "three", "t1")
            for host in ("bbb.example", "one.bbb.example")
        }

    assert set(answers.values()) == {200, "checksumError"}
    assert {pair[0] for pair, value in answers.items() if value == "checksumError"} == {"t1"}


async def test_unknown_host_is_refused(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace, URL_HOST="bbb.example") as public:
        assert (await get(public, "getServers", host="evil.example")).status == 403


async def test_signed_id_cannot_be_replaced_by_the_body(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        for name in ("one", "two"):
            await post(
                public, "addServer", {"url": f"http://{name}/api", "secret": "s", "id": name}
            )

        answer = await post(public, "deleteServer", {"id": "two"}, params={"id": "one"})

        assert document_of(answer) == {"success": "Server id=one was destroyed"}


# --- requests that reach no call ------------------------------------------------------------------


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
async def test_body_that_is_not_json_is_refused_as_scalelite_refuses_it(
    media_type: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        headers = [f"Content-Type: {media_type}"] if media_type else []
        target = sign_url(BASE, "addServer", "", SECRET)
        body = json.dumps({"url": URL, "secret": "s"}).encode()
        answer = await public.ask("POST", target, headers=headers, body=body)

        assert refused(answer) == (200, "FAILED", "unsupportedContentType")
        assert (await get(public, "getServers")).status == 404


async def test_post_without_a_body_takes_its_fields_from_the_query(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(BASE, "deleteServer", {"id": "x"}, SECRET)
        answer = await public.ask("POST", target)

    assert (answer.status, document_of(answer)["error"]) == (404, "Couldn't find server with id=x")


@pytest.mark.parametrize(
    ("method", "name", "status", "allow"),
    [
        ("GET", "addServer", 405, "POST"),
        ("PUT", "addServer", 405, "POST"),
        ("POST", "getServers", 405, "GET, HEAD"),
        ("DELETE", "getServers", 405, "GET, HEAD"),
        ("OPTIONS", "getServers", 405, "GET, HEAD"),
        ("POST", "openapi.json", 405, "GET, HEAD"),
        ("GET", "noSuchCall", 404, None),
        ("POST", "importRecording", 404, None),  # of ctl alone
        ("QUERY", "getServers", 405, "GET, HEAD"),
        ("GET", "getservers", 404, None),
        ("GET", "", 404, None),
    ],
)
async def test_unknown_call_or_method_is_refused(
    method: str,
    name: str,
    status: int,
    allow: str | None,
    redis_url: str,
    redis_namespace: str,
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.ask(method, sign_url(BASE, name, "", SECRET))

    assert refused(answer) == (status, "FAILED", "unsupportedRequest")
    assert answer.headers.get("allow") == allow


async def test_body_over_a_mebibyte_is_refused(redis_url: str, redis_namespace: str) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await post(public, "addServer", b" " * (1024 * 1024 + 1))

    assert (answer.status, document_of(answer)) == (
        413,
        {"error": "The body of the request is too large."},
    )


async def test_body_over_a_mebibyte_is_refused_when_it_announces_no_length(
    redis_url: str, redis_namespace: str
) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(BASE, "addServer", "", SECRET)
        head = request("POST", target, headers=[JSON, "Transfer-Encoding: chunked"])
        answer = await public.raw(head + chunk * 17 + b"0\r\n\r\n")

    assert (answer.status, document_of(answer)) == (
        413,
        {"error": "The body of the request is too large."},
    )


async def test_body_is_refused_when_it_does_not_arrive(
    redis_url: str, redis_namespace: str
) -> None:
    timeouts = ClientTimeouts(form_s=0.2, linger_s=0.2)
    async with open_public(redis_url, redis_namespace, timeouts=timeouts) as public:
        target = sign_url(BASE, "addServer", "", SECRET)
        async with await public.connect() as stream:
            await stream.send_all(request("POST", target, headers=[JSON, "Content-Length: 99"]))
            answer = await read_answer(stream)

    assert (answer.status, document_of(answer)) == (
        408,
        {"error": "The body of the request did not arrive."},
    )


async def test_checksum_is_refused_before_the_body_arrives(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(BASE, "addServer", "", "wrong")
        async with await public.connect() as stream:
            await stream.send_all(request("POST", target, headers=[JSON, "Content-Length: 99"]))
            answer = await read_answer(stream)

    assert refused(answer) == CHECKSUM_ERROR


async def test_head_is_answered_like_get_without_a_body(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.ask("HEAD", sign_url(BASE, "getStatus", "", SECRET))

    assert (answer.status, answer.body) == (200, b"")


# --- the document --------------------------------------------------------------------------------


async def test_openapi_document_needs_no_checksum_and_has_an_etag(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        first = await public.ask("GET", f"{BASE}/openapi.json")
        tag = first.headers["etag"]
        again = await public.ask(
            "GET", f"{BASE}/openapi.json", headers=[f"If-None-Match: W/{tag}, {tag}"]
        )
        changed = await public.ask(
            "GET", f"{BASE}/openapi.json", headers=['If-None-Match: "other"']
        )

    assert first.status == 200
    assert f"{BASE}/getServers" in json.loads(first.body)["paths"]
    assert SECRET.encode() not in first.body
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert (changed.status, changed.body) == (200, first.body)


# --- the log -------------------------------------------------------------------------------------


async def test_wrong_checksums_are_logged_once_for_each_address(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        for address in ("203.0.113.1", "203.0.113.1", "203.0.113.2"):
            await get(public, "getServers", secret="no", headers=[f"X-Forwarded-For: {address}"])
        warnings = [
            fields["subject"]
            for level, event, fields in public.log.events
            if (level, event) == ("warning", "admin_checksum_wrong")
        ]
        assert warnings == ["203.0.113.1", "203.0.113.2"]
        assert "checksum=" not in str(public.log.events)


@pytest.mark.parametrize(
    ("proxies", "address"),
    [("127.0.0.0/8", "203.0.113.9"), ("192.0.2.0/24", "127.0.0.1")],
)
async def test_change_is_logged_with_the_address_that_trusted_proxies_report(
    proxies: str, address: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace, TRUSTED_PROXIES=proxies) as public:
        await post(
            public,
            "addServer",
            {"server": {"url": URL, "secret": "s3cr3t", "id": "one"}},
            headers=("X-Forwarded-For: 198.51.100.7, 203.0.113.9",),
        )
        (event,) = public.log.named("server_added")

        assert (event["by"], event["server"]) == (f"checksum {address}", "one")
        assert "s3cr3t" not in str(public.log.events)


async def test_client_that_leaves_while_its_body_is_read_is_no_error(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        target = sign_url(BASE, "addServer", "", SECRET)
        async with await public.connect() as stream:
            head = request("POST", target, headers=[JSON, "Content-Length: 99"])
            await stream.send_all(head + b"{")
            await trio.testing.wait_all_tasks_blocked()

        assert (await get(public, "getStatus")).status == 200
        assert not public.log.errors
