"""The plain page of a recording in a real Chromium, with a recording that ffmpeg has made."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.doubles.browser import Browser
from tests.doubles.drawings import POLL, TEXT, Whiteboard
from tests.doubles.playback import Player, open_player
from tests.doubles.presentation import CHAT, HOSTILE, presentation_files
from tests.doubles.s3 import S3Server, s3_settings

pytest_plugins = ["tests.doubles.browser_fixtures"]

Opener = Callable[..., AbstractAsyncContextManager[Player]]
SEEN = """
const all = (query) => [...document.querySelectorAll(query)];
const get = (id) => document.getElementById(id);
const video = get("webcams"), screen = get("screen");
const current = (list) => all(`#${list} li`).findIndex(
  (one) => one.ariaCurrent || one.firstElementChild.ariaCurrent);
return {
  time: video.currentTime, duration: video.duration, paused: video.paused,
  slide: current("slide-list"), message: current("chat-list"),
  picture: get("picture").href.baseVal.split("/").pop(), view: get("slide").getAttribute("viewBox"),
  position: get("position").textContent, label: get("slide").getAttribute("aria-label"),
  screen: screen.hidden ? null : screen.currentTime,
  captions: [...video.textTracks].map((one) => [one.language, one.label, one.mode]),
};"""
SEEK = """
const [position, done] = arguments, video = document.getElementById("webcams");
video.addEventListener("seeked", () => requestAnimationFrame(() => done()), {once: true});
video.currentTime = position;"""


@pytest.fixture
def opener(redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path) -> Opener:
    @asynccontextmanager
    async def opened(
        files: Mapping[str, bytes] | None = None,
        name: str | None = "Biology 101",
        start_ms: int | None = 1_764_000_000_000,
        **options: Any,
    ) -> AsyncIterator[Player]:
        stores = (redis_url, redis_namespace, database_url, tmp_path)
        async with open_player(*stores, **options) as player:
            await player.add("rec-1", name=name, start_ms=start_ms)
            if "s3" not in options:
                for name, content in (presentation_files() if files is None else files).items():
                    path = player.published / "presentation/rec-1" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
            yield player

    return opened


async def show(browser: Browser, player: Player, path: str = "") -> None:
    """Open the page, and wait until it has read everything."""
    path = path or "/playback/presentation/2.3/rec-1"
    url = f"http://127.0.0.1:{player.public.port}{path}"

    def work() -> None:
        browser.driver.get(url)
        ready = "return document.body.dataset.ready"
        WebDriverWait(browser.driver, 40, 0.05).until(lambda one: one.execute_script(ready))

    await trio.to_thread.run_sync(work)


async def run(browser: Browser, script: str, *values: Any) -> Any:
    return await trio.to_thread.run_sync(lambda: browser.driver.execute_script(script, *values))


async def seek(browser: Browser, position: float) -> Any:
    """Go to a time of the video, and return what is seen."""
    browser.driver.set_script_timeout(20)
    await trio.to_thread.run_sync(lambda: browser.driver.execute_async_script(SEEK, position))
    return await run(browser, SEEN)


async def press(browser: Browser, key: str) -> Any:
    chain = ActionChains(browser.driver).send_keys(getattr(Keys, key, key))
    await trio.to_thread.run_sync(chain.perform)
    await trio.sleep(0.3)
    return await run(browser, SEEN)


async def test_slides_screen_and_chat_follow_the_video(opener: Opener, browser: Browser) -> None:
    async with opener() as player:
        await show(browser, player)

        assert browser.driver.title == "Biology 101"
        date = await run(browser, "return document.getElementById('began').textContent")
        assert "November 24, 2025" in date
        for position, expected in (
            (0.5, {"slide": 0, "picture": "slide1.svg", "position": "Slide 1 of 3", "message": -1}),
            (3.5, {"slide": 1, "picture": "slide2.svg", "view": "0 0 1600 900", "message": 0}),
            (5.0, {"slide": 1, "view": "400 200 800 450", "screen": None, "message": 1}),
            (7.0, {"screen": 7, "position": "Screen"}),
            (10.5, {"slide": 2, "picture": "slide3.svg", "message": 3, "screen": None}),
            (1.0, {"slide": 0, "label": "Slide 1 of 3: Why cells divide\nWhat we know"}),
        ):
            seen = await seek(browser, position)
            if seen["screen"] is not None:
                seen["screen"] = round(seen["screen"])
            assert {name: seen[name] for name in expected} == expected, position
        assert round(seen["duration"]) == 12
        assert [one[:2] for one in seen["captions"]] == [
            ["en-US", "English (United States)"],
            ["de", "Deutsch"],
        ]
        loaded = "return [...document.querySelectorAll('.thumb img')].map(one => one.naturalWidth)"
        widths = await run(browser, loaded)
        assert all(widths), widths
        assert len(widths) == 3
        # The missing thumbnails are replaced by the slides.
        assert all("thumb-" in one for one in browser.take_log())


DRAWN = """
const drawn = document.getElementById("drawn"), {width, x} = drawn.getBBox();
const more = {
  foreignObject: (one) => [one.textContent],
  image: (one) => [one.href.baseVal.split("/").pop()],
};
const inside = (one) => [one.localName, ...(more[one.localName]?.(one) ?? [])];
return {
  shapes: [...drawn.children].map((one) => [...one.children].map(inside)),
  right: (drawn.getAttribute("transform") ?? "1").match(/[\\d.]+/)[0] * (x + width),
};"""
POINTER = """
const one = document.getElementById("pointer"), hidden = one.style.display === "none";
return hidden ? null : ["cx", "cy"].map((name) => Math.round(one.getAttribute(name)));"""


@pytest.mark.parametrize("whiteboard", ["svg", "tldraw1", "tldraw2"])
async def test_drawings_and_pointer_follow_the_video(
    opener: Opener, browser: Browser, whiteboard: Whiteboard
) -> None:
    line, text, poll = [["path"]], ["foreignObject", TEXT], [["image", POLL]]
    if whiteboard != "svg":
        asked = {"tldraw1": "A: 3", "tldraw2": "Which one?\nA: 3\nB: 1"}[whiteboard]
        poll = [["path"], ["foreignObject", asked]]
    arrow = [["line"]] if whiteboard == "svg" else line
    async with opener(presentation_files(whiteboard=whiteboard)) as player:
        await show(browser, player)

        for position, shapes in (
            (0.5, []),
            (1.1, [line]),
            (1.5, [line, line]),
            (2.0, [line, line, arrow, line, [text], poll]),
            (2.6, [line, arrow, line, [text], poll]),
            (3.5, []),
            (1.1, [line]),
        ):
            await seek(browser, position)
            found = await run(browser, DRAWN)
            assert found["shapes"] == shapes, position
            # The same place on the slide, in units of whatever.
            if position == 1.1:
                assert found["right"] == pytest.approx(300, abs=1)
            if position == 1.5:
                assert found["right"] == pytest.approx(700, abs=1)
        assert await run(browser, POINTER) is None
        seen = await seek(browser, 5.0)
        assert seen["view"] == "400 200 800 450"
        assert await run(browser, POINTER) == [800, 425]
        assert all("thumb-" in one for one in browser.take_log())


async def test_page_is_used_by_keyboard_and_by_its_buttons(
    opener: Opener, browser: Browser
) -> None:
    async with opener() as player:
        await show(browser, player)

        assert (await press(browser, "n"))["slide"] == 1
        assert (await press(browser, "n"))["slide"] == 2
        assert (await press(browser, "p"))["slide"] == 1
        assert (await press(browser, "ARROW_RIGHT"))["time"] == pytest.approx(12, abs=0.5)
        assert (await press(browser, "ARROW_LEFT"))["time"] == pytest.approx(2, abs=0.5)
        assert [one[2] for one in (await press(browser, "c"))["captions"]] == [
            "showing",
            "disabled",
        ]
        assert (await press(browser, " "))["paused"] is False
        assert (await press(browser, "k"))["paused"] is True
        # A key that the browser's own controls know counts once.
        await run(
            browser, "const v = document.getElementById('webcams'); v.focus(); v.currentTime = 0"
        )
        assert (await press(browser, " "))["paused"] is False
        assert (await press(browser, " "))["paused"] is True
        assert (await press(browser, "ARROW_RIGHT"))["time"] > 2
        for query, slide in (
            ("#slide-list li:nth-child(3) button", 2),
            ("#chat-list li:nth-child(2) button", 1),
            ("#previous", 0),
        ):
            await run(browser, "document.querySelector(arguments[0]).click()", query)
            await trio.sleep(0.3)
            assert (await run(browser, SEEN))["slide"] == slide, query


async def test_chat_with_markup_is_text(opener: Opener, browser: Browser) -> None:
    async with opener() as player:
        await show(browser, player)

        script = (
            "return [...document.querySelectorAll('#chat-list li')].map(one => ["
            + ",".join(f"one.querySelector('{name}').textContent" for name in ("b", "p"))
            + "])"
        )
        found = await run(browser, script)
        assert found == [[name, text] for _, name, text in CHAT]
        assert await run(browser, "return document.querySelectorAll('#chat img').length") == 0
        link = await run(browser, "return document.querySelector('#chat a').href")
        assert link == "https://example.org/slides?a=1&b=2"
        assert browser.driver.title == "Biology 101"


ODD_TLDRAW = b"""{"bbb_version": {}, "1": null, "2": {"shapes": 7}, "y": {"shapes": [null, 7, {},
{"timestamp": 0, "undo": -1}, {"timestamp": 0, "undo": -1, "shape_data": {"type": "text", "id": "t",
"style": {"color": "url(https://evil.example/c)", "size": "constructor"}, "point": ["1)", 1e99],
"text": "<img src=x onerror='document.title=1'>"}}, {"timestamp": 0, "undo": -1, "shape_data": {
"type": "draw", "id": "d", "x": 0, "y": 0, "opacity": "url(x)", "rotation": "x)", "props": {
"segments": [{"points": [{"x": "url(https://evil.example/q)"}, null]}],
"color": "__proto__"}}}]}}"""
ODD: dict[str, bytes] = {
    "metadata.xml": b"<recording><start_time>1764000000000</start_time><meta><meetingName>"
    b"&lt;img src=x onerror=alert(1)&gt;</meetingName></meta></recording>",
    "shapes.svg": b"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">
<image in="0" xlink:href="https://evil.example/x.png"/><image in="1" xlink:href="../rec-2/x.png"/>
<image in="2" xlink:href="javascript:alert(1)"/><image in="-1 NaN 1e99 x" xlink:href="a.svg"/>
<image in="3 1" id="x" xlink:href="presentation/p/slide-1.png" width="NaN" height="-3"/>
<g class="canvas" image="x"><g class="shape" timestamp="0" undo="-1" shape="a"
 style="stroke:url(https://evil.example/s);fill:#ff0000;x:y" onload="document.title = 'run'">
<script>document.title = "run"</script><path d="M0 0L9 9" onload="document.title = 'run'"/>
<path d="url(https://evil.example/d)"/><image xlink:href="https://evil.example/i.svg"/>
<use xlink:href="https://evil.example/u.svg"/><switch><foreignObject x="0" y="0"><p
 xmlns="http://www.w3.org/1999/xhtml"><img src="https://evil.example/p"
 onerror="document.title='run'"/>
&lt;img src=x onerror="document.title=1"&gt;</p></foreignObject></switch></g>
<g class="shape" timestamp="NaN"/></g>
<script>document.title = "run"</script></svg>""",
    "tldraw.json": ODD_TLDRAW,
    "panzooms.xml": b"<recording><event timestamp='-3'><viewBox>1 2 NaN 4</viewBox></event>"
    b"<event timestamp='1'><viewBox>9e9 0 1 1</viewBox></event></recording>",
    "slides_new.xml": b"<popcorn><chattimeline in='x' message='no time'/>"
    b"<chattimeline in='2' message='&lt;script&gt;document.title = 1&lt;/script&gt;'/>"
    b"<chattimeline in='1' name='N' message='&amp;lt;b&amp;gt; &amp;amp;amp;'/></popcorn>",
    "presentation_text.json": b'{"p": {"slide-1": {"a": 1}}, "q": null}',
    "captions.json": b'[{"locale": "../../x"}, {"locale": "xx"}, null, 7]',
    "caption_xx.vtt": b"<html>",
    "deskshare.xml": b"<recording><event start_timestamp='-5' stop_timestamp='x'/>",
}


