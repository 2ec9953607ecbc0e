"""Listings by metadata of few and of very many recordings: what they find, by what, how many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.postgres.database import Database
from appliance.recordings import listing, rows
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.listing import Plan, plan_listing
from appliance.recordings.store import RecordingStore
from tests.doubles.recordings import fill, open_recordings

ALL = (("bbb-origin", "greenlight"),)
COUNT = 600


@pytest.fixture
async def filled(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Database, RecordingStore]]:
    """Give 600 recordings as if they were very many, of which ten are of each course."""
    for module in (rows, listing):
        monkeypatch.setattr(module, "FEW", 20)
    monkeypatch.setattr(listing, "_EXACT", 100)
    monkeypatch.setattr(listing, "_NEWEST", 50)
    monkeypatch.setattr(listing, "_FAR", 20)
    async with open_recordings(database_url) as (postgres, store):
        await fill(postgres, COUNT)
        await postgres.execute("ANALYZE recordings")
        yield postgres, store


async def page(store: RecordingStore, wanted: RecordingFilter) -> tuple[list[str], int]:
    """Return the ids of a page, and how many there are on all pages."""
    async with store.open_listing(wanted) as found:
        chunk = await found.next_chunk()
        total = await store.count_listed(wanted, found.plan, len(chunk))
    return [one.record_id for one in chunk], total


def newest(first: int, last: int) -> list[str]:
    """Return the ids of recordings, newest first."""
    return [f"rec-{number:07}" for number in range(first, last, -1)]


async def test_few_are_found_by_their_metadata_and_counted(
    filled: tuple[Database, RecordingStore],
) -> None:
    postgres, store = filled
    wanted = RecordingFilter(metadata=(("course", "course-7"),), limit=4, paged=True)
    assert await plan_listing(postgres, wanted) == Plan("metadata")
    assert await page(store, wanted) == (newest(79, 75), 10)
    assert await page(store, replace(wanted, offset=8)) == (newest(71, 69), 10)
    assert await page(store, replace(wanted, offset=10)) == ([], 10)


@pytest.mark.parametrize("more", [{}, {"tenant_id": "tenant-590"}])
async def test_very_many_are_read_from_the_newest_on(
    filled: tuple[Database, RecordingStore], more: dict[str, str]
) -> None:
    postgres, store = filled
    wanted = RecordingFilter(metadata=ALL, limit=25, paged=True, **more)  # type: ignore[arg-type]
    if more:
        assert await plan_listing(postgres, wanted) == Plan("tenant")
        assert await page(store, wanted) == (["rec-0000590"], 1)
        return
    assert await plan_listing(postgres, wanted) == Plan("time", "metadata")
    found, total = await page(store, wanted)
    assert found == newest(600, 575)
    assert 0.5 * COUNT <= total <= 2 * COUNT  # an estimate
    assert await page(store, wanted) == (found, total)
    assert await page(store, replace(wanted, offset=590)) == (newest(10, 0), COUNT)


async def test_pages_of_very_many_follow_each_other(
    filled: tuple[Database, RecordingStore],
) -> None:
    _, store = filled
    wanted = RecordingFilter(metadata=ALL, limit=25, paged=True)
    found: list[str] = []
    while chunk := (await page(store, replace(wanted, offset=len(found))))[0]:
        found += chunk
    assert found == newest(600, 0)


async def test_page_far_behind_begins_where_the_one_before_ended(
    filled: tuple[Database, RecordingStore],
) -> None:
    postgres, store = filled
    wanted = RecordingFilter(metadata=ALL, limit=25, offset=100, paged=True)
    after = replace(wanted, offset=125)
    first, _ = await page(store, wanted)
    await postgres.execute("UPDATE recordings SET state = 'deleted' WHERE id > 590")
    assert (await page(store, after))[0] == newest(475, 450)
    store._places.clear()
    assert (await page(store, after))[0] == newest(465, 440)
    assert first == newest(500, 475)


async def test_very_many_that_are_all_old_are_found_by_their_metadata(
    filled: tuple[Database, RecordingStore],
) -> None:
    postgres, store = filled
    await postgres.execute(
        "UPDATE metadata SET value = 'old' WHERE key = 'bbb-origin' AND recording_id <= 30"
    )
    wanted = RecordingFilter(metadata=(("bbb-origin", "old"),), limit=25, paged=True)
    assert await plan_listing(postgres, wanted) == Plan("time", "metadata")
    assert (await page(store, wanted))[0] == newest(30, 5)
    everything = replace(wanted, limit=None, paged=False)
    assert (await page(store, everything))[0] == newest(30, 0)


async def test_everything_by_what_all_have_is_streamed_in_order(
    filled: tuple[Database, RecordingStore],
) -> None:
    _, store = filled
    found: list[str] = []
    async with store.open_listing(RecordingFilter(metadata=ALL)) as stream:
        while chunk := await stream.next_chunk():
            found += [one.record_id for one in chunk]
    assert all(late > early for late, early in pairwise(found))
    assert len(found) == COUNT
