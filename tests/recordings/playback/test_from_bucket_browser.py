"""A player in a real Chromium, as BBB's works: it loads text by script, and shows media.

Source: bbb-playback, which fetches metadata.xml, shapes.svg, panzooms.xml, cursor.xml and
captions.json, and has slides in <image> and webcams in <video>, in which people seek.
"""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path

import pytest
import trio
from selenium.webdriver.support.wait import WebDriverWait

from tests.doubles.browser import Browser
from tests.doubles.cloudfront import KEY_PAIR_ID, serve_cloudfront
from tests.doubles.playback import Player, open_player
from tests.doubles.s3 import S3Server, pem_key, s3_settings

pytest_plugins = ["tests.doubles.browser_fixtures"]

LOADED = ("metadata.xml", "shapes.svg", "panzooms.xml", "cursor.xml", "captions.json")
LENGTH_S = 600
PAGE = """<!doctype html><title>waiting</title>
<video id="video" preload="metadata" muted></video><img id="slide">
<script>
const base = "/presentation/rec-1/", seen = {};
const video = document.getElementById("video"), slide = document.getElementById("slide");
const event = (target, name) => new Promise((done, failed) => {
  target.addEventListener(name, done, {once: true});
  target.addEventListener("error", () => failed(name), {once: true});
});
(async () => {
  for (const name of NAMES) seen[name] = (await (await fetch(base + name)).text()).length;
  slide.src = base + "presentation/d1/slide-1.png";
  await event(slide, "load");
  seen.slide = slide.naturalWidth;
  video.src = base + "video/webcams.webm";
  await event(video, "loadedmetadata");
  seen.duration = Math.round(video.duration);
  seen.positions = [];
  for (const position of [500, 20, 590]) {
    video.currentTime = position;
    await event(video, "seeked");
    seen.positions.push(Math.round(video.currentTime));
  }
  document.title = "done " + JSON.stringify(seen);
})().catch(error => { document.title = "done failed " + error + JSON.stringify(seen); });
</script>"""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def long_media() -> bytes:
    """Return ten minutes that can be sought: 10 MB, of which a browser reads only parts."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000 * LENGTH_S)
    return target.getvalue()


@pytest.mark.parametrize("serve", ["mixed", "proxy", "redirect"])
async def test_recording_is_played_and_sought(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path, s3: S3Server,
    browser: Browser, serve: str,
) -> None:  # fmt: skip
    bucket, files = put_recording(s3)
    settings = s3_settings(s3.url, bucket, S3_SERVE=serve)
    stores = (redis_url, redis_namespace, database_url, tmp_path)
    async with open_player(*stores, s3=settings) as player:
        await assert_played(player, browser, files)


async def test_recording_is_played_from_cloudfront_with_signed_cookies(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path, s3: S3Server,
    browser: Browser,
) -> None:  # fmt: skip
    bucket, files = put_recording(s3)
    key, pem = pem_key()
    with serve_cloudfront(s3.client, bucket, key.public_key()) as front:
        variables = {
            "S3_SERVE": "cloudfront",
            "CLOUDFRONT_URL": front.url,
            "CF_KEY_PAIR_ID": KEY_PAIR_ID,
            "CF_PRIVATE_KEY_B64": pem,
        }
        stores = (redis_url, redis_namespace, database_url, tmp_path)
        async with open_player(*stores, s3=s3_settings(s3.url, bucket, **variables)) as player:
            await assert_played(player, browser, files)

            assert front.refused == []
            assert {path.rpartition("/")[2] for path in front.served} == {
                "slide-1.png", "webcams.webm",
            }  # fmt: skip
            # The cookies that the browser has now are for this recording only.
            await trio.to_thread.run_sync(
                browser.driver.get, f"{front.url}/published/presentation/rec-2/metadata.xml"
            )
            assert front.refused == ["/published/presentation/rec-2/metadata.xml: another resource"]


def put_recording(s3: S3Server) -> tuple[str, dict[str, bytes]]:
    """Store a recording in a new bucket, which is private; return the bucket and the files."""
    bucket = s3.make_bucket()
    files = {name: f"<x>{name}</x>".encode() for name in LOADED}
    files |= {"presentation/d1/slide-1.png": PNG, "video/webcams.webm": long_media()}
    for name, content in files.items():
        s3.client.put_object(
            Bucket=bucket, Key=f"published/presentation/rec-1/{name}", Body=content
        )
    return bucket, files


async def assert_played(player: Player, browser: Browser, files: dict[str, bytes]) -> None:
    """Play the recording in the browser."""
    await player.add("rec-1")
    (player.published / "presentation/rec-1/index.html").unlink()
    page = player.player / "presentation/2.3/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE.replace("NAMES", json.dumps(LOADED)))

    url = f"http://127.0.0.1:{player.public.port}/playback/presentation/2.3/rec-1"
    title = await trio.to_thread.run_sync(watch, browser, url)

    assert "failed" not in title, title
    seen = json.loads(title.removeprefix("done "))
    assert {name: seen[name] for name in LOADED} == {name: len(files[name]) for name in LOADED}
    assert (seen["slide"], seen["duration"]) == (1, LENGTH_S)
    assert seen["positions"] == [500, 20, 590]


def watch(browser: Browser, url: str) -> str:
    browser.driver.get(url)
    WebDriverWait(browser.driver, 60, 0.1).until(lambda driver: "done" in driver.title)
    return browser.driver.title
