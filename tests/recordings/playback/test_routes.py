"""Playback over the wire: real PostgreSQL, real Redis, real files, real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio

from appliance.http.page_texts import load_page_texts
from appliance.recordings.playback.served_files import ServedFiles
from tests.doubles.features import open_features, rewire
from tests.doubles.playback import INDEX, KEY, Player, open_player
from tests.doubles.public import Answer, serve_public

DEADLINE_S = 40.0
OLD_SAFARI = (
    "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/12.1 Safari/605.1.15"
)

Opener = Callable[..., AbstractAsyncContextManager[Player]]


@pytest.fixture
def opener(redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path) -> Opener:
    """Give what opens an appliance with these variables."""

    def opened(**variables: str) -> AbstractAsyncContextManager[Player]:
        return open_player(redis_url, redis_namespace, database_url, tmp_path, s3=None, **variables)

    return opened


@pytest.fixture
async def player(opener: Opener) -> AsyncIterator[Player]:
    """Give an appliance with the defaults."""
    async with opener() as player:
        yield player


async def get(player: Player, target: str, *headers: str, **parts: Any) -> Answer:
    """Ask for something."""
    return await player.public.ask("GET", target, headers=headers, **parts)


def assert_page(answer: Answer, status: int = 404) -> None:
    """Assert that an answer is the page that says no."""
    assert answer.status == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<h1>Recording" in answer.body
    assert "set-cookie" not in answer.headers


async def token_of(player: Player, record_id: str = "rec-1", format: str = "presentation") -> str:
    """Return a fresh token."""
    (token,) = await player.tokens.issue_tokens([(record_id, format)])
    return token


async def test_link_leads_to_the_stored_address(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1", "presentation", "video")
        for method in ("GET", "HEAD"):
            for format in ("presentation", "video"):
                answer = await player.public.ask(method, f"/recording/rec-1/{format}")
                assert answer.status == 307
                assert answer.headers["location"] == f"/playback/{format}/2.3/rec-1"
                assert "set-cookie" not in answer.headers


async def test_what_cannot_be_seen_is_a_page(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1")
        await player.add("hidden", published=False)
        await player.add("gone")
        async with player.store.lock_recordings(["gone"], None) as locked:
            await locked.delete(locked.recordings[0])
        player.place("rec-1", "video")
        player.place("stray", "video")
        for target in (
            "/recording/unknown/presentation",
            "/recording/hidden/presentation",
            "/recording/gone/presentation",
            "/recording/rec-1/video",
            "/recording/rec-1",
            "/recording/",
            "/recording/rec-1/presentation/more",
            "/recording/%00/presentation",
            "/presentation/unknown/index.html",
            "/presentation/hidden/index.html",
            "/presentation/gone/index.html",
            "/presentation/",
            "/presentation/rec-1/absent.png",
            "/video/rec-1/index.html",
            "/video/stray/index.html",
            "/playback/absent",
        ):
            assert_page(await get(player, target))
            head = await player.public.ask("HEAD", target)
            assert (head.status, head.body) == (404, b"")
        posted = await player.public.ask("POST", "/presentation/rec-1/index.html")
        assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")


async def test_files_are_served(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1", "presentation", "notes")
        directory = player.place("rec-1", "presentation", slide_svg=b"<svg/>")
        (directory / "sub").mkdir()
        (directory / "sub" / "ä b.txt").write_bytes(b"inside")
        player.place("rec-1", "notes", notes_pdf=b"%PDF")

        answer = await get(player, "/presentation/rec-1/slide.svg?v=1")
        assert (answer.status, answer.body) == (200, b"<svg/>")
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "content-disposition" not in answer.headers
        assert "cache-control" not in answer.headers
        inside = await get(player, "/presentation/rec-1/sub/%C3%A4%20b.txt", "Range: bytes=-4")
        assert (inside.status, inside.body) == (206, b"side")
        assert (await get(player, "/presentation/rec-1/")).body == INDEX
        notes = await get(player, "/notes/rec-1/notes.pdf")
        assert notes.headers["content-disposition"] == "attachment"
        for target in ("/presentation/rec-1", "/presentation/rec-1/sub"):
            moved = await get(player, f"{target}?a=%0d%0a")
            assert moved.status == 301
            assert moved.headers["location"] == f"{target}/?a=%0d%0a"


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "x/../../secret",
        "x/../index.html",
        "./index.html",
        "%2Fetc%2Fpasswd",
        "index.html%00",
        "..%5csecret",
        "%ff",
        "far.txt",
        "up/secret",
        "neighbour/index.html",
    ],
)
async def test_traversal_is_refused(player: Player, path: str) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1")
        await player.add("rec-2")
        directory = player.place("rec-1", "presentation")
        (player.published / "presentation" / "secret").write_bytes(b"secret")
        (directory / "far.txt").symlink_to("/etc/hostname")
        (directory / "up").symlink_to("..")
        (directory / "neighbour").symlink_to("../rec-2")
        (player.player / "far.txt").symlink_to("/etc/hostname")
        (player.player / "up").symlink_to("..")

        assert_page(await get(player, f"/presentation/rec-1/{path}"))
        assert_page(await get(player, f"/playback/{path}"))
        assert (await get(player, f"/{path}")).status == 404


async def test_change_is_seen_within_a_second(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1")
        assert (await get(player, "/presentation/rec-1/index.html")).status == 200
        async with player.store.lock_recordings(["rec-1"], None) as locked:
            await locked.set_published(locked.recordings[0], False)
        with trio.fail_after(40):
            while (await get(player, "/presentation/rec-1/index.html")).status != 404:
                await trio.sleep(0.05)
        assert_page(await get(player, "/recording/rec-1/presentation"))


async def test_own_change_is_seen_at_once(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1")
        file = "/presentation/rec-1/index.html"
        for protected, status in ((True, 404), (False, 200), (True, 404), (False, 200)):
            await player.protect("rec-1", protected)
            assert (await get(player, file)).status == status


async def test_protected_recording_is_opened_once_by_its_token(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        # The feature is off: the recording decides (fault 14).
        await player.add("rec-1")
        await player.protect("rec-1")
        link, file = "/recording/rec-1/presentation", "/presentation/rec-1/index.html"
        assert_page(await get(player, link))
        assert_page(await get(player, file))
        token = await token_of(player)
        for _ in range(3):
            head = await player.public.ask("HEAD", f"{link}?token={token}")
            assert head.status == 307
            assert "set-cookie" not in head.headers

        answer = await get(player, f"{link}?token={token}")

        assert answer.status == 307
        assert answer.headers["cache-control"] == "no-store"
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        assert attributes == [
            "Path=/presentation/rec-1", "Max-Age=21600", "Secure", "HttpOnly", "SameSite=None",
        ]  # fmt: skip
        name, _, value = cookie.partition("=")
        assert name == "recording_presentation_rec-1"
        assert jwt.decode(value, KEY, ["HS256"])["sub"] == "/presentation/rec-1"
        assert_page(await get(player, f"{link}?token={token}"))
        played = await get(player, file, f"Cookie: a=b; {cookie}")
        assert (played.status, played.body) == (200, INDEX)
        assert played.headers["cache-control"] == "private, no-cache"
        for wrong in ("", f"{name}=x", f"{name}2={value}"):
            assert_page(await get(player, file, f"Cookie: {wrong}"))
        assert not player.public.log.errors


async def test_head_of_a_protected_recording_answers_as_get(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1", "presentation", "video")
        await player.protect("rec-1")
        link = "/recording/rec-1/presentation"
        for token in ("x", "a" * 64, await token_of(player, format="video")):
            head = await player.public.ask("HEAD", f"{link}?token={token}")
            unknown = await player.public.ask(
                "HEAD", f"/recording/unknown/presentation?token={token}"
            )
            assert (head.status, unknown.status) == (404, 404)
        token = await token_of(player)
        assert (await player.public.ask("HEAD", f"{link}?token={token}")).status == 307
        assert (await get(player, f"{link}?token={token}")).status == 307
        assert (await player.public.ask("HEAD", f"{link}?token={token}")).status == 404


async def test_track_of_a_protected_recording_is_fetched_by_its_href(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1")
        index = b'[{"locale": "en", "localeName": "English"}]'
        track = b"WEBVTT\n"
        player.place("rec-1", "presentation", captions_json=index)
        (player.published / "presentation/rec-1/caption_en.vtt").write_bytes(track)
        for protected in (False, True):
            await player.protect("rec-1", protected)
            answer = await player.public.call("getRecordingTextTracks", {"recordID": "rec-1"})
            (found,) = json.loads(answer.body)["response"]["tracks"]
            target = found["href"].removeprefix("http://bbb.example")
            path, _, token = target.partition("?token=")
            assert path == "/presentation/rec-1/caption_en.vtt"
            assert bool(token) is protected
            for _ in range(2):
                fetched = await get(player, target)
                assert (fetched.status, fetched.body) == (200, track)
        assert_page(await get(player, path))
        assert_page(await get(player, f"/presentation/rec-1/index.html?token={token}"))
        cookie = f"Cookie: recording_presentation_rec-1={token}"
        assert_page(await get(player, "/presentation/rec-1/index.html", cookie))
        claims = jwt.decode(token, KEY, ["HS256"])
        old = jwt.encode(claims | {"exp": 1}, KEY, "HS256")
        assert_page(await get(player, f"{path}?token={old}"))


async def test_token_and_cookie_open_nothing_else(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        for record_id in ("rec-1", "rec-2"):
            await player.add(record_id, "presentation", "video")
            await player.protect(record_id)
        for pair in (("rec-2", "presentation"), ("rec-1", "video")):
            token = await token_of(player, *pair)
            assert_page(await get(player, f"/recording/rec-1/presentation?token={token}"))
        token = await token_of(player)
        opened = await get(player, f"/recording/rec-1/presentation?token={token}")
        value = opened.headers["set-cookie"].partition(";")[0].partition("=")[2]
        for format, record_id in (("video", "rec-1"), ("presentation", "rec-2")):
            cookie = f"Cookie: recording_{format}_{record_id}={value}"
            assert_page(await get(player, f"/{format}/{record_id}/index.html", cookie))


async def test_old_cookie_opens_nothing(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1")
        await player.protect("rec-1")
        claims = {"sub": "/presentation/rec-1", "exp": player.public.res.now_ms() // 1000 - 1}
        value = jwt.encode(claims, KEY, "HS256")
        cookie = f"Cookie: recording_presentation_rec-1={value}"
        assert_page(await get(player, "/presentation/rec-1/index.html", cookie))


async def test_old_browsers_get_a_cookie_without_same_site(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1")
        await player.protect("rec-1")
        link = f"/recording/rec-1/presentation?token={await token_of(player)}"
        answer = await get(player, link, OLD_SAFARI)
        assert answer.status == 307
        assert "SameSite" not in answer.headers["set-cookie"]


async def test_tenants_play_only_what_is_theirs(opener: Opener, redis_namespace: str) -> None:
    with trio.fail_after(DEADLINE_S):
        variables = {"MULTITENANCY_ENABLED": "true", "URL_HOST": "bbb.example"}
        async with opener(**variables) as player:
            await add_tenants(player, redis_namespace)
            await player.add("one", metadata=(("tenant-id", "id-1"),))
            await player.add("two", metadata=(("tenant-id", "id-2"),))
            await player.add("nobodys")
            for label, record_id, ours in (
                ("t1", "one", True),
                ("t1", "two", False),
                ("t2", "one", False),
                ("t2", "two", True),
                ("t1", "nobodys", False),
                ("t3", "one", False),
            ):
                for target, status in (
                    (f"/recording/{record_id}/presentation", 307),
                    (f"/presentation/{record_id}/index.html", 200),
                ):
                    answer = await get(player, target, host=f"{label}.bbb.example")
                    assert answer.status == (status if ours else 404), (label, target)
            assert (await get(player, "/recording/one/presentation", host="evil")).status == 403


async def add_tenants(player: Player, namespace: str) -> None:
    """Add the tenants t1 (id-1) and t2 (id-2) as Scalelite stores them."""
    client = player.tokens.redis.client
    for number in ("1", "2"):
        key, label = f"id-{number}", f"t{number}"
        fields = ("id", key, "name", label, "secrets", f"secret-{number}")
        await client.command("HSET", f"{namespace}:tenant:{key}", *fields)
        await client.command("SADD", f"{namespace}:tenants", key)


async def test_nginx_is_told_where_the_file_is(opener: Opener) -> None:
    with trio.fail_after(DEADLINE_S):
        async with opener(X_ACCEL_REDIRECT="true") as player:
            await player.add("rec-1", "presentation", "podcast")
            for target, inner, content_type in (
                ("/presentation/rec-1/a%20b/c.png", "/presentation/rec-1/a%20b/c.png", "image/png"),
                ("/podcast/rec-1/audio.ogg", "/podcast/rec-1/audio.ogg", "audio/ogg"),
                ("/presentation/rec-1/", "/presentation/rec-1/", "text/html; charset=utf-8"),
            ):
                answer = await get(player, target)
                assert (answer.status, answer.body) == (200, b"")
                assert answer.headers["x-accel-redirect"] == f"/static-resource{inner}"
                assert answer.headers["content-type"] == content_type
                disposed = answer.headers.get("content-disposition")
                assert disposed == ("attachment" if "podcast" in target else None)
            assert_page(await get(player, "/presentation/rec-1/..%2f..%2fx"))
            assert_page(await get(player, "/presentation/unknown/x"))


async def test_player_is_served_with_its_page_for_any_recording(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        page = player.player / "presentation" / "2.3"
        (page / "static").mkdir(parents=True)
        (page / "index.html").write_bytes(b"the player")
        (page / "static" / "main.js").write_bytes(b"1")
        for target in ("/rec-1", "", "/", "/static/absent.js", "/static"):
            answer = await get(player, f"/playback/presentation/2.3{target}")
            assert (answer.status, answer.body) == (200, b"the player"), target
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
        script = await get(player, "/playback/presentation/2.3/static/main.js")
        assert (script.body, script.headers["content-type"]) == (
            b"1", "text/javascript; charset=utf-8",
        )  # fmt: skip
        assert_page(await get(player, "/playback/presentation/2.2/x"))
        assert_page(await get(player, "/playback/"))


async def test_addresses_of_old_nginx_files_lead_on(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        for target, expected in (
            ("/playback/video/rec-1/", "/video/rec-1/"),
            ("/recording/screenshare/rec-1/", "/screenshare/rec-1/"),
            (
                "/playback/presentation/2.0/playback.html?meetingId=rec-1&t=1m30s",
                "/playback/presentation/2.3/rec-1?meetingId=rec-1&t=1m30s",
            ),
        ):
            answer = await get(player, target)
            assert (answer.status, answer.headers["location"]) == (307, expected)


async def test_formats_are_those_of_the_setting(opener: Opener) -> None:
    with trio.fail_after(DEADLINE_S):
        async with opener(RECORDING_PLAYBACK_FORMATS="video:mine:bigbluebutton") as player:
            await player.add("rec-1", "mine", "presentation")
            assert (await get(player, "/mine/rec-1/index.html")).status == 200
            other = await get(player, "/presentation/rec-1/index.html")
            assert (other.status, other.key) == (404, "unsupportedRequest")
            assert (await player.public.call("getMeetings")).returncode == "SUCCESS"


async def test_page_speaks_the_language_of_the_browser_or_the_appliance(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_features(redis_url, redis_namespace, DEFAULT_LOCALE="de") as bare:
            texts = load_page_texts(bare.log)
            served = ServedFiles(bare.settings.recordings)
            # Without a database, too.
            res = rewire(bare, recordings__error_texts=texts, recordings__served=served)
            async with serve_public(res) as public:
                answer = await public.ask("GET", "/recording/x/presentation")
                assert answer.status == 404
                assert "Aufzeichnung nicht gefunden" in answer.body.decode()
                english = ["Accept-Language: en-US,en;q=0.9,de;q=0.8"]
                answer = await public.ask("GET", "/recording/x/presentation", headers=english)
                assert "Recording Not Found" in answer.body.decode()


async def test_secrets_are_in_no_log(player: Player) -> None:
    with trio.fail_after(DEADLINE_S):
        await player.add("rec-1")
        await player.protect("rec-1")
        token = await token_of(player)
        await get(player, f"/recording/rec-1/presentation?token={token}")
        await get(player, f"/recording/rec-1/presentation?token={token}")
        assert token not in repr(player.public.log.events)
        assert KEY not in repr(player.public.res)


async def test_page_says_when_a_store_is_down(opener: Opener) -> None:
    with trio.fail_after(DEADLINE_S):
        async with opener() as player:
            broken = rewire(player.public.res, recordings__store=None)
            async with serve_public(broken) as public:
                assert (await public.ask("GET", "/presentation/rec-1/x")).status == 404
            await player.add("rec-1")
            await player.protect("rec-1")
            broken = rewire(player.public.res, recordings__tokens=None)
            async with serve_public(broken) as public:
                answer = await public.ask("GET", "/recording/rec-1/presentation?token=x")
                assert_page(answer, 503)
                assert public.log.named("request_without_store")
