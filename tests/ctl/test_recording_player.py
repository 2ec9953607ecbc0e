"""`ctl recordings player`: what is installed, and from where another one is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.features import Features
from appliance.model import ServerId
from appliance.servers.values import ServerChange
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.control import ControlDouble, Done, open_control
from tests.doubles.features import open_features
from tests.doubles.player_build import MAIN, player_files, serve_player, write_player


@pytest.fixture
async def features(redis_url: str, redis_namespace: str, tmp_path: Path) -> AsyncIterator[Features]:
    variables: Any = {"PLAYBACK_DIR": str(tmp_path / "playback")}
    async with open_features(redis_url, redis_namespace, **variables) as found:
        yield found


@pytest.fixture
async def control(features: Features) -> AsyncIterator[ControlDouble]:
    async with open_control(features) as found:
        yield found


async def test_player_is_installed_from_a_server_by_id_host_or_url(
    features: Features, control: ControlDouble, tmp_path: Path
) -> None:
    nothing = await control.ctl("recordings", "player")
    assert nothing.code == 0
    place = tmp_path / "playback/presentation/2.3"
    assert nothing.out.splitlines()[0] == f"not installed in {place}"
    assert (await control.ctl("recordings", "player", "show", "--json")).json["installed"] is False
    with BbbProcess() as bbb:
        serve_player(bbb)
        values = ServerChange(url=bbb.url, secret=bbb.secret)
        await features.servers.store.add_server(ServerId("bbb1"), values)
        for name in ("bbb1", f"127.0.0.1:{bbb.port}", bbb.url):
            done = await control.ctl("recordings", "player", "install", name)
            assert (done.code, done.err) == (0, ""), done
            assert done.out.startswith("bbb-playback 5.1.3\n")
        found = (await control.ctl("recordings", "player", "--json")).json
        assert (found["source"], found["build"]) == ("bbb1", MAIN)
        assert (found["files"], found["directory"]) == (len(player_files()), str(place))
        shown = await control.ctl("recordings", "player", "show")
        assert shown.out.splitlines()[1].startswith("\tInstalled: from bbb1, ")

        serve_player(bbb, player_files("5.2", favicon__ico=None))
        failed = await control.ctl("recordings", "player", "install", "bbb1")
        assert (failed.code, failed.out) == (1, "")
        assert "has no /playback/presentation/2.3/favicon.ico; nothing was changed" in failed.err
    unknown = await control.ctl("recordings", "player", "install", "bbb7")
    assert (unknown.code, unknown.err) == (1, "Couldn't find server with id=bbb7\n")
    away = await control.ctl("recordings", "player", "install", "bbb1")
    assert away.code == 1
    assert "the server cannot be reached: " in away.err
    assert (await control.ctl("recordings", "player", "--json")).json == found
    assert not features.log.errors  # type: ignore[attr-defined]


@pytest.mark.parametrize("inside", ["", "presentation/2.3"])
async def test_player_is_installed_from_a_directory(
    control: ControlDouble, tmp_path: Path, inside: str
) -> None:
    source = tmp_path / "source"
    write_player(source / inside, player_files("5.0.2"))

    done = await control.ctl("recordings", "player", "install", str(source), "--json")

    assert done.code == 0, done
    found = done.json
    assert (found["version"], found["source"]) == ("5.0.2", str(source))
    for name, content in player_files("5.0.2").items():
        path = trio.Path(tmp_path / "playback/presentation/2.3" / name)
        assert await path.read_bytes() == content


async def test_directory_with_a_link_or_without_a_player_is_refused(
    control: ControlDouble, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    linked = write_player(tmp_path / "linked")
    (linked / "evil.js").symlink_to("/etc/passwd")
    for name, reason in (
        ("empty", "has no index.html: it is not BigBlueButton's player"),
        ("linked", "is a symbolic link, which a player has none of"),
        ("nowhere", "has no index.html: it is not BigBlueButton's player"),
    ):
        done = await control.ctl("recordings", "player", "install", str(tmp_path / name))
        assert (done.code, done.out) == (1, "")
        assert reason in done.err
    assert not await trio.Path(tmp_path / "playback").exists()


async def test_directory_that_cannot_be_written_is_named(
    control: ControlDouble, tmp_path: Path
) -> None:
    source = write_player(tmp_path / "source")
    (tmp_path / "playback").write_text("a file")

    done = await control.ctl("recordings", "player", "install", str(source))

    place = tmp_path / "playback/presentation/2.3"
    reason = f"{place} cannot be written: Not a directory; nothing was changed\n"
    assert done == Done(1, "", reason)
