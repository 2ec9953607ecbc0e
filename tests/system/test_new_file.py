"""A new file takes the place of another as a whole; failures name the file that was asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.system.new_file import new_file


def write(path: Path, text: str) -> None:
    with new_file(path, 0o640) as file:
        file.write(text.encode())


def test_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "half \udcff")
    assert path.read_text() == "old"

    write(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_failure_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path, kind in (
        (tmp_path / "missing" / "x", FileNotFoundError),
        (tmp_path / "directory", IsADirectoryError),
        (tmp_path / "pipe", OSError),
    ):
        with pytest.raises(kind) as failed:
            write(path, "x")
        assert failed.value.filename == str(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["directory", "pipe"]
    assert (tmp_path / "pipe").is_fifo()