async def test_odd_files_do_no_harm(opener: Opener, browser: Browser) -> None:
    async with opener(ODD, name=None, start_ms=None) as player:
        await show(browser, player)

        seen = await run(browser, SEEN)
        assert browser.driver.title == "<img src=x onerror=alert(1)>"
        date = await run(browser, "return document.getElementById('began').textContent")
        assert "November 24, 2025" in date
        expected = {"slide": 0, "picture": "slide-1.png", "view": "0 0 1600 900", "captions": []}
        assert {name: seen[name] for name in expected} == expected
        times = "return [...document.querySelectorAll('#slide-list .at')].map(one => one.innerText)"
        assert await run(browser, times) == ["0:01", "0:03"]
        drawn = await run(browser, "return document.getElementById('drawn').outerHTML")
        assert "evil" not in drawn
        assert "onload" not in drawn
        assert drawn.count("<path") == 1
        assert "&lt;img src=x onerror=" in drawn
        texts = "return [...document.querySelectorAll('#chat p')].map(one => one.textContent)"
        assert await run(browser, texts) == [
            "<b> &amp;",
            "<script>document.title = 1</script>",
        ]
        # Without a video the slides are turned by hand.
        assert (await press(browser, "n"))["slide"] == 1
        assert not any("evil" in one or "rec-2" in one for one in browser.take_log())


