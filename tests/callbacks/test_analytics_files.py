"""Stored reports: written atomically, readable only by the appliance, limited in number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.callbacks.analytics_files import AnalyticsFiles


def test_report_is_kept_until_another_takes_its_place(tmp_path: Path) -> None:
    files = AnalyticsFiles(tmp_path / "state")
    assert files.read("run-1") is None
    assert files.names(10) == []
    files.save("run-1", b"one")
    files.save("run-1", b"two!")
    assert files.read("run-1") == b"two!"
    ((name, received_ms, size),) = files.names(10)
    assert (name, size) == ("run-1", 4)
    assert received_ms > 1_700_000_000_000
    assert [path.name for path in files.directory.iterdir()] == ["run-1.json"]


def test_reports_can_be_read_by_us_alone(tmp_path: Path) -> None:
    files = AnalyticsFiles(tmp_path)
    files.save("run-1", b"x")
    assert files.directory.stat().st_mode & 0o777 == 0o700
    assert (files.directory / "run-1.json").stat().st_mode & 0o777 == 0o600


def test_newest_come_first_and_leftovers_not_at_all(tmp_path: Path) -> None:
    files = AnalyticsFiles(tmp_path)
    for number, name in enumerate(("old", "newest", "newer")):
        files.save(name, b"x")
        time_s = 1_000 + (number % 2) * 500 + number
        os.utime(files.directory / f"{name}.json", (time_s, time_s))
    (files.directory / ".unfinished").write_bytes(b"x")
    (files.directory / "readme.txt").write_bytes(b"x")
    assert [name for name, _, _ in files.names(10)] == ["newest", "newer", "old"]
    assert [name for name, _, _ in files.names(1)] == ["newest"]


@pytest.mark.parametrize("limits", [(2, 1_000), (100, 20)])
def test_oldest_go_when_there_are_too_many_or_they_are_too_large(
    tmp_path: Path, limits: tuple[int, int]
) -> None:
    files = AnalyticsFiles(tmp_path, *limits)
    files.directory.mkdir()
    for number in range(5):
        path = files.directory / f"old-{number}.json"
        path.write_bytes(b"x" * 10)
        os.utime(path, (1_000 + number, 1_000 + number))
    files.save("new", b"x" * 10)
    assert [name for name, _, _ in files.names(10)] == ["new", "old-4"]


def test_link_is_not_followed(tmp_path: Path) -> None:
    files = AnalyticsFiles(tmp_path)
    files.save("run-1", b"x")
    (files.directory / "link.json").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        files.read("link")


def test_report_that_cannot_be_kept_leaves_nothing_behind(tmp_path: Path) -> None:
    files = AnalyticsFiles(tmp_path)
    files.save("run-1", b"before")
    (files.directory / "run-2.json").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        files.save("run-2", b"x")
    assert sorted(path.name for path in files.directory.iterdir()) == ["run-1.json", "run-2.json"]
    assert files.read("run-1") == b"before"


def test_old_reports_are_deleted_by_their_age(tmp_path: Path) -> None:
    files = AnalyticsFiles(tmp_path)
    for name, time_s in (("old", 1_000), ("new", 2_000)):
        files.save(name, b"x")
        os.utime(files.directory / f"{name}.json", (time_s, time_s))
    files.rewrite("old", b"changed")

    assert files.prune_old(1_500_000) == 1
    assert [name for name, _, _ in files.names(10)] == ["new"]
    assert AnalyticsFiles(tmp_path / "none").prune_old(1) == 0
