"""The jobs of recordings: imports one at a time, and no failure ends the others."""

from __future__ import annotations

from functools import partial

import trio
import trio.testing

from appliance.recordings.jobs import RecordingJobs
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
            host = RecordingJobs(book)
            await nursery.start(host.run)
            host.run_next(slow, "slow_broke")
            await trio.testing.wait_all_tasks_blocked()
            host.run_next(fail, "fail_broke")
            await trio.testing.wait_all_tasks_blocked()
            host.run_next(last, "last_broke")
            await trio.testing.wait_all_tasks_blocked()
            assert went == ["slow"]
            release.set()
            await ended.wait()
            nursery.cancel_scope.cancel()
    assert went == ["slow", "slow is over", "fail", "last"]
    assert [name for name, _ in book.errors] == ["fail_broke"]


async def test_nothing_is_begun_when_it_has_stopped() -> None:
    host, went = RecordingJobs(EventBook()), list[int]()

    async def job(number: int) -> None:
        went.append(number)

    host.run_next(partial(job, 1), "job_broke")
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(host.run)
            nursery.cancel_scope.cancel()
    host.run_concurrently(partial(job, 2), "job_broke")
    assert went == []
