"""The journal as an operator reads it, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.recordings.imports.history import ImportHistory
from appliance.recordings.imports.model import ImportState, SpooledTar
from tests.doubles.import_tools import ImportBench, open_import_bench
from tests.doubles.recording_tars import recording_tar

TAR = SpooledTar("r1.tar", 10, 10**18, 5)


@pytest.fixture
async def bench(database_url: str, tmp_path: Path) -> AsyncIterator[ImportBench]:
    async with open_import_bench(database_url, tmp_path) as opened:
        yield opened


async def enter(bench: ImportBench, tar: SpooledTar) -> int:
    """Write a line and return its id."""
    async with bench.journal.claim(tar) as entry:
        assert entry is not None
        return entry.id


async def test_history_counts_and_filters(bench: ImportBench) -> None:
    history = ImportHistory(bench.database)
    ids = [await enter(bench, replace(TAR, name=f"r{number}.tar")) for number in range(3)]
    await bench.journal.give_up(ids[1], "no tar")
    found, count = await history.list_imports(limit=2)
    assert ([one.id for one in found], count) == ([ids[2], ids[1]], 3)
    failed, count = await history.list_imports(limit=9, failed=True)
    assert [(one.tar.name, one.state, one.error, one.attempts) for one in failed] == [
        ("r1.tar", ImportState.FAILED, "no tar", 1)
    ]
    assert count == 1
    assert failed[0].finished_ms is not None
    assert await history.find_import(ids[2] + 1) is None


async def test_history_knows_the_recordings_of_an_import(bench: ImportBench) -> None:
    history = ImportHistory(bench.database)
    made = recording_tar(bench.root, "rec-1")
    made.rename(bench.root / "spool" / made.name)
    await bench.run(made.name)
    found, count = await history.list_imports(limit=9, record_id="rec-1")
    assert (count, found[0].record_ids, found[0].state) == (1, ("rec-1",), ImportState.DONE)
    assert await history.list_imports(limit=9, record_id="rec-2") == ([], 0)


async def test_import_whose_appliance_died_is_seen(bench: ImportBench) -> None:
    history = ImportHistory(bench.database)
    async with bench.journal.claim(TAR) as entry:
        assert entry is not None
        await bench.journal.begin(entry.id)
        during = await history.find_import(entry.id)
    after = await history.find_import(entry.id)
    assert during is not None
    assert after is not None
    assert (during.running, during.interrupted) == (True, False)
    assert (after.running, after.interrupted) == (False, True)


async def test_line_is_made_as_new(bench: ImportBench) -> None:
    history = ImportHistory(bench.database)
    import_id = await enter(bench, TAR)
    await enter(bench, replace(TAR, name="later.tar"))
    await bench.journal.give_up(import_id, "no tar")
    await history.restart(import_id, undelete=True)
    found = await history.find_import(import_id)
    assert found is not None
    assert (found.state, found.error, found.attempts) == (ImportState.WAITING, None, 0)
    assert (found.undelete, found.finished_ms) == (True, None)
    (newest, _), _ = await history.list_imports(limit=9)
    assert newest.id == import_id
    await history.restart(import_id, undelete=False)
    async with bench.journal.claim(TAR) as entry:
        assert entry is not None
        assert not entry.undelete


async def test_old_lines_of_good_imports_are_forgotten(bench: ImportBench) -> None:
    history = ImportHistory(bench.database)
    ids = [await enter(bench, replace(TAR, inode=number)) for number in range(4)]
    await bench.database.execute(
        "UPDATE appliance.imports SET state = 'done', finished_at = now() - interval '91 days'"
    )
    await bench.journal.give_up(ids[0], "no tar")
    await bench.database.execute(
        "UPDATE appliance.imports SET finished_at = now() - interval '91 days' WHERE id = $1",
        ids[0],
    )
    await bench.database.execute(
        "UPDATE appliance.imports SET finished_at = now() WHERE id = $1", ids[1]
    )
    assert await history.forget_old(90 * 86400) == 2
    found, _ = await history.list_imports(limit=9)
    assert {one.id for one in found} == set(ids[:2])


async def test_tars_that_no_appliance_finds_are_forgotten_after_a_day(bench: ImportBench) -> None:
    history = ImportHistory(bench.database)
    names = ("gone", "killed", "restored", "in-progress", "due")
    ids = {name: await enter(bench, replace(TAR, name=name)) for name in names}
    await bench.journal.begin(ids["killed"])
    await history.restart(ids["restored"], undelete=True)
    await bench.database.execute(
        "UPDATE appliance.imports SET next_try_at = now() - interval '25 hours'"
    )
    await bench.journal.retry_later(ids["due"], "no bucket", wait_s=-3600, counts=False)
    async with bench.journal.claim(replace(TAR, name="in-progress")):
        assert await history.forget_old(90 * 86400) == 2
    found, _ = await history.list_imports(limit=9)
    assert {one.tar.name for one in found} == {"restored", "in-progress", "due"}
