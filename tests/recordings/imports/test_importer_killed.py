"""SIGKILL at every step of an import: nothing is lost, nothing is there twice, nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from appliance.recordings.imports.importer import import_tar, remove_leftovers, retry_import
from appliance.recordings.imports.model import MAX_ATTEMPTS, ImportState
from tests.doubles.import_tools import ImportBench, open_import_bench
from tests.doubles.recording_tars import recording_tar

ROOT = Path(__file__).resolve().parents[3]
FORMATS = {"video": {"video.webm": b"v" * 5000}, "presentation": {"1.svg": b"<svg/>"}}
MAX_POINTS = 60
UNPACKING = 4
"""A point in the middle of unpacking."""
SHARES = 4
"""So many tests share the points, so that each stays in its time."""
TAKEOVER_S = 40.0


@pytest.fixture(scope="module")
def driver() -> Iterator[subprocess.Popen[str]]:
    """Start the program that forks an import for each line that it is sent."""
    command = [sys.executable, "-m", "tests.doubles.import_driver"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        yield process


async def kill_at(
    driver: subprocess.Popen[str], database_url: str, root: Path, name: str, point: int
) -> int:
    """Run an import that dies at a point; return how the process ended."""

    def ask() -> int:
        assert driver.stdin is not None
        assert driver.stdout is not None
        print(json.dumps([database_url, str(root), name, point]), file=driver.stdin, flush=True)
        return int(driver.stdout.readline())

    with trio.fail_after(TAKEOVER_S):
        return await trio.to_thread.run_sync(ask, abandon_on_cancel=True)


async def recover(bench: ImportBench, name: str) -> None:
    """Do what the appliance does after a start, as soon as the database has seen the death."""
    with trio.fail_after(TAKEOVER_S):
        await remove_leftovers(bench.tools)
        while (tar := bench.spool.look(name)) is not None:
            if await import_tar(bench.tools, tar) is not None:
                await trio.sleep(0.01)
        while list((bench.root / "work").iterdir()):
            await remove_leftovers(bench.tools)


async def check(bench: ImportBench, record_id: str, *, metadata: int = 1) -> None:
    found = await bench.find(record_id)
    assert found is not None
    assert (found.published, len(found.metadata)) == (True, metadata)
    assert sorted(format.format for format in found.formats) == ["presentation", "video"]
    assert all(len(format.thumbnails) == 1 for format in found.formats)
    expected = {
        f"published/{format}/{record_id}/{file}": content
        for format, files in FORMATS.items()
        for file, content in files.items()
    }
    tree = {path for path in bench.tree() if f"/{record_id}/" in path}
    described = {path for path in tree if path.endswith("/metadata.xml")}
    assert (len(described), tree - described) == (2, set(expected))
    assert all((bench.root / path).read_bytes() == content for path, content in expected.items())
    entries = await bench.journal.list_imports()
    assert [entry.state for entry in entries if record_id in entry.tar.name] == [ImportState.DONE]
    assert (bench.spool.scan(), bench.spool.failed_names()) == ([], [])


async def test_import_that_is_killed_each_time_is_given_up(
    driver: subprocess.Popen[str], database_url: str, tmp_path: Path
) -> None:
    async with open_import_bench(database_url, tmp_path) as bench:
        tar = recording_tar(tmp_path, "r1", FORMATS)
        tar.rename(tmp_path / "spool" / tar.name)
        for _ in range(MAX_ATTEMPTS):
            code = await kill_at(driver, database_url, tmp_path, tar.name, UNPACKING)
            assert code == -signal.SIGKILL
        with trio.fail_after(TAKEOVER_S):
            while await bench.run(tar.name) is not None:
                await trio.sleep(0.01)
        assert bench.tree() == set()
        assert bench.spool.failed_names() == [tar.name]
        assert "killed" in (tmp_path / "spool/failed/r1.tar.error").read_text()
        assert [event for event, _ in bench.log.errors] == ["recording_import_given_up"]
        assert await retry_import(bench.tools, tar.name)
        assert await bench.run(tar.name) is None
        await check(bench, "r1", metadata=0)


@pytest.mark.parametrize("share", range(SHARES))
async def test_import_loses_and_doubles_nothing_when_killed_at_any_step(
    driver: subprocess.Popen[str], database_url: str, tmp_path: Path, share: int
) -> None:
    kills = 0
    async with open_import_bench(database_url, tmp_path) as bench:
        for point in range(1 + share, MAX_POINTS, SHARES):
            record_id = f"r{point}"
            tar = recording_tar(tmp_path, record_id, FORMATS, metadata={"a": "1"})
            tar.rename(tmp_path / "spool" / tar.name)
            code = await kill_at(driver, database_url, tmp_path, tar.name, point)
            assert code in (0, -signal.SIGKILL)
            kills += code != 0
            await recover(bench, tar.name)
            await check(bench, record_id)
            if code == 0:
                break
    assert code == 0, "there are more points than MAX_POINTS"
    assert kills >= 4
