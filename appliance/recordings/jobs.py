"""Runs manual imports and moves of recordings in the background, without a time limit.

An import that is interrupted when the appliance stops can be started again, since its tar is kept,
and a move goes on where the next one begins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from appliance.log import Log

Job = Callable[[], Awaitable[object]]


class RecordingJobs:
    """Runs jobs in the nursery of `run`. A job is ignored while the appliance stops."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._nursery: trio.Nursery | None = None
        self._one = trio.CapacityLimiter(1)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run jobs until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def run_next(self, job: Job, failure: str) -> None:
        """Run a job after the previous ones; `failure` is logged if it has a defect."""
        if self._nursery is not None:
            self._nursery.start_soon(self._run_in_turn, job, failure)

    def run_concurrently(self, job: Job, failure: str) -> None:
        """Run a job beside the others; `failure` is logged if it has a defect."""
        if self._nursery is not None:
            self._nursery.start_soon(self._run, job, failure)

    async def _run_in_turn(self, job: Job, failure: str) -> None:
        async with self._one:
            await self._run(job, failure)

    async def _run(self, job: Job, failure: str) -> None:
        try:
            await job()
        except Exception as error:  # a defect must not stop other jobs; the journal shows the end
            self._log.error(failure, exc_info=error)
