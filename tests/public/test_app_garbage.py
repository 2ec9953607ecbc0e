"""Arbitrary bytes in every part of a request: never a defect, and always an answer.

As far as the listener accepts them: a query is printable ASCII, a header is one line.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from appliance.features import Features
from appliance.public.app import PublicApp
from appliance.redis.store import RedisStore, RedisStores
from tests.doubles.features import EventBook, make_test_features
from tests.doubles.pool_store import with_store
from tests.doubles.public import API
from tests.doubles.settings import SECRET, settings_of


class EmptyStore:
    """A store that knows nothing."""

    background: Any = None

    async def nothing(self, *_args: Any, **_named: Any) -> None:
        """Find nothing."""
        await trio.lowlevel.checkpoint()

    find_meeting = find_meeting_of = join_meeting = find_tenant = ping = nothing

    async def list_servers(self) -> list[Any]:
        """Return no server."""
        return []


def empty_resources(**variables: str) -> Features:
    """Make features on an EmptyStore; what would place a meeting is not there."""
    nothing: Any = None
    redis = RedisStore(nothing, "test", {})

    def forbidden(*_args: Any) -> Any:
        raise AssertionError("not expected")

    features = make_test_features(
        settings_of(**variables),
        RedisStores(redis, redis),
        nothing,
        nothing,
        EventBook(),
        forbidden,
    )
    return with_store(features, EmptyStore())


def answer_in_process(app: PublicApp, scope: dict[str, Any], body: bytes) -> list[dict[str, Any]]:
    """Let the application answer one request, without a network."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal body
        chunk, body = body[:1000], body[1000:]
        return {"type": "http.request", "body": chunk, "more_body": bool(body)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def run() -> None:
        with trio.fail_after(40):
            await app(scope, receive, send)

    trio.run(run)
    return sent


texts = st.text(st.characters(max_codepoint=0x2FF), max_size=20)
paths = texts | st.sampled_from(["", "/", API, f"{API}/"]) | texts.map(lambda x: f"{API}/{x}")
calls = st.sampled_from(["isMeetingRunning", "getMeetingInfo", "join", "end", "getMeetings"])
names = st.sampled_from(
    [
        b"host",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"x-forwarded-host",
        b"x-request-id",
    ]
)
lines = st.binary(max_size=30).map(lambda line: line.translate(None, b"\r\n\0"))
values = lines | st.sampled_from(
    [
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=b",
        b"text/xml",
        b"chunked",
        b"10",
        b"9" * 5000,
        b"[::1",
        b"a.bbb.example, b",
    ]
)
headers = st.lists(st.tuples(names | lines, values), max_size=6)
queries = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60)
peers = st.sampled_from([None, ("127.0.0.1", 1), ("::1", 1), ("fe80::1%eth0", 1), ("", 0)])


@pytest.mark.parametrize("tenants", [False, True])
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "\xff"]),
    path=paths | calls.map(lambda call: f"{API}/{call}"),
    query=queries.map(str.encode),
    head=headers,
    client=peers,
    body=st.binary(max_size=2500),
    signed=st.booleans(),
)
def test_no_bytes_are_a_defect(
    tenants: bool,
    method: str,
    path: str,
    query: bytes,
    head: list[tuple[bytes, bytes]],
    client: tuple[str, int] | None,
    body: bytes,
    signed: bool,
) -> None:
    variables = {"MULTITENANCY_ENABLED": "true", "URL_HOST": "bbb.example"} if tenants else {}
    res = empty_resources(**variables)
    if signed:
        query += b"&checksum=" + digest(path.removeprefix(f"{API}/"), query).encode()
    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": head,
        "client": client,
    }

    sent = answer_in_process(PublicApp(res), scope, body)

    assert sent[0]["status"] in (200, 403, 404, 405, 408, 413)
    assert sent[-1]["more_body"] is False
    assert not res.log.errors  # type: ignore[attr-defined]


def digest(call: str, query: bytes) -> str:
    """Return the checksum of a raw query."""
    return hashlib.sha256(call.encode("utf-8", "replace") + query + SECRET.encode()).hexdigest()


async def test_other_scopes_are_left_alone() -> None:
    async def unexpected(*_args: Any) -> Any:
        raise AssertionError("not expected")

    await PublicApp(empty_resources())({"type": "websocket"}, unexpected, unexpected)