async def test_recording_without_files_says_so(opener: Opener, browser: Browser) -> None:
    async with opener({}) as player:
        await show(browser, player)

        shown = "return document.getElementById('failed').innerText"
        assert "cannot be played" in await run(browser, shown)
        assert browser.find_barriers() == []


async def test_page_fits_the_screen_and_is_accessible(opener: Opener, browser: Browser) -> None:
    async with opener() as player:
        for width, dark in itertools.product((360, 1440), (False, True)):
            browser.set_up(width=width, height=800, dark=dark, language="de")
            await show(browser, player)
            await seek(browser, 3.5)

            assert browser.overflow_px() == 0
            assert await trio.to_thread.run_sync(browser.find_barriers) == []
            shown = await run(browser, "return document.body.innerText")
            assert "Folie 2 von 3" in shown
            assert "24. November 2025" in shown


async def test_protected_recording_is_played_by_its_link_only(
    opener: Opener, browser: Browser
) -> None:
    async with opener() as player:
        await player.protect("rec-1")
        (token,) = await player.tokens.issue_tokens([("rec-1", "presentation")])

        # The cookie is Secure, which browsers take over HTTP from this machine only.
        await show(browser, player, f"/recording/rec-1/presentation?token={token}")

        assert (await seek(browser, 3.5))["picture"] == "slide2.svg"
        assert browser.driver.current_url.endswith("/presentation/rec-1/playback.html")
        await trio.to_thread.run_sync(browser.driver.refresh)
        assert browser.driver.title == "Biology 101"
        browser.reset()
        url = f"http://127.0.0.1:{player.public.port}/presentation/rec-1/playback.html"
        await trio.to_thread.run_sync(browser.driver.get, url)
        assert browser.driver.title == "Recording Not Found"


@pytest.mark.parametrize("serve", ["mixed", "redirect"])
async def test_recording_in_a_bucket_is_played(
    opener: Opener, browser: Browser, s3: S3Server, serve: str
) -> None:
    bucket = s3.make_bucket()
    for name, content in presentation_files().items():
        key = f"published/presentation/rec-1/{name}"
        s3.client.put_object(Bucket=bucket, Key=key, Body=content)
    async with opener(s3=s3_settings(s3.url, bucket, S3_SERVE=serve)) as player:
        (player.published / "presentation/rec-1/index.html").unlink()
        await show(browser, player)

        seen = await seek(browser, 7.5)
        assert (seen["slide"], round(seen["screen"])) == (1, 8)
        assert len(seen["captions"]) == 2
        assert not [one for one in browser.take_log() if "Policy" in one]
        assert HOSTILE in json.dumps(await run(browser, "return document.body.innerText")).replace(
            '\\"', '"'
        )
