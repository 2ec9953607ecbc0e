"""Renames to new names only, and exchanges: no file is ever lost."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from appliance.system import file_system
from appliance.system.file_system import exchange, rename_new


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("fallback", [False, True])
def test_rename_new_refuses_an_existing_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fallback: bool
) -> None:
    if fallback:  # as on NFS
        monkeypatch.setattr(file_system, "_renameat2", lambda *_: errno.EINVAL)
    one, other = written(tmp_path / "one", "1"), written(tmp_path / "other", "2")
    with pytest.raises(FileExistsError):
        rename_new(one, other)
    assert (one.read_text(), other.read_text()) == ("1", "2")
    rename_new(one, tmp_path / "free")
    assert ((tmp_path / "free").read_text(), one.exists()) == ("1", False)
    with pytest.raises(FileNotFoundError):
        rename_new(one, tmp_path / "another")


def test_exchange_swaps_two_names(tmp_path: Path) -> None:
    one, other = written(tmp_path / "one", "1"), written(tmp_path / "other", "2")
    assert exchange(one, other)
    assert (one.read_text(), other.read_text()) == ("2", "1")
    assert not exchange(one, tmp_path / "missing")
