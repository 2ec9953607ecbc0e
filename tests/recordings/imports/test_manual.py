"""The host of imports by hand: one at a time, and no failure ends it."""

from __future__ import annotations

from functools import partial

import trio
import trio.testing

from appliance.recordings.imports.manual import ManualImports
from tests.doubles.features import EventBook

DEADLINE_S = 40.0


async def test_jobs_run_one_at_a_time_whatever_becomes_of_them() -> None:
    book, went = EventBook(), list[str]()
    release, ended = trio.Event(), trio.Event()

    async def slow() -> None:
        went.append("slow")
        await release.wait()
        went.append("slow is over")

    async def fail() -> None:
        went.append("fail")
        raise ValueError("no")

    async def last() -> None:
        went.append("last")
        ended.set()

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            host = ManualImports(book)
            await nursery.start(host.run)
            host.start(slow)
            await trio.testing.wait_all_tasks_blocked()
            host.start(fail)
            await trio.testing.wait_all_tasks_blocked()
            host.start(last)
            await trio.testing.wait_all_tasks_blocked()
            assert went == ["slow"]
            release.set()
            await ended.wait()
            nursery.cancel_scope.cancel()
    assert went == ["slow", "slow is over", "fail", "last"]
    assert [name for name, _ in book.errors] == ["import_by_hand_broke"]


async def test_nothing_is_begun_when_it_has_stopped() -> None:
    host, went = ManualImports(EventBook()), list[int]()

    async def job(number: int) -> None:
        went.append(number)

    host.start(partial(job, 1))
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(host.run)
            nursery.cancel_scope.cancel()
    host.start(partial(job, 2))
    assert went == []
