"""Results of recent listings of recordings: the places of pages, and numbers of recordings.

So that a page far from the newest recording is not counted off from there, and that very many
recordings are not counted for each page.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import trio

from appliance.postgres.database import Record
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.rows import FAR, Place, Start

T = TypeVar("T")

KEEP_S = 60.0
_FILTERS, _PLACES = 100, 100
"""Maximum number of filters that are remembered, and of places in the listing of each."""


def every_page(wanted: RecordingFilter) -> RecordingFilter:
    """Return the filter of all pages."""
    return replace(wanted, offset=0, limit=None, paged=False)


class _Recent(Generic[T]):
    """Values of the last KEEP_S, by the filter of all pages."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._values: OrderedDict[RecordingFilter, tuple[float, T]] = OrderedDict()

    def get(self, key: RecordingFilter) -> T | None:
        """Return a value, None if there is none or it is too old."""
        found = self._values.get(key)
        return found[1] if found and self._now_s() - found[0] < KEEP_S else None

    def put(self, key: RecordingFilter, value: T) -> None:
        """Keep a value in the place of the oldest one."""
        self._values[key] = self._now_s(), value
        self._values.move_to_end(key)
        if len(self._values) > _FILTERS:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()


class RecentListings:
    """Results of recent listings: the places of pages, and numbers of recordings.

    A page begins at the nearest place of the last minute, and is not counted off from the newest
    recording. All of it is forgotten when this process changes recordings.
    """

    def __init__(self, now_s: Callable[[], float] = trio.current_time) -> None:
        self._now_s = now_s
        self.counts: _Recent[int] = _Recent(now_s)
        self.estimates: _Recent[tuple[int, float]] = _Recent(now_s)
        self._places: _Recent[OrderedDict[int, tuple[float, Place]]] = _Recent(now_s)

    def find_start(self, wanted: RecordingFilter) -> Start:
        """Return from where a page is reached with the fewest recordings in between."""
        best = Start(None, wanted.offset)
        if wanted.offset < FAR or wanted.limit is None:
            return best
        end = wanted.offset + wanted.limit
        oldest_s = self._now_s() - KEEP_S
        for position, (noted_s, place) in (self._places.get(every_page(wanted)) or {}).items():
            backward = position > wanted.offset
            skip = position - end if backward else wanted.offset - position
            if noted_s > oldest_s and 0 <= skip < best.skip:
                best = Start(place, skip, backward)
        return best

    def note_page(self, wanted: RecordingFilter, rows: Sequence[Record]) -> None:
        """Remember where a page that is far from the newest recording begins and ends."""
        begin = wanted.offset + 1
        for position, row in ((begin, rows[:1]), (wanted.offset + len(rows), rows[-1:])):
            if row and position >= FAR and row[0]["starttime"] is not None:
                self._note_place(every_page(wanted), position, (row[0]["starttime"], row[0]["id"]))

    def _note_place(self, key: RecordingFilter, position: int, place: Place) -> None:
        """Remember the recording that is the last one before a position."""
        places = self._places.get(key) or OrderedDict()
        places[position] = self._now_s(), place
        places.move_to_end(position)
        if len(places) > _PLACES:
            places.popitem(last=False)
        self._places.put(key, places)

    def clear(self) -> None:
        """Forget all, because recordings were changed."""
        self.clear_counts()
        self._places.clear()

    def clear_counts(self) -> None:
        """Forget how many there are, because recordings were added."""
        self.counts.clear()
        self.estimates.clear()
