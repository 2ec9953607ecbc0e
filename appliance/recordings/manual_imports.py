"""Hosts the imports that an operator begins by hand: one at a time, however long each takes.

Knows nothing of imports. What is under way is cut off when the appliance stops, and can be begun
anew: the tar is still there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from appliance.log import Log


@dataclass(slots=True)
class ManualImport:
    """An import by hand that is under way in this process."""

    size: int
    """Of the tar."""
    unpacked: int = 0
    """Bytes so far."""


class ManualImports:
    """Runs jobs in the nursery of `run`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._nursery: trio.Nursery | None = None
        self._one = trio.CapacityLimiter(1)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Host the jobs until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def start(self, job: Callable[[], Awaitable[object]]) -> None:
        """Run a job once those before it are done; not if we are stopping."""
        if self._nursery is not None:
            self._nursery.start_soon(self._run, job)

    async def _run(self, job: Callable[[], Awaitable[object]]) -> None:
        async with self._one:
            try:
                await job()
            except Exception as error:
                # One import must not end the others; the journal shows that nobody is at it.
                self._log.error("import_by_hand_broke", exc_info=error)
