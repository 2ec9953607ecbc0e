"""Finished tars are imported at once, unfinished ones are left alone, whatever way they came."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.recordings.imports.model import ImportState
from appliance.recordings.imports.spool_watcher import SpoolWatcher
from appliance.system.inotify import open_directory_watch
from tests.doubles.import_tools import ImportBench, open_import_bench
from tests.doubles.recording_tars import recording_tar

LIMIT_S = 40.0


@pytest.fixture
async def bench(database_url: str, tmp_path: Path) -> AsyncIterator[ImportBench]:
    async with open_import_bench(database_url, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def watching(bench: ImportBench, **fields: Any) -> AsyncIterator[SpoolWatcher]:
    usual = {"scan_interval_s": 3600.0, "settle_s": 3600.0, "concurrency": 2}
    given: dict[str, Any] = {"open_watch": open_directory_watch, **usual, **fields}
    watcher = SpoolWatcher(
        tools=bench.tools,
        spool=bench.spool,
        trash=bench.files,
        log=bench.log,
        **given,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        await until(lambda: bench.root.joinpath("spool").is_dir())
        yield watcher
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(LIMIT_S):
        while not condition():
            await trio.sleep(0.01)


def imported(bench: ImportBench) -> list[str]:
    return sorted(fields["file"] for fields in bench.log.named("recording_imported"))


def move_in(tar: Path, spool: Path) -> None:
    tar.rename(spool / tar.name)


def copy_in(tar: Path, spool: Path) -> None:
    shutil.copyfile(tar, spool / tar.name)


def rsync_in(tar: Path, spool: Path) -> None:
    shutil.copyfile(tar, spool / f".{tar.name}.XyZ123")
    (spool / f".{tar.name}.XyZ123").rename(spool / tar.name)


async def settled(bench: ImportBench) -> None:
    """Return when the watch stands: what comes first is seen by it alone."""
    move_in(recording_tar(bench.root, "first"), bench.root / "spool")
    (bench.root / "spool/first.tar").touch()
    await until(lambda: "first.tar" in imported(bench))


@pytest.mark.parametrize("deliver", [move_in, copy_in, rsync_in])
async def test_watcher_imports_at_once_what_is_finished(
    bench: ImportBench, deliver: Callable[[Path, Path], None]
) -> None:
    tar = recording_tar(bench.root, "r1")
    async with watching(bench, settle_s=0.05, scan_interval_s=3600.0):
        await settled(bench)
        deliver(tar, bench.root / "spool")
        await until(lambda: "r1.tar" in imported(bench))
        assert not (bench.root / "spool/r1.tar").exists()


async def test_watcher_imports_what_came_while_it_was_away(bench: ImportBench) -> None:
    move_in(recording_tar(bench.root, "r1"), bench.root / "spool")
    async with watching(bench, scan=False, settle_s=0.05):
        await until(lambda: imported(bench) == ["r1.tar"])


async def test_watcher_leaves_temporary_names_and_other_files_alone(bench: ImportBench) -> None:
    spool, tar = bench.root / "spool", recording_tar(bench.root, "r1")
    for name in (".r1.tar", ".upload-1", "r1.tar.part", "notes.txt"):
        shutil.copyfile(tar, spool / name)
    (spool / "dir.tar").mkdir()
    os.symlink(tar, spool / "link.tar")
    async with watching(bench, settle_s=0.05, scan_interval_s=0.05):
        await settled(bench)
        move_in(recording_tar(bench.root, "r2"), spool)
        await until(lambda: imported(bench) == ["first.tar", "r2.tar"])
    assert len(os.listdir(spool)) == 6


async def test_watcher_takes_a_growing_tar_when_it_is_closed(bench: ImportBench) -> None:
    data = recording_tar(bench.root, "r1").read_bytes()
    async with watching(bench, settle_s=0.05):
        await settled(bench)
        with (bench.root / "spool/r1.tar").open("wb") as file:
            file.write(data[:1000])
            file.flush()
            move_in(recording_tar(bench.root, "r2"), bench.root / "spool")
            await until(lambda: "r2.tar" in imported(bench))
            assert "r1.tar" not in imported(bench)
            file.write(data[1000:])
        await until(lambda: "r1.tar" in imported(bench))
    assert bench.log.named("recording_import_failed") == []


async def test_watcher_finds_by_scanning_what_inotify_does_not_tell(bench: ImportBench) -> None:
    tar = recording_tar(bench.root, "r1")
    async with watching(bench, settle_s=0.05, scan_interval_s=0.05):
        await settled(bench)
        os.link(tar, bench.root / "spool/r1.tar")  # no event that says finished
        await until(lambda: "r1.tar" in imported(bench))


class NoWatch:
    """A watch that there is none of: what runs as this user has taken them all."""

    def __init__(self, _directory: Path) -> None:
        pass

    async def __aenter__(self) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def __aexit__(self, *_: object) -> None:
        pass


async def test_watcher_scans_when_the_system_has_no_watch_left(bench: ImportBench) -> None:
    async with watching(bench, open_watch=NoWatch, settle_s=0.05, scan_interval_s=0.05):
        move_in(recording_tar(bench.root, "r1"), bench.root / "spool")
        await until(lambda: imported(bench) == ["r1.tar"])
    assert bench.log.named("spool_scanned_only") == [{"reason": "Too many open files"}]


async def test_watcher_that_may_not_scan_says_that_there_is_no_watch(bench: ImportBench) -> None:
    async with watching(bench, open_watch=NoWatch, scan=False):
        await until(lambda: bench.log.named("spool_not_reachable"))


async def test_watcher_goes_on_with_others_beside_a_bad_tar(bench: ImportBench) -> None:
    async with watching(bench, settle_s=0.05):
        await settled(bench)
        (bench.root / "spool/bad.tar").write_bytes(b"bad" * 1000)
        move_in(recording_tar(bench.root, "r1"), bench.root / "spool")
        await until(lambda: "r1.tar" in imported(bench))
        await until(lambda: bench.spool.failed_names() == ["bad.tar"])
    states = {entry.tar.name: entry.state for entry in await bench.journal.list_imports()}
    assert states["bad.tar"] is ImportState.FAILED


async def test_watcher_comes_back_when_the_spool_does(bench: ImportBench) -> None:
    async with watching(bench, settle_s=0.05, pause_s=0.05):
        await settled(bench)
        (bench.root / "spool").rename(bench.root / "elsewhere")
        (bench.root / "spool").write_bytes(b"a file in its place")
        await until(lambda: bench.log.named("spool_not_reachable"))
        (bench.root / "spool").unlink()
        await until(lambda: (bench.root / "spool").is_dir())
        move_in(recording_tar(bench.root, "r1"), bench.root / "spool")
        await until(lambda: "r1.tar" in imported(bench))
    assert len(bench.log.named("spool_not_reachable")) == 1
