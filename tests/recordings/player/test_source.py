"""The player is fetched from a BBB server: whole, bounded, and never from anywhere else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from appliance.model import Server, ServerId
from appliance.recordings.player import source as player_source
from appliance.recordings.player.files import PlayerBuild, UnusablePlayer
from appliance.recordings.player.installation import PlayerDirectory
from appliance.recordings.player.source import PlayerSource
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.player_build import ADDRESS, FONT, MAIN, player_files, serve_player

BUILT_MS = 1_729_520_138_000
CSS = "static/css/main.0bc52097.css"


@pytest.fixture(scope="module")
def process() -> Iterator[BbbProcess]:
    with BbbProcess() as started:
        yield started


@pytest.fixture
def bbb(process: BbbProcess) -> BbbProcess:
    process.control("serve_pages", {})
    process.clear_requests()
    return process


@pytest.fixture
async def source() -> AsyncIterator[PlayerSource]:
    async with aclosing(PoolTransport(open_ssl_context(None))) as pool:
        yield PlayerSource(pool, lambda: 1)


def server_of(bbb: BbbProcess) -> Server:
    return Server(ServerId("bbb1"), bbb.url, bbb.secret)


def contents(path: Path) -> dict[str, bytes]:
    return {
        one.relative_to(path).as_posix(): one.read_bytes()
        for one in path.rglob("*")
        if one.is_file() and not one.name.startswith(".")
    }


def names_in(directory: Path) -> list[str]:
    return [one.name for one in directory.iterdir()]


@pytest.mark.parametrize("version", ["5.1.3", ""])
async def test_player_is_fetched_whole(
    bbb: BbbProcess, source: PlayerSource, tmp_path: Path, version: str
) -> None:
    files = player_files(version)
    serve_player(bbb, {**files, "robots.txt": b"named nowhere"})
    directory = PlayerDirectory(tmp_path)

    made = await source.install(server_of(bbb), directory)

    assert made.build == PlayerBuild(version, MAIN, BUILT_MS)
    assert made == directory.read()
    assert contents(directory.path) == files
    assert await source.ask(server_of(bbb)) == made.build


async def test_source_maps_and_licences_may_be_missing(
    bbb: BbbProcess, source: PlayerSource, tmp_path: Path
) -> None:
    optional = (".map", ".LICENSE.txt")
    files = {name: one for name, one in player_files().items() if not name.endswith(optional)}
    serve_player(bbb, files)

    await source.install(server_of(bbb), PlayerDirectory(tmp_path))

    assert contents(PlayerDirectory(tmp_path).path) == files


def changed_manifest(**files: str) -> bytes:
    manifest: dict[str, Any] = json.loads(player_files()["asset-manifest.json"])
    manifest["files"] |= files
    return json.dumps(manifest).encode()


BAD: dict[str, tuple[Mapping[str, bytes | None], str]] = {
    "no player": (dict.fromkeys(player_files()), "has no"),
    "no manifest": ({"asset-manifest.json": None}, "has no"),
    "no script": ({f"static/js/{MAIN}": None}, "has no"),
    "no font of a style sheet": ({FONT: None}, "has no"),
    "manifest leads up": (
        {"asset-manifest.json": changed_manifest(x=f"{ADDRESS}../../../etc/passwd")},
        "outside",
    ),
    "manifest leads to another host": (
        {"asset-manifest.json": changed_manifest(x="https://evil.example/x.js")},
        "outside",
    ),
    "page leads to another host": ({"index.html": b"<script src=//evil.example/x.js>"}, "outside"),
    "style sheet leads up": ({CSS: b"a{background:url(../../../x.png)}"}, "outside"),
    "style sheet imports": ({CSS: b"@import 'https://evil.example/x.css';"}, "outside"),
    "manifest is no JSON": ({"asset-manifest.json": b"<p>"}, "not JSON"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_player_is_refused_and_the_old_one_stays(
    bbb: BbbProcess, source: PlayerSource, tmp_path: Path, name: str
) -> None:
    directory = PlayerDirectory(tmp_path / "playback")
    serve_player(bbb)
    old = await source.install(server_of(bbb), directory)
    changes, reason = BAD[name]
    files = {**player_files("5.2"), **changes}
    serve_player(bbb, {name: one for name, one in files.items() if one is not None})

    with pytest.raises(UnusablePlayer, match=reason):
        await source.install(server_of(bbb), directory)

    assert directory.read() == old
    assert contents(directory.path) == player_files()
    assert names_in(directory.path.parent) == ["2.3"]
    assert names_in(tmp_path) == ["playback"]


@pytest.mark.parametrize("status", [302, 500])
async def test_other_statuses_are_refused(
    bbb: BbbProcess, source: PlayerSource, tmp_path: Path, status: int
) -> None:
    serve_player(bbb, status=status)

    with pytest.raises(UnusablePlayer, match=f"status {status}"):
        await source.install(server_of(bbb), PlayerDirectory(tmp_path))
    assert await source.ask(server_of(bbb)) is None


async def test_player_that_is_too_large_is_refused(
    bbb: BbbProcess, source: PlayerSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_player(bbb)
    limits = ("MAX_FILES", 5, "5 files"), ("MAX_BYTES", 1000, "it has"), ("_SMALL", 300, "index")
    for name, limit, reason in limits:
        with monkeypatch.context() as patch:
            patch.setattr(player_source, name, limit)
            with pytest.raises(UnusablePlayer, match=reason):
                await source.install(server_of(bbb), PlayerDirectory(tmp_path))
    assert names_in(tmp_path / "presentation") == []


async def test_server_that_hangs_or_is_away_is_given_up(
    source: PlayerSource, tmp_path: Path
) -> None:
    with BbbProcess() as own:
        own.pause()
        with pytest.raises(trio.TooSlowError):
            await source.install(server_of(own), PlayerDirectory(tmp_path), limit_s=0.3)
        assert await source.ask(server_of(own), limit_s=0.3) is None
        own.resume()
    with pytest.raises(httpx.TransportError):
        await source.install(server_of(own), PlayerDirectory(tmp_path))
    assert await source.ask(server_of(own)) is None
    assert names_in(tmp_path / "presentation") == []
