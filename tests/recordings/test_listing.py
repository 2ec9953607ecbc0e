"""Listings by metadata of few and of very many recordings: what they find, by what, how many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.postgres.database import Database
from appliance.recordings import listing, recent_listings, rows
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.listing import ListingPlan, plan_listing
from appliance.recordings.store import RecordingStore
from tests.doubles.recordings import add, fill, make_recording, open_recordings

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
    for module in (rows, recent_listings):
        monkeypatch.setattr(module, "FAR", 20)
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
    assert await plan_listing(postgres, wanted) == ListingPlan("metadata")
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
        assert await plan_listing(postgres, wanted) == ListingPlan("tenant")
        assert await page(store, wanted) == (["rec-0000590"], 1)
        return
    assert await plan_listing(postgres, wanted) == ListingPlan("time", "metadata")
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


@pytest.mark.parametrize(
    ("offset", "found"),
    [
        (125, (475, 450)),  # the next page
        (200, (400, 375)),  # behind it
        (75, (525, 500)),  # the page before
        (40, (560, 535)),  # before it
    ],
)
async def test_page_far_behind_is_found_from_one_nearby(
    filled: tuple[Database, RecordingStore], offset: int, found: tuple[int, int]
) -> None:
    postgres, store = filled
    wanted = RecordingFilter(metadata=ALL, limit=25, offset=100, paged=True)
    asked = replace(wanted, offset=offset)
    assert (await page(store, wanted))[0] == newest(500, 475)
    # Counted off from the newest it would be moved by ten.
    await postgres.execute("UPDATE recordings SET state = 'deleted' WHERE id > 590")
    assert (await page(store, asked))[0] == newest(*found)
    store._recent.clear()
    assert (await page(store, asked))[0] == newest(found[0] - 10, found[1] - 10)


async def test_page_before_another_has_those_without_a_start_too(
    filled: tuple[Database, RecordingStore],
) -> None:
    postgres, store = filled
    await postgres.execute("UPDATE recordings SET starttime = NULL WHERE id <= 30")
    wanted = RecordingFilter(limit=25, offset=50, paged=True)
    assert (await page(store, wanted))[0] == newest(580, 555)
    assert (await page(store, replace(wanted, offset=25)))[0] == newest(5, 0) + newest(600, 580)


async def test_very_many_are_counted_once_a_minute_or_after_a_change(
    filled: tuple[Database, RecordingStore],
) -> None:
    postgres, store = filled
    wanted = RecordingFilter(limit=25, paged=True)
    few = replace(wanted, metadata=(("course", "course-7"),))
    estimated = replace(wanted, metadata=ALL)
    before = [await page(store, one) for one in (wanted, few, estimated)]
    assert [total for _, total in before][:2] == [COUNT, 10]
    await postgres.execute(
        "INSERT INTO recordings (record_id, state, starttime)"
        " SELECT 'old-' || n, 'published', '2020-01-01' FROM generate_series(1, 600) n"
    )
    await postgres.execute(
        "INSERT INTO metadata (recording_id, key, value)"
        " SELECT id, 'course', 'course-7' FROM recordings WHERE record_id = 'old-1'"
    )
    await postgres.execute("ANALYZE recordings")
    totals = [(await page(store, one))[1] for one in (wanted, few, estimated)]
    assert totals == [COUNT, 11, before[2][1]]
    await add(store, make_recording())
    assert (await page(store, wanted))[1] == 2 * COUNT + 1


async def test_very_many_that_are_all_old_are_found_by_their_metadata(
    filled: tuple[Database, RecordingStore],
) -> None:
    postgres, store = filled
    await postgres.execute(
        "UPDATE metadata SET value = 'old' WHERE key = 'bbb-origin' AND recording_id <= 30"
    )
    wanted = RecordingFilter(metadata=(("bbb-origin", "old"),), limit=25, paged=True)
    assert await plan_listing(postgres, wanted) == ListingPlan("time", "metadata")
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
