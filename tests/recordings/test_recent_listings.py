"""Where a page is read from: the nearest place of the last minute."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from appliance.recordings.filter import RecordingFilter
from appliance.recordings.recent_listings import KEEP_S, RecentListings
from appliance.recordings.rows import Start

ROOM = RecordingFilter(metadata=(("room", "1"),), limit=25, paged=True)
TIME = datetime(2026, 11, 30)


class Clock:
    """A clock that is set by hand."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recent(clock: Clock) -> RecentListings:
    """Give listings of which the page at 5,000 was read."""
    listings = RecentListings(clock)
    listings.note_page(replace(ROOM, offset=5000), rows_at(5000))
    return listings


def rows_at(offset: int, count: int = 25) -> Any:
    """Return the rows of a page, whose ids are their positions in the listing."""
    return [{"starttime": TIME, "id": n} for n in range(offset, offset + count)]


@pytest.mark.parametrize(
    ("offset", "start"),
    [
        (0, Start(None, 0)),
        (500, Start(None, 500)),
        (1000, Start(None, 1000)),
        (2600, Start((TIME, 5000), 2376, backward=True)),
        (4975, Start((TIME, 5000), 1, backward=True)),
        (5000, Start((TIME, 5024), 0, backward=True)),
        (5025, Start((TIME, 5024), 0)),
        (9000, Start((TIME, 5024), 3975)),
    ],
)
def test_page_is_read_from_the_nearest_place(
    recent: RecentListings, offset: int, start: Start
) -> None:
    assert recent.find_start(replace(ROOM, offset=offset)) == start


def test_place_is_of_one_filter_and_of_the_last_minute(
    recent: RecentListings, clock: Clock
) -> None:
    asked = replace(ROOM, offset=5025)
    other = replace(asked, metadata=(("room", "2"),))
    assert recent.find_start(other) == Start(None, 5025)
    clock.now_s += KEEP_S - 1
    assert recent.find_start(asked).skip == 0
    clock.now_s += 2
    assert recent.find_start(asked) == Start(None, 5025)


def test_only_the_latest_places_are_kept(recent: RecentListings) -> None:
    for offset in range(10_000, 20_000, 25):
        recent.note_page(replace(ROOM, offset=offset), rows_at(offset))
    assert recent.find_start(replace(ROOM, offset=5025)) == Start(None, 5025)
    assert recent.find_start(replace(ROOM, offset=20_000)) == Start((TIME, 19_999), 0)


def test_recording_without_a_start_is_no_place(clock: Clock) -> None:
    recent = RecentListings(clock)
    recent.note_page(replace(ROOM, offset=5000), [{"starttime": None, "id": 1}] * 25)  # type: ignore[list-item]
    assert recent.find_start(replace(ROOM, offset=5025)) == Start(None, 5025)


def test_counts_are_forgotten_after_a_minute_and_on_a_change(
    recent: RecentListings, clock: Clock
) -> None:
    recent.counts.put(ROOM, 7)
    assert recent.counts.get(ROOM) == 7
    recent.clear_counts()
    assert recent.counts.get(ROOM) is None
    recent.counts.put(ROOM, 8)
    clock.now_s += KEEP_S + 1
    assert recent.counts.get(ROOM) is None
    recent.clear()
    assert recent.find_start(replace(ROOM, offset=5025)) == Start(None, 5025)
