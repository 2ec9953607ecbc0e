"""Finished files of a directory are reported by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from appliance.system.inotify import open_directory_watch


async def test_watch_reports_files_that_are_closed_or_moved_in(tmp_path: Path) -> None:
    elsewhere, inside = tmp_path / "elsewhere", tmp_path / "inside"
    elsewhere.mkdir()
    inside.mkdir()
    (elsewhere / "moved").write_bytes(b"")
    async with open_directory_watch(inside) as watch:
        (inside / "ü written").write_bytes(b"x")
        assert await watch.next_names() == ["ü written"]
        (elsewhere / "moved").rename(inside / "moved")
        os.rename(inside / "moved", inside / "renamed")
        assert await watch.next_names() == ["moved", "renamed"]


async def test_watch_does_not_report_a_file_that_is_still_open(tmp_path: Path) -> None:
    async with open_directory_watch(tmp_path) as watch:
        with (tmp_path / "a").open("wb") as file:
            file.write(b"x")
            file.flush()
            (tmp_path / "b").write_bytes(b"")
            assert await watch.next_names() == ["b"]
        assert await watch.next_names() == ["a"]


async def test_watch_ends_when_its_directory_is_gone(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    async with open_directory_watch(directory) as watch:
        directory.rmdir()
        with pytest.raises(FileNotFoundError):
            await watch.next_names()


async def test_watch_is_refused_when_the_path_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("file", "missing"):
        with pytest.raises(OSError, match="directory"):
            async with open_directory_watch(tmp_path / name):
                pass


async def test_watch_can_be_cancelled(tmp_path: Path) -> None:
    async with open_directory_watch(tmp_path) as watch:
        with trio.move_on_after(0.05) as scope:
            await watch.next_names()
        assert scope.cancelled_caught
