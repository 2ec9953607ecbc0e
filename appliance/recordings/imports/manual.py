"""Runs manual imports in the background, one at a time and without a time limit.

An import that is interrupted when the appliance stops can be started again, since its tar is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from appliance.log import Log


@dataclass(slots=True)
class ManualImport:
    """Progress of a manual import that runs in this process, in bytes."""

    size: int
    """Size of the tar."""
    unpacked: int = 0


class ManualImports:
    """Runs jobs in the nursery of `run`."""

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

    def start(self, job: Callable[[], Awaitable[object]]) -> None:
        """Run a job after the previous ones; ignored while the appliance stops."""
        if self._nursery is not None:
            self._nursery.start_soon(self._run, job, self._one)

    def start_beside(self, job: Callable[[], Awaitable[object]]) -> None:
        """Run a job that is no import beside the others."""
        if self._nursery is not None:
            self._nursery.start_soon(self._run, job, trio.CapacityLimiter(1))

    async def _run(
        self, job: Callable[[], Awaitable[object]], limiter: trio.CapacityLimiter
    ) -> None:
        async with limiter:
            try:
                await job()
            except Exception as error:
                # A defect must not stop other imports; the journal shows that this one has ended.
                self._log.error("import_by_hand_broke", exc_info=error)
