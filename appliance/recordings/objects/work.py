"""Brings objects in line with the rows of their recordings, and removes what dead imports left.

Publishing, unpublishing and deleting change rows and queue the recording in the same transaction;
the objects follow here: moved by copies inside the bucket, or deleted. A viewer never waits for
that, because the row decides what is played. Any appliance continues the work of one that died.
Source: docs/object-storage.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

import trio

from appliance.fault_log import FaultLog
from appliance.faults import DatabaseDown
from appliance.log import Log
from appliance.recordings.objects.journal import DueWork, ObjectJournal
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.recording import is_deleted
from appliance.recordings.storage import NewObjects
from appliance.recordings.store import RecordingStore
from appliance.system.threads import run_abandonable

_AT_ONCE = 2
"""Each holds a connection to PostgreSQL."""
_TAKEN = 20
_INTERVAL_S = 10.0
"""Between two looks for work that another appliance has queued, or left."""
_RETRY_S = 30.0
_BUSY_S = 2.0
_SWEEP_RETRY_S = 60.0
"""Until the next round of the sweeper after one that failed, if its interval is not shorter."""
_WAIT_S = 5.0
"""How long a call waits for the objects that it has queued."""

T = TypeVar("T")


@dataclass(slots=True)
class ObjectWork:
    """The worker of this process."""

    journal: ObjectJournal
    recordings: RecordingStore
    objects: RecordingObjects
    log: Log
    faults: FaultLog
    sweep_interval_s: float
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(_AT_ONCE))
    """Separate threads, so that a bucket that hangs blocks nothing else."""
    _wake: trio.Event = field(default_factory=trio.Event)
    awaited: WeakValueDictionary[str, trio.Event] = field(default_factory=WeakValueDictionary)
    """By recording. Only calls that wait keep one, as another appliance may do the work."""

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    async def wait_for_objects(self, record_ids: Iterable[str]) -> None:
        """Wake the worker, and wait until the objects of recordings have followed, or 5 s.

        A fault ends the wait, too: the work is repeated later.
        """
        waiting = [self.awaited.setdefault(one, trio.Event()) for one in record_ids]
        self.wake()
        with trio.move_on_after(_WAIT_S):
            for event in waiting:
                await event.wait()

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call."""
        return await run_abandonable(call, self.threads)

    async def work_forever(self) -> None:
        """Do the work that is queued until cancelled."""
        while True:
            self._wake = trio.Event()
            try:
                busy = await self.work_once()
            except DatabaseDown:
                busy = False  # the database logs the outage
            if not busy:
                with trio.move_on_after(_INTERVAL_S):
                    await self._wake.wait()

    async def work_once(self) -> bool:
        """Do what is due; return whether there may be more."""
        due = await self.journal.take_due(_TAKEN)
        async with trio.open_nursery() as nursery:
            limiter = trio.CapacityLimiter(_AT_ONCE)
            for work in due:
                nursery.start_soon(self._limited, limiter, work)
        return len(due) == _TAKEN

    async def _limited(self, limiter: trio.CapacityLimiter, work: DueWork) -> None:
        async with limiter:
            in_use = False
            try:
                in_use = not await self._do(work)
            except OSError as error:
                reason = error.strerror or "I/O error"
                self.faults.note("objects_not_moved", work.record_id, reason=reason)
                with suppress(DatabaseDown):  # its lease ends
                    await self.journal.postpone(work, reason, wait_s=_RETRY_S)
            except DatabaseDown:
                pass  # its lease ends
            except Exception as error:
                self.log.error("object_work_broke", record_id=work.record_id, exc_info=error)
            finally:
                event = None if in_use else self.awaited.pop(work.record_id, None)
                if event is not None:
                    event.set()

    async def _do(self, work: DueWork) -> bool:
        """Move or delete the objects of a recording; False: they are in use, try again soon."""
        async with self.journal.claim(work.record_id) as free:
            if not free:  # an import or a move places them, and the row decides when it ends
                await self.journal.postpone(work, "in use", wait_s=_BUSY_S)
                return False
            # What is moved to the other state would not be found there again.
            await remove_unfinished(self.journal, self.objects, work.record_id, self.in_thread)
            recording = await self.recordings.find_recording(work.record_id)
            if recording is None or is_deleted(recording):
                await self.in_thread(partial(self.objects.remove, work.record_id))
            else:
                move = self.objects.publish if recording.published else self.objects.unpublish
                for shown in recording.formats:
                    await self.in_thread(partial(move, work.record_id, shown.format))
            await self.journal.finish(work)
        return True

    # --- leftovers of dead imports and moves -------------------------------------------------

    async def sweep_forever(self) -> None:
        """Remove leftovers of dead imports and moves, at once and at intervals, until cancelled."""
        while True:
            wait_s = self.sweep_interval_s
            try:
                await self.sweep()
            except DatabaseDown:  # the database logs the outage
                wait_s = min(wait_s, _SWEEP_RETRY_S)
            except OSError as error:
                self.faults.note("objects_not_swept", "bucket", reason=error.strerror)
                wait_s = min(wait_s, _SWEEP_RETRY_S)
            await trio.sleep(wait_s)

    async def sweep(self) -> int:
        """Remove objects and unfinished uploads of imports and moves that did not end.

        Return the number of recordings. Those that are running hold the claim. Raises DatabaseDown,
        OSError: of a recording after the others, or at once if the bucket cannot be reached.
        """
        swept, failure = 0, None
        for record_id in await self.journal.recordings_with_uploads():
            async with self.journal.claim(record_id) as free:
                if not free:
                    continue
                try:
                    left = await remove_unfinished(
                        self.journal, self.objects, record_id, self.in_thread
                    )
                except OSError as error:
                    failure, left = error, []
                    await self.in_thread(self.objects.check)
            if left:
                swept += 1
                count = sum(len(new.names) for new in left)
                self.log.info("unfinished_uploads_removed", record_id=record_id, objects=count)
        if failure is not None:
            raise failure
        return swept


async def remove_unfinished(
    journal: ObjectJournal,
    objects: RecordingObjects,
    record_id: str,
    in_thread: Callable[[Callable[[], None]], Awaitable[None]],
) -> list[NewObjects]:
    """Remove what imports and moves that did not end have left of a recording, and return it.

    The caller has claimed its objects. Raises DatabaseDown, OSError.
    """
    left = await journal.list_uploads(record_id)
    for new in left:
        await in_thread(partial(objects.discard, new))
    if left:
        await journal.forget_uploads(record_id)
    return left
