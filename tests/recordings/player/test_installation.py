"""The installed player: taken from a tar, exchanged in one step, kept when the new one is bad."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.recordings.player import installation as player
from appliance.recordings.player.files import PlayerBuild, UnusablePlayer
from appliance.recordings.player.installation import InstalledPlayer, PlayerDirectory
from appliance.system import file_system
from tests.doubles.player_build import MAIN, player_files, write_player

NOW_MS, BUILT_MS = 1_764_000_000_000, 1_729_520_138_000


@contextmanager
def tar_of(files: Mapping[str, bytes], *links: tarfile.TarInfo) -> Iterator[int]:
    """Give the descriptor of a tar."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for link in links:
            archive.addfile(link)
    descriptor = os.memfd_create("tar")
    try:
        os.write(descriptor, target.getvalue())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def install(
    directory: PlayerDirectory, files: Mapping[str, bytes], *links: tarfile.TarInfo
) -> InstalledPlayer:
    with tar_of(files, *links) as tar:
        return directory.install_tar(tar, "/srv/player", NOW_MS, BUILT_MS)


def contents(path: Path) -> dict[str, bytes]:
    found = (one for one in path.rglob("*") if one.is_file())
    return {
        one.relative_to(path).as_posix(): one.read_bytes()
        for one in found
        if not one.name.startswith(".")
    }


def test_player_is_installed_and_replaced(tmp_path: Path) -> None:
    directory = PlayerDirectory(tmp_path)
    assert directory.read() is None
    for version in ("5.0.2", "5.1.3"):
        files = player_files(version)
        made = install(directory, files)

        build = PlayerBuild(version, MAIN, BUILT_MS)
        size = sum(map(len, files.values()))
        assert made == InstalledPlayer(build, "/srv/player", NOW_MS, len(files), size)
        assert directory.read() == made
        assert contents(directory.path) == files
    modes = {one.stat().st_mode & 0o777 for one in directory.path.rglob("*")}
    assert modes <= {0o755, 0o644}
    assert directory.path.stat().st_mode & 0o777 == 0o755
    assert [one.name for one in directory.path.parent.iterdir()] == ["2.3"]


def test_player_is_replaced_where_directories_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_system, "exchange", lambda _one, _other: False)
    directory = PlayerDirectory(tmp_path)
    for version in ("5.0.2", "5.1.3"):
        install(directory, player_files(version))
    assert contents(directory.path) == player_files("5.1.3")
    assert [one.name for one in directory.path.parent.iterdir()] == ["2.3"]


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    ("files", "links", "reason"),
    [
        (player_files(index__html=None), (), "index.html"),
        (player_files(static_S_js_S_main__e40eafae__js=None), (), "is missing"),
        ({**player_files(), "../../evil.js": b"x"}, (), "cannot be taken"),
        ({**player_files(), "/evil.js": b"x"}, (), "cannot be taken"),
        ({**player_files(), "a/.evil.js": b"x"}, (), "evil.js"),
        (player_files(), (link("evil.js", "/etc/passwd"),), "cannot be taken"),
        (player_files(), (link("evil.js", "../../../x"),), "cannot be taken"),
        ({f"{number}.js": b"" for number in range(50)}, (), "cannot be taken"),
    ],
)
def test_bad_player_is_refused_and_the_old_one_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: Mapping[str, bytes],
    links: tuple[tarfile.TarInfo, ...],
    reason: str,
) -> None:
    monkeypatch.setattr(player, "MAX_FILES", 20)
    directory = PlayerDirectory(tmp_path / "playback")
    old = install(directory, player_files("5.0.2"))

    with pytest.raises(UnusablePlayer, match=reason):
        install(directory, files, *links)

    assert directory.read() == old
    assert contents(tmp_path) == {
        f"playback/presentation/2.3/{name}": content
        for name, content in player_files("5.0.2").items()
    }


def test_player_that_was_copied_by_hand_is_recognised(tmp_path: Path) -> None:
    directory = PlayerDirectory(tmp_path)
    write_player(directory.path)
    os.utime(directory.path / "index.html", (BUILT_MS / 1000, BUILT_MS / 1000))

    found = directory.read()

    assert found is not None
    assert (found.build, found.source) == (PlayerBuild("5.1.3", MAIN, BUILT_MS), "")
    assert found.files == len(player_files())


def test_link_in_place_of_the_directory_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    other = write_player(tmp_path / "other", player_files("5.0.2"))
    directory = PlayerDirectory(tmp_path / "playback")
    directory.path.parent.mkdir(parents=True)
    directory.path.symlink_to(other)

    install(directory, player_files())

    assert contents(directory.path) == player_files()
    assert contents(other) == player_files("5.0.2")
    assert [one.name for one in directory.path.parent.iterdir()] == ["2.3"]


def test_what_a_killed_installation_left_is_removed(tmp_path: Path) -> None:
    directory = PlayerDirectory(tmp_path)
    old, new = directory.stage(), directory.stage()
    os.utime(old, (1, 1))

    install(directory, player_files())

    assert (old.exists(), new.exists()) == (False, True)
