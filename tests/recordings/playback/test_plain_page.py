"""Who gets the plain page of a recording, in which language, and what it may load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio
import yaml
from werkzeug.datastructures import LanguageAccept

from appliance.recordings.playback.plain_page import PlainPage, media_origins
from tests.doubles.features import EventBook
from tests.doubles.playback import Player, open_player
from tests.doubles.public import Answer
from tests.doubles.recordings import make_recording
from tests.doubles.s3 import s3_settings
from tests.doubles.settings import settings_of

DEADLINE_S = 60
PAGE = "/playback/presentation/2.3/rec-1"
BELOW = "/presentation/rec-1/playback.html"
ROOT = Path(__file__).resolve().parents[3]


async def get(player: Player, target: str, *headers: str, method: str = "GET") -> Answer:
    return await player.public.ask(method, target, headers=headers)


async def test_page_is_shown_until_the_player_is_there(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> None:
    stores = (redis_url, redis_namespace, database_url, tmp_path)
    with trio.fail_after(DEADLINE_S):
        async with open_player(*stores) as player:
            await player.add("rec-1", name="<b>Maths</b> & more", start_ms=1_764_000_000_000)
            await player.add("hidden", published=False)
            await player.add("video-only", "video")
            for target in (PAGE, f"{PAGE}/", BELOW):
                shown = await get(player, target)
                assert (shown.status, shown.headers["vary"]) == (200, "accept-language"), target
                assert shown.headers["cache-control"] == "private, no-cache"
                assert b"<title>&lt;b&gt;Maths&lt;/b&gt; &amp; more</title>" in shown.body
                assert b'datetime="2025-11-24T16:00:00+00:00"' in shown.body
                head = await get(player, target, method="HEAD")
                assert (head.status, head.body) == (200, b"")
            german = await get(player, PAGE, "Accept-Language: fr, de-AT;q=0.8, en;q=0.5")
            assert b'<html lang="de">' in german.body
            assert b"Folien" in german.body
            for name in ("unknown", "hidden", "video-only", "rec-1/x", ".installed.json", ""):
                other = await get(player, f"/playback/presentation/2.3/{name}")
                assert other.status == 404, name
            assert (await get(player, "/playback/plain/plain_page.py")).status == 404
            link = await get(player, "/recording/rec-1/presentation")
            assert link.headers["location"] == PAGE

            page = player.player / "presentation/2.3/index.html"
            page.parent.mkdir(parents=True)
            page.write_bytes(b"the player")
            assert (await get(player, PAGE)).body == b"the player"
            assert (await get(player, BELOW)).status == 200
            (page.parent / ".installed.json").write_text("{}")
            assert (await get(player, "/playback/presentation/2.3/.installed.json")).status == 404


async def test_page_of_a_protected_recording_needs_the_cookie_of_its_files(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> None:
    stores = (redis_url, redis_namespace, database_url, tmp_path)
    with trio.fail_after(DEADLINE_S):
        async with open_player(*stores) as player:
            for name in ("rec-1", "rec-2"):
                await player.add(name)
                await player.protect(name)
            cookies = []
            for name in ("rec-1", "rec-2"):
                (token,) = await player.tokens.issue_tokens([(name, "presentation")])
                link = f"/recording/{name}/presentation?token={token}"
                head = await get(player, link, method="HEAD")
                opened = await get(player, link)
                below = f"/presentation/{name}/playback.html"
                assert head.headers["location"] == opened.headers["location"] == below
                cookies.append(opened.headers["set-cookie"].partition(";")[0])
            for target in (PAGE, BELOW):
                assert (await get(player, target)).status == 404
                assert (await get(player, target, f"Cookie: {cookies[1]}")).status == 404
                assert (await get(player, target, f"Cookie: {cookies[0]}")).status == 200

            page = player.player / "presentation/2.3/index.html"
            page.parent.mkdir(parents=True)
            page.write_bytes(b"the player")
            (token,) = await player.tokens.issue_tokens([("rec-1", "presentation")])
            opened = await get(player, f"/recording/rec-1/presentation?token={token}")
            assert opened.headers["location"] == PAGE


def test_every_text_of_the_page_has_its_german() -> None:
    template = (ROOT / "appliance/recordings/playback/templates/plain_page.html").read_text()
    used = {*re.findall(r'\bt\("([^"]+)"\)', template), "Recording"}
    german = yaml.safe_load((ROOT / "config/locales/de.yml").read_text())["de"]["playback"]

    assert set(german) == used


@pytest.mark.parametrize(
    ("locale", "accepted", "language"),
    [
        ("en", [("de", 1)], "de"),
        ("en", [("fr", 1)], "en"),
        ("de", [("fr", 1)], "de"),
        ("fr", [], "en"),
        ("de_AT", [], "de"),
    ],
)
async def test_language_is_that_of_the_browser_or_of_the_settings(
    locale: str, accepted: list[tuple[str, float]], language: str
) -> None:
    page = PlainPage(settings_of(DEFAULT_LOCALE=locale), EventBook())

    response = page.render(make_recording(name=None), LanguageAccept(accepted))

    assert f'<html lang="{language}">' in await response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("variables", "origins"),
    [
        ({}, ("https://s3.example:9000", "https://bucket.s3.example:9000")),
        (
            {"S3_SERVE": "cloudfront", "CLOUDFRONT_URL": "https://cdn.example/x"},
            ("https://cdn.example",),
        ),
    ],
)
def test_page_may_load_from_where_files_are_redirected_to(
    variables: dict[str, str], origins: tuple[str, ...]
) -> None:
    if variables:
        from tests.doubles.s3 import pem_key

        variables |= {"CF_KEY_PAIR_ID": "K1", "CF_PRIVATE_KEY_B64": pem_key()[1]}
    assert media_origins(s3_settings("https://s3.example:9000", "bucket", **variables)) == origins


def test_page_loads_from_nowhere_else_without_a_bucket() -> None:
    assert media_origins(settings_of().s3) == ()
