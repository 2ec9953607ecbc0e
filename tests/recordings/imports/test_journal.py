"""The journal in a real PostgreSQL: one line a version of a tar, one claim at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.recordings.imports.model import ImportState, SpooledTar
from tests.doubles.import_tools import ImportBench, open_import_bench

TAR = SpooledTar("r1.tar", 10, 10**18, 5)


@pytest.fixture
async def bench(database_url: str, tmp_path: Path) -> AsyncIterator[ImportBench]:
    async with open_import_bench(database_url, tmp_path) as opened:
        yield opened


async def test_claim_gives_one_line_a_version_of_a_tar(bench: ImportBench) -> None:
    ids = []
    for tar in (TAR, TAR, replace(TAR, size=11), replace(TAR, mtime_ns=1), replace(TAR, inode=6)):
        async with bench.journal.claim(tar) as entry:
            assert entry is not None
            assert (entry.tar, entry.state, entry.attempts) == (tar, ImportState.WAITING, 0)
            ids.append(entry.id)
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


async def test_claim_is_one_at_a_time_whatever_the_version(bench: ImportBench) -> None:
    async with bench.journal.claim(TAR) as first:
        async with bench.journal.claim(replace(TAR, size=11)) as second:
            assert second is None
        async with bench.journal.claim(replace(TAR, name="r2.tar")) as other:
            assert other is not None
        assert first is not None
        async with bench.journal.claim_work(first.id) as free:
            assert not free
    async with bench.journal.claim_work(first.id) as free:
        assert free
    async with bench.journal.claim(TAR) as again:
        assert again is not None


async def test_journal_keeps_why_and_how_often(bench: ImportBench) -> None:
    async with bench.journal.claim(TAR) as entry:
        assert entry is not None
    await bench.journal.begin(entry.id)
    await bench.journal.retry_later(entry.id, "bad\0 \udcff", wait_s=100, counts=True)
    await bench.journal.begin(entry.id)
    await bench.journal.retry_later(entry.id, "disk", wait_s=100, counts=False)
    async with bench.journal.claim(TAR) as entry:
        assert entry is not None
        assert (entry.state, entry.error, entry.attempts) == (ImportState.WAITING, "disk", 1)
        assert 90 < entry.wait_s <= 100
    await bench.journal.begin(entry.id)
    await bench.journal.give_up(entry.id, "x" * 10_000)
    async with bench.journal.claim(TAR) as entry:
        assert entry is not None
        assert (entry.state, entry.attempts, entry.wait_s) == (ImportState.FAILED, 2, 0)
        assert len(entry.error or "") == 2000
    await bench.journal.reset_attempts(TAR)
    async with bench.journal.claim(TAR) as entry:
        assert entry is not None
        assert (entry.state, entry.attempts, entry.wait_s) == (ImportState.WAITING, 0, 0)


async def test_journal_counts_an_attempt_until_it_was_stopped(bench: ImportBench) -> None:
    async def attempts() -> int:
        async with bench.journal.claim(TAR) as entry:
            assert entry is not None
            return entry.attempts

    async with bench.journal.claim(TAR) as entry:
        assert entry is not None
    await bench.journal.begin(entry.id)
    await bench.journal.begin(entry.id)
    await bench.journal.begin(entry.id, counts=False)
    assert await attempts() == 2
    await bench.journal.stop(entry.id)
    assert await attempts() == 1
    await bench.journal.note(entry.id, ImportState.DONE)
    await bench.journal.stop(entry.id)
    assert await attempts() == 1


async def test_tar_is_due_when_the_clock_was_set_back_an_hour(bench: ImportBench) -> None:
    async with bench.journal.claim(TAR) as entry:
        assert entry is not None
    await bench.journal.retry_later(entry.id, "damaged", wait_s=3660, counts=True)
    async with bench.journal.claim(TAR) as entry:
        assert entry is not None
        assert entry.wait_s == 0
