"""Recordings over HTTP: only a server's token is taken, and only a whole tar reaches the spool."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio

from appliance.http.messages import ClientTimeouts
from appliance.model import ServerId
from appliance.recordings.imports.spool import Spool
from appliance.recordings.uploads.refused import MAX_REFUSED, RefusedUpload
from appliance.recordings.uploads.schema import UPLOAD
from appliance.servers.administration import remove_server
from appliance.servers.registration import forget_retired
from appliance.servers.values import ServerChange
from tests.doubles.control import open_control
from tests.doubles.features import open_features, rewire
from tests.doubles.import_tools import recording_settings
from tests.doubles.public import Answer, Public, read_answer, serve_public

SERVER_SECRET = "secret-of-the-server-" + "x" * 20
TAR = os.urandom(3_000_000)
PATH = "/scalelite/api/recordings/r1"


def token(secret: str = SERVER_SECRET, **claims: Any) -> str:
    given = {"sub": "bbb1", "exp": int(time.time()) + 300, "recordID": "r1", **claims}
    kept = {key: value for key, value in given.items() if value is not None}
    return jwt.encode(kept, secret, "HS256")


def bearer(text: str) -> list[str]:
    return [f"Authorization: Bearer {text}"]


def check_described(answer: Answer) -> None:
    """Raise AssertionError unless the document of the API names the answer of an upload."""
    described = UPLOAD["put"]["responses"][str(answer.status)]
    assert answer.headers["content-type"].partition(";")[0] in described["content"]


@asynccontextmanager
async def open_uploads(
    redis_url: str,
    namespace: str,
    root: Path,
    timeouts: ClientTimeouts | None = None,
    **variables: Any,
) -> AsyncIterator[Public]:
    spool = Spool(recording_settings(root))
    spool.make()
    async with open_features(redis_url, namespace, **variables) as res:
        change = ServerChange(
            url="https://bbb1.example.org/bigbluebutton/api", secret=SERVER_SECRET
        )
        assert await res.servers.store.add_server(ServerId("bbb1"), change)
        with_uploads = rewire(res, recordings__spool=spool)
        async with serve_public(with_uploads, timeouts or ClientTimeouts(linger_s=3.0)) as public:
            yield public


@pytest.mark.parametrize("sub", ["bbb1", "bbb1.example.org"])
async def test_upload_reaches_the_spool_whole(
    redis_url: str, redis_namespace: str, tmp_path: Path, sub: str
) -> None:
    async with open_uploads(redis_url, redis_namespace, tmp_path) as public:
        answer = await public.ask("PUT", PATH, headers=bearer(token(sub=sub)), body=TAR)
    assert answer.status == 201
    check_described(answer)
    assert (tmp_path / "spool/r1.upload.tar").read_bytes() == TAR
    assert os.listdir(tmp_path / "spool") == ["r1.upload.tar"]


BAD_TOKENS = {
    "none": [],
    "basic": ["Authorization: Basic abc"],
    "empty": bearer(""),
    "garbage": bearer("a.b.c"),
    "long": bearer("a" * 5000),
    "other secret": bearer(token("x" * 40)),
    "other recording": bearer(token(recordID="r2")),
    "other server": bearer(token(sub="bbb2")),
    "no recording": bearer(token(recordID=None)),
    "no end": bearer(token(exp=None)),
    "no server": bearer(token(sub=None)),
    "expired": bearer(token(exp=int(time.time()) - 100)),
    "too far ahead": bearer(token(exp=int(time.time()) + 3600)),
    "odd end": bearer(token(exp=10**400)),
    "unsigned": bearer(jwt.encode({"sub": "bbb1", "recordID": "r1"}, "", "none")),
    "other algorithm": bearer(
        jwt.encode(
            {"sub": "bbb1", "recordID": "r1", "exp": int(time.time()) + 300},
            SERVER_SECRET + "x" * 64,
            "HS512",
        )
    ),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_upload_is_refused_without_a_good_token(
    redis_url: str, redis_namespace: str, tmp_path: Path, name: str
) -> None:
    async with open_uploads(redis_url, redis_namespace, tmp_path) as public:
        answer = await public.ask("PUT", PATH, headers=BAD_TOKENS[name], body=b"tar")
    assert (answer.status, answer.body) == (401, b"no valid token\n")
    check_described(answer)
    assert os.listdir(tmp_path / "spool") == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 405),
        ("POST", PATH, 405),
        ("PUT", "/scalelite/api/recordings/..%2f..%2fx", 404),
        ("PUT", "/scalelite/api/recordings/a/b", 404),
        ("PUT", "/scalelite/api/recordings/.r1", 404),
    ],
)
async def test_upload_is_refused_elsewhere(
    redis_url: str, redis_namespace: str, tmp_path: Path, method: str, path: str, status: int
) -> None:
    async with open_uploads(redis_url, redis_namespace, tmp_path) as public:
        answer = await public.ask(method, path, headers=bearer(token()), body=b"tar")
    assert answer.status == status
    if method == "PUT":
        check_described(answer)
    assert os.listdir(tmp_path / "spool") == []


async def test_upload_of_nothing_is_refused(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with open_uploads(redis_url, redis_namespace, tmp_path) as public:
        answer = await public.ask("PUT", PATH, headers=bearer(token()), body=b"")
    assert (answer.status, answer.body) == (400, b"no tar in the body\n")
    check_described(answer)
    assert os.listdir(tmp_path / "spool") == []


async def test_upload_without_imports_is_no_address(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with (
        open_features(redis_url, redis_namespace) as res,
        serve_public(res) as public,
    ):
        answer = await public.ask("PUT", PATH, headers=bearer(token()), body=b"tar")
    assert answer.status == 404


async def test_upload_that_is_cut_off_leaves_nothing_and_can_be_sent_again(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    head = f"PUT {PATH} HTTP/1.1\r\nHost: bbb.example\r\nContent-Length: {len(TAR)}\r\n"
    head += f"Authorization: Bearer {token()}\r\n\r\n"
    async with open_uploads(redis_url, redis_namespace, tmp_path) as public:
        async with await public.connect() as stream:
            await stream.send_all(head.encode() + TAR[:2_000_000])
            with trio.fail_after(40):
                while not os.listdir(tmp_path / "spool"):
                    await trio.sleep(0.01)
        with trio.fail_after(40):
            while os.listdir(tmp_path / "spool"):
                await trio.sleep(0.01)
        answer = await public.ask("PUT", PATH, headers=bearer(token()), body=TAR)
    assert answer.status == 201
    assert (tmp_path / "spool/r1.upload.tar").read_bytes() == TAR


async def test_upload_that_stalls_is_ended(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    head = f"PUT {PATH} HTTP/1.1\r\nHost: bbb.example\r\nContent-Length: 100\r\n"
    head += f"Authorization: Bearer {token()}\r\n\r\nhalf"
    timeouts = ClientTimeouts(rate_s=0.2, linger_s=0.1)
    async with (
        open_uploads(redis_url, redis_namespace, tmp_path, timeouts) as public,
        await public.connect() as stream,
    ):
        await stream.send_all(head.encode())
        answer = await read_answer(stream)
        assert answer.status == 408
        check_described(answer)
    assert os.listdir(tmp_path / "spool") == []


async def test_upload_larger_than_allowed_is_refused(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with open_uploads(
        redis_url, redis_namespace, tmp_path, RECORDING_MAX_BYTES="1M"
    ) as public:
        answer = await public.ask("PUT", PATH, headers=bearer(token()), body=TAR)
    assert answer.status == 413
    check_described(answer)
    assert os.listdir(tmp_path / "spool") == []


async def test_upload_to_a_spool_that_cannot_be_written_is_put_off(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with open_uploads(redis_url, redis_namespace, tmp_path) as public:
        (tmp_path / "spool").rmdir()
        (tmp_path / "spool").write_bytes(b"")
        answer = await public.ask("PUT", PATH, headers=bearer(token()), body=TAR)
        assert [event for event, _ in public.log.errors] == ["recording_upload_refused"]
    assert answer.status == 503
    check_described(answer)


REASONS = {
    "none": ("it has no token", ""),
    "garbage": ("its token cannot be read, or names no server", ""),
    "other secret": ("wrong secret", "bbb1"),
    "other recording": ("its token is for another recording", "bbb1"),
    "other server": ("unknown server", "bbb2"),
    "expired": ("its token has expired or is valid for too long", "bbb1"),
    "unsigned": ("wrong secret", "bbb1"),
    "other algorithm": ("wrong secret", "bbb1"),
}


async def test_operators_see_what_was_refused_and_why(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with (
        open_uploads(redis_url, redis_namespace, tmp_path, RECORDING_MAX_BYTES="4M") as public,
        open_control(public.res) as control,
    ):
        for number, (name, (reason, server)) in enumerate(REASONS.items(), start=1):
            await public.ask("PUT", PATH, headers=BAD_TOKENS[name], body=b"tar")
            (one,) = (await control.ctl("recordings", "imports", "--refused", "--json")).json
            assert (one["record_id"], one["server"], one["client"]) == ("r1", server, "127.0.0.1")
            assert (one["reason"][: len(reason)], one["attempts"]) == (reason, number)
        logged = public.log.named("recording_upload_refused")
        assert (logged[0]["record"], logged[0]["reason"]) == ("r1", "it has no token")
        shown = (await control.ctl("recordings", "imports", "--refused")).out
        assert "wrong secret" in shown

        large = "/scalelite/api/recordings/r9"
        headers = bearer(token(recordID="r9"))
        assert (
            await public.ask("PUT", large, headers=headers, body=b"x" * 5_000_000)
        ).status == 413
        (newest, _) = await control.get("getRefusedUploads")
        assert (newest["record_id"], newest["status"]) == ("r9", 413)

        # Once it is accepted, it is no more among them.
        assert (await public.ask("PUT", PATH, headers=bearer(token()), body=TAR)).status == 201
        assert [one["record_id"] for one in await control.get("getRefusedUploads")] == ["r9"]


async def test_refused_uploads_are_bounded(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        refused, now_ms = res.recordings.refused, res.now_ms()
        for number in range(MAX_REFUSED + 5):
            await refused.note(RefusedUpload(f"r{number}", "b", "c", "why", 401, now_ms + number))
        found = await refused.read_all(now_ms=now_ms)
        assert (len(found), found[-1].record_id) == (MAX_REFUSED, "r5")
        assert await refused.read_all(now_ms=now_ms + 15 * 86_400_000) == []


async def test_upload_of_a_removed_server_is_accepted_until_it_is_forgotten(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with open_uploads(redis_url, redis_namespace, tmp_path) as public:
        await remove_server(public.res.servers, "me", "bbb1", force=False)
        for sub in ("bbb1", "bbb1.example.org"):
            headers = bearer(token(sub=sub))
            assert (await public.ask("PUT", PATH, headers=headers, body=TAR)).status == 201
        for bad in ("other secret", "other recording"):
            assert (await public.ask("PUT", PATH, headers=BAD_TOKENS[bad], body=TAR)).status == 401
        await forget_retired(public.res.servers, "me", "bbb1")
        assert (await public.ask("PUT", PATH, headers=bearer(token()), body=TAR)).status == 401
        (one,) = await public.res.recordings.refused.read_all(now_ms=public.res.now_ms())
        assert one.reason == "unknown server"
