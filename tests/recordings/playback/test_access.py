"""Looking recordings up for playback: at most once a second each, whoever asks."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from appliance.faults import DatabaseDown
from appliance.recordings.playback.access import RecordingLookup
from appliance.recordings.recording import Recording
from tests.doubles.recordings import make_recording


class SlowStore:
    """A store of one recording that answers when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.change_count = 0
        self.answer = trio.Event()
        self.broken = False

    async def find_recording(self, record_id: str) -> Recording | None:
        """Return `rec-1`."""
        self.asked += 1
        await self.answer.wait()
        if self.broken:
            raise DatabaseDown("gone")
        return make_recording() if record_id == "rec-1" else None


class Clock:
    """Milliseconds that stand still."""

    now_ms = 5_000

    def __call__(self) -> int:
        return self.now_ms


def make_lookup() -> tuple[RecordingLookup, SlowStore, Clock]:
    """Return a lookup, its store and its clock."""
    store, clock = SlowStore(), Clock()
    return RecordingLookup(store, clock), store, clock  # type: ignore[arg-type]


async def test_recording_is_read_once_a_second() -> None:
    lookup, store, clock = make_lookup()
    store.answer.set()
    for now_ms, asked in ((5_000, 1), (5_999, 1), (6_000, 2), (4_000, 3)):
        clock.now_ms = now_ms
        assert await lookup.find("rec-1") == make_recording()
        assert store.asked == asked


async def test_recording_is_read_again_after_a_change() -> None:
    lookup, store, _ = make_lookup()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lookup.find, "rec-1")
        await trio.testing.wait_all_tasks_blocked()
        store.change_count += 1  # while it is being read
        store.answer.set()
    for _ in range(2):
        assert await lookup.find("rec-1") == make_recording()
        assert store.asked == 2
    store.change_count += 1
    await lookup.find("rec-1")
    assert store.asked == 3


async def test_unknown_recording_is_remembered_too_and_odd_names_are_not_asked_for() -> None:
    lookup, store, _ = make_lookup()
    store.answer.set()
    for record_id in ("rec-2", "rec-2", "a/b", "x" * 300, ""):
        assert await lookup.find(record_id) is None
    assert store.asked == 1


async def test_those_who_ask_together_share_one_answer() -> None:
    lookup, store, _ = make_lookup()
    found: list[Recording | None] = []

    async def find() -> None:
        found.append(await lookup.find("rec-1"))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(find)
        await trio.testing.wait_all_tasks_blocked()
        store.answer.set()
    assert (store.asked, found) == (1, [make_recording()] * 20)


async def test_those_who_ask_together_share_one_failure() -> None:
    lookup, store, _ = make_lookup()
    store.broken = True
    failures = 0

    async def find() -> None:
        nonlocal failures
        with pytest.raises(DatabaseDown):
            await lookup.find("rec-1")
        failures += 1

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(find)
        await trio.testing.wait_all_tasks_blocked()
        store.answer.set()
    assert (store.asked, failures) == (1, 5)
    store.broken = False
    assert await lookup.find("rec-1") == make_recording()


async def test_another_asks_anew_when_the_first_has_gone() -> None:
    lookup, store, _ = make_lookup()
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def leave() -> None:
            with first:
                await lookup.find("rec-1")

        async def stay() -> None:
            assert await lookup.find("rec-1") == make_recording()

        nursery.start_soon(leave)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(stay)
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
        await trio.testing.wait_all_tasks_blocked()
        store.answer.set()
    assert store.asked == 2


async def test_nothing_is_found_without_a_store() -> None:
    assert await RecordingLookup(None, Clock()).find("rec-1") is None
