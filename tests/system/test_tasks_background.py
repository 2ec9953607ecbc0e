"""Background work: bounded in number and time; failures and the end of it have no effect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio.testing

from appliance.faults import StoreDown
from appliance.system.tasks import Background
from tests.doubles.features import EventBook


@dataclass(slots=True)
class Started:
    """Background work and its results."""

    log: EventBook = field(default_factory=EventBook)
    done: list[object] = field(default_factory=list)
    background: Background = field(init=False)

    def __post_init__(self) -> None:
        self.background = Background(self.log)

    async def note(self, value: object) -> None:
        """Record that the work was done."""
        await trio.lowlevel.checkpoint()
        self.done.append(value)

    async def fail(self, error: Exception) -> None:
        """Fail."""
        await trio.lowlevel.checkpoint()
        raise error

    async def hang(self) -> None:
        """Never return."""
        await trio.sleep_forever()


@asynccontextmanager
async def started() -> AsyncIterator[Started]:
    """Host background work during the block."""
    made = Started()
    async with trio.open_nursery() as nursery:
        await nursery.start(made.background.run)
        yield made
        nursery.cancel_scope.cancel()


async def test_work_is_done_in_the_background(autojump_clock: trio.testing.MockClock) -> None:
    async with started() as at_work:
        at_work.background.later(at_work.note, 7)
        assert at_work.done == []
        await trio.sleep(1)
        assert at_work.done == [7]


async def test_failed_work_is_logged_and_affects_no_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with started() as at_work:
        error = ValueError("defect")
        at_work.background.later(at_work.fail, error)
        at_work.background.later(at_work.fail, StoreDown("away"))
        at_work.background.later(at_work.note, 7)
        await trio.sleep(1)

        assert at_work.done == [7]
        assert at_work.log.errors == [
            ("background_work_failed", {"work": "fail", "exc_info": error})
        ]
        assert at_work.log.named("background_work_without_store") == [{"reason": "away"}]


async def test_work_is_cancelled_at_the_time_limit_and_dropped_above_the_count(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with started() as at_work:
        for _ in range(1000):
            at_work.background.later(at_work.hang)
        at_work.background.later(at_work.note, "too much")
        await trio.sleep(29)
        at_work.background.later(at_work.note, "still too much")
        await trio.sleep(2)
        at_work.background.later(at_work.note, "again")
        await trio.sleep(1)

        assert at_work.done == ["again"]
        assert len(at_work.log.named("background_work_dropped")) == 2
        assert not at_work.log.errors


async def test_work_is_dropped_before_the_start_and_after_the_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    before = Started()
    before.background.later(before.note, 1)
    async with started() as at_work:
        at_work.background.later(at_work.hang)
    at_work.background.later(at_work.note, 2)
    await trio.sleep(1)

    assert (before.done, at_work.done) == ([], [])
    assert before.log.named("background_work_dropped") == [{"work": "note"}]
    assert at_work.log.named("background_work_dropped") == [{"work": "note"}]


async def test_work_is_dropped_when_a_request_outlives_the_background(
    autojump_clock: trio.testing.MockClock,
) -> None:
    at_work = Started()

    async def serve() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                await trio.sleep(1)
            at_work.background.later(at_work.note, 1)

    async with trio.open_nursery() as nursery:
        await nursery.start(at_work.background.run)
        nursery.start_soon(serve)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()

    assert at_work.log.named("background_work_dropped") == [{"work": "note"}]
