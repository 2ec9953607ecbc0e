"""Playing recordings from a bucket: what is streamed, what is redirected, and faults."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1

from appliance.recordings.objects.bucket_client import cloudfront_cookies
from appliance.recordings.playback.from_bucket import parent_domain
from tests.doubles.cloudfront import KEY_PAIR_ID, refusal
from tests.doubles.playback import Player, open_player
from tests.doubles.public import Answer, request
from tests.doubles.s3 import S3Server, pem_key, s3_settings

DEADLINE_S = 60.0
VIDEO = bytes(range(256)) * 2000
XML = b"<recording>" + b"x" * 600_000 + b"</recording>"
LONG = "/".join([*["d" * 200] * 4, "e" * 160, "v.txt"])
"""970 bytes, more than 1,000 as a key."""
OBJECTS = {
    "published/presentation/rec-1/metadata.xml": XML,
    "published/presentation/rec-1/index.html": b"<p>page</p>",
    "published/presentation/rec-1/video/webcams.webm": VIDEO,
    "published/presentation/rec-1/empty.txt": b"",
    "unpublished/presentation/rec-1/late.xml": b"<late/>",
    "published/podcast/rec-1/audio.ogg": b"ogg",
    "published/presentation/rec-1/a\u202fb.txt": b"space",
    f"published/presentation/rec-1/{LONG}": b"long",
    "published/presentation/rec-2/metadata.xml": b"<secret/>",
}
Open = Callable[..., AbstractAsyncContextManager[Player]]


@pytest.fixture
def open_s3(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path, s3: S3Server
) -> Open:
    bucket = s3.make_bucket()
    for key, content in OBJECTS.items():
        s3.client.put_object(Bucket=bucket, Key=f"pre/{key}", Body=content)

    @asynccontextmanager
    async def open_with(**variables: str) -> AsyncIterator[Player]:
        settings = s3_settings(variables.pop("url", s3.url), bucket, S3_PREFIX="pre", **variables)
        stores = (redis_url, redis_namespace, database_url, tmp_path)
        async with open_player(*stores, s3=settings) as player:
            await player.add("rec-1", "presentation", "podcast")
            for name in ("presentation", "podcast"):
                (player.published / name / "rec-1" / "index.html").unlink()
            await player.add("rec-2", published=False, state="unpublished")
            yield player

    return open_with


async def get(player: Player, target: str, *headers: str, method: str = "GET") -> Answer:
    """Ask for something."""
    return await player.public.ask(method, target, headers=headers)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("serve", ["mixed", "proxy"])
async def test_text_is_streamed(open_s3: Open, serve: str) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_s3(S3_SERVE=serve) as player:
            whole = await get(player, "/presentation/rec-1/metadata.xml")
            assert (whole.status, whole.body) == (200, XML)
            assert whole.headers["content-type"] == "text/xml; charset=utf-8"
            assert whole.headers["accept-ranges"] == "bytes"
            tag = whole.headers["etag"]

            again = request(
                "GET", "/presentation/rec-1/metadata.xml", headers=[f"If-None-Match: {tag}"]
            )
            same = await player.public.raw(again, head_only=True)
            assert (same.status, same.body) == (304, b"")
            for wanted, part in (("5-9", XML[5:10]), ("600000-", XML[600000:]), ("-7", XML[-7:])):
                answer = await get(
                    player, "/presentation/rec-1/metadata.xml", f"Range: bytes={wanted}"
                )
                assert (answer.status, answer.body) == (206, part)
            beyond = await get(player, "/presentation/rec-1/metadata.xml", "Range: bytes=9999999-")
            assert beyond.status == 416
            head = await get(player, "/presentation/rec-1/metadata.xml", method="HEAD")
            assert (head.headers["content-length"], head.body) == (str(len(XML)), b"")
            assert (await get(player, "/presentation/rec-1/empty.txt")).body == b""
            assert (await get(player, "/presentation/rec-1/late.xml")).body == b"<late/>"
            assert (await get(player, "/presentation/rec-1/")).body == b"<p>page</p>"


async def test_media_are_redirected_to_the_bucket(open_s3: Open) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_s3() as player:
            answer = await get(player, "/presentation/rec-1/video/webcams.webm")
            assert (answer.status, answer.headers["cache-control"]) == (302, "no-store")
            url = answer.headers["location"]
            query = parse_qs(urlsplit(url).query)
            assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
            assert query["X-Amz-SignedHeaders"] == ["host"]
            assert query["X-Amz-Expires"] == ["600"]
            assert await trio.to_thread.run_sync(fetch, url) == VIDEO

            podcast = await get(player, "/podcast/rec-1/audio.ogg")
            query = parse_qs(urlsplit(podcast.headers["location"]).query)
            assert query["response-content-disposition"] == ["attachment"]


@pytest.mark.parametrize("serve", ["mixed", "redirect"])
async def test_head_is_answered_since_a_url_of_the_bucket_is_for_get_only(
    open_s3: Open, serve: str
) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_s3(S3_SERVE=serve) as player:
            answer = await get(player, "/presentation/rec-1/video/webcams.webm", method="HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers["content-length"] == str(len(VIDEO))
            missing = await get(player, "/presentation/rec-1/video/none.webm", method="HEAD")
            assert missing.status == 404


async def test_everything_is_proxied_or_redirected(open_s3: Open) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_s3(S3_SERVE="proxy") as player:
            video = "/presentation/rec-1/video/webcams.webm"
            assert (await get(player, video)).body == VIDEO
            part = await get(player, video, "Range: bytes=300000-")
            assert (part.status, part.body) == (206, VIDEO[300000:])
        async with open_s3(S3_SERVE="redirect") as player:
            answer = await get(player, "/presentation/rec-1/metadata.xml")
            assert answer.status == 302


@pytest.mark.parametrize("serve", ["mixed", "redirect"])
async def test_nothing_else_is_shown(open_s3: Open, serve: str) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_s3(S3_SERVE=serve) as player:
            for path in (
                "/presentation/rec-1/missing.xml", "/presentation/rec-1/missing.webm",
                "/presentation/rec-2/metadata.xml", "/presentation/rec-9/metadata.xml",
                "/presentation/rec-1/%2e%2e/rec-2/metadata.xml", "/presentation/rec-1/video/",
            ):  # fmt: skip
                assert (await get(player, path)).status == 404, path
            folder = await get(player, "/presentation/rec-1/video")
            assert (folder.status, folder.headers["location"]) == (
                301, "/presentation/rec-1/video/",
            )  # fmt: skip


async def test_names_that_imports_accept_are_played_and_no_others(open_s3: Open) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_s3() as player:
            for path, content in (("a%E2%80%AFb.txt", b"space"), (LONG, b"long")):
                assert (await get(player, f"/presentation/rec-1/{path}")).body == content
            for path in ("a%09b.txt", f"{LONG}{'t' * 50}", "a%ED%A0%80.txt"):
                assert (await get(player, f"/presentation/rec-1/{path}")).status in (400, 404)


async def test_protected_recording_needs_its_cookie(open_s3: Open) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_s3() as player:
            await player.protect("rec-1")
            assert (await get(player, "/presentation/rec-1/metadata.xml")).status == 404
            assert (await get(player, "/presentation/rec-1/video/webcams.webm")).status == 404


async def test_files_on_the_disk_are_served_first(open_s3: Open) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_s3() as player:
            player.place("rec-1", "presentation", metadata_xml=b"<disk/>")
            answer = await get(player, "/presentation/rec-1/metadata.xml")
            assert answer.body == b"<disk/>"


@pytest.mark.parametrize("fault", ["closed", "bucket"])
async def test_fault_is_answered_with_503(open_s3: Open, fault: str, s3: S3Server) -> None:
    more = {"url": "http://127.0.0.1:9"} if fault == "closed" else {"S3_BUCKET_NAME": "no-such"}
    with trio.fail_after(DEADLINE_S):
        async with open_s3(**more) as player:
            for path in ("metadata.xml", "video/webcams.webm"):
                answer = await get(player, f"/presentation/rec-1/{path}")
                assert (answer.status, answer.headers["retry-after"]) == (503, "10")
            assert player.public.log.named("object_not_opened")


async def test_cloudfront_gets_signed_cookies(open_s3: Open) -> None:
    key, pem = pem_key()
    variables = {"CLOUDFRONT_URL": "https://cdn.example.org", "CF_KEY_PAIR_ID": "K1"}
    with trio.fail_after(DEADLINE_S):
        async with open_s3(S3_SERVE="cloudfront", CF_PRIVATE_KEY_B64=pem, **variables) as player:
            base = "https://cdn.example.org/published/presentation/rec-1"
            page = await trio.to_thread.run_sync(ask_as_browser, player, "/presentation/rec-1/")
            assert (page.status, page.headers["location"]) == (307, f"{base}/index.html")
            lines = page.headers.get_all("set-cookie") or []
            cookies = dict(line.split("=", 1) for line in lines)
            assert set(cookies) == {
                "CloudFront-Policy", "CloudFront-Signature", "CloudFront-Key-Pair-Id",
            }  # fmt: skip
            value, *attributes = cookies["CloudFront-Policy"].split("; ")
            fixed = {"Domain=.example.org", "Path=/", "Secure", "HttpOnly", "SameSite=None"}
            assert fixed < set(attributes)
            policy = plain(value)
            assert json.loads(policy)["Statement"][0]["Resource"] == f"{base}/*"
            signature = plain(cookies["CloudFront-Signature"].split(";")[0])
            key.public_key().verify(signature, policy, PKCS1v15(), SHA1())

            media = await get(player, "/presentation/rec-1/video/webcams.webm")
            assert media.headers["location"] == f"{base}/video/webcams.webm"
            assert (await get(player, "/presentation/rec-1/metadata.xml")).body == XML


def test_cookies_open_one_recording_and_end() -> None:
    key, pem = pem_key()
    now_s, base = 1_000_000, "https://cdn.example.org/published/presentation/rec-1"
    settings = s3_settings("http://x", "b", CF_KEY_PAIR_ID=KEY_PAIR_ID, CF_PRIVATE_KEY_B64=pem)
    cookies = cloudfront_cookies(settings, f"{base}/*", now_s + 300)
    public = key.public_key()

    assert refusal(cookies, f"{base}/video/webcams.webm", public, now_s) == ""
    assert refusal(cookies, f"{base}/video/webcams.webm", public, now_s + 300) == "expired"
    assert refusal(cookies, f"{base}0/metadata.xml", public, now_s) == "another resource"
    assert "no valid cookies" in refusal({}, f"{base}/a", public, now_s)
    assert "no valid cookies" in refusal(cookies, f"{base}/a", pem_key()[0].public_key(), now_s)


def ask_as_browser(player: Player, path: str) -> HTTPResponse:
    """Ask with a host that shares a domain with that of CloudFront."""
    connection = HTTPConnection("127.0.0.1", player.public.port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": "scalelite.example.org"})
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def plain(value: str) -> bytes:
    return base64.b64decode(value.replace("_", "="), b"-~")


@pytest.mark.parametrize(
    ("host", "other", "domain"),
    [
        ("a.example.org", "cdn.example.org", "example.org"),
        ("t.a.example.org", "cdn.a.example.org", "a.example.org"),
        ("example.org", "cdn.example.org", "example.org"),
        ("a.org", "b.org", None),
        ("127.0.0.1", "127.0.0.1", None),
        ("localhost", "localhost", None),
    ],
)
def test_cookies_are_for_the_parent_of_both_hosts(
    host: str, other: str, domain: str | None
) -> None:
    assert parent_domain(host, other) == domain
