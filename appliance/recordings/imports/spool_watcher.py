"""Watches the spool for finished tars and imports them, a few at a time.

A tar is finished when inotify reports that it was closed or moved in, or when two scans find it
unchanged. What happens to it is decided in importer.py.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from appliance.faults import DatabaseDown
from appliance.log import Log
from appliance.recordings.imports.deps import MAX_CONCURRENCY, Importer
from appliance.recordings.imports.importer import Leftovers, import_tar, remove_leftovers
from appliance.recordings.imports.model import SpooledTar, is_tar_name
from appliance.recordings.imports.spool import Spool
from appliance.recordings.storage import Storage
from appliance.system.inotify import DirectoryWatch

SETTLE_S = 2.0
"""Between the first two scans after a start; short, for tars that arrived before it."""
_CLEAN_UP_S = 1.0
"""Between two attempts to remove leftovers."""
_NO_WATCH = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM, errno.ENOSYS)
"""inotify(7): no watch is left; its limits are per user and shared with other programs."""
_PAUSE_S = 5.0
"""After an error of the spool directory."""


OpenWatch = Callable[[Path], AbstractAsyncContextManager[DirectoryWatch]]
"""Opens a watch on a directory, closed at the end of the block. Raises OSError."""


@dataclass(slots=True)
class SpoolWatcher:
    """Watches one spool."""

    tools: Importer
    spool: Spool
    trash: Storage
    open_watch: OpenWatch
    log: Log
    scan_interval_s: float
    concurrency: int
    scan: bool = True
    """RECORDING_IMPORT_POLL: scan periodically, not only after a start."""
    settle_s: float = SETTLE_S
    pause_s: float = _PAUSE_S
    _seen: dict[str, SpooledTar] = field(default_factory=dict)
    """Results of the previous scan, by name."""
    _under_way: dict[str, SpooledTar] = field(default_factory=dict)
    _complained: bool = False
    _leftovers: Leftovers | None = None
    """Leftovers of earlier imports that are still to be removed; None: not searched yet."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._watch()
            except OSError as error:
                if not self._complained:
                    self._complained = True
                    self.log.warning("spool_not_reachable", reason=error.strerror or "I/O error")
            await trio.sleep(self.pause_s)

    async def _watch(self) -> None:
        self._seen.clear()
        self._under_way.clear()
        await self.tools.in_thread(self.spool.make)
        fault: OSError | None = None
        async with self._open_watch() as watch, trio.open_nursery() as nursery:
            slots = trio.Semaphore(min(self.concurrency, MAX_CONCURRENCY))
            try:
                if self._leftovers != []:
                    nursery.start_soon(self._clean_up)
                async with trio.open_nursery() as looking:
                    looking.start_soon(self._scan_forever, nursery, slots)
                    if watch is not None:
                        looking.start_soon(self._follow, watch, nursery, slots)
            except* OSError as group:
                fault = _first_of(group)
            nursery.cancel_scope.cancel()
        if fault is not None:
            raise fault

    @asynccontextmanager
    async def _open_watch(self) -> AsyncIterator[DirectoryWatch | None]:
        """Watch the spool; None: the system has no watch left, so only scans are used.

        Raises OSError.
        """
        async with AsyncExitStack() as stack:
            try:
                watch = await stack.enter_async_context(self.open_watch(self.spool.directory))
            except OSError as error:
                if error.errno not in _NO_WATCH or not self.scan:
                    raise
                self.log.warning("spool_scanned_only", reason=error.strerror)
                watch = None
            yield watch

    async def _clean_up(self) -> None:
        """Remove the leftovers of interrupted imports as soon as the database is available.

        Those of an import that is running again are removed when it ends and releases its claim.
        """
        while self._leftovers != []:
            with suppress(DatabaseDown, OSError):
                self._leftovers = await remove_leftovers(self.tools, self._leftovers)
                if not self._leftovers:
                    return
            await trio.sleep(_CLEAN_UP_S)

    async def _follow(
        self, watch: DirectoryWatch, nursery: trio.Nursery, slots: trio.Semaphore
    ) -> None:
        while True:
            names = await watch.next_names()
            for tar in await self.tools.in_thread(partial(self._look, names)):
                self._start(tar, nursery, slots)

    def _look(self, names: list[str] | None) -> list[SpooledTar]:
        if names is None:
            return self.spool.scan()
        return [tar for tar in map(self.spool.look, filter(is_tar_name, names)) if tar]

    async def _scan_forever(self, nursery: trio.Nursery, slots: trio.Semaphore) -> None:
        """Scan at once, again after `settle_s`, then at intervals."""
        await self._scan_once(nursery, slots)
        await trio.sleep(min(self.settle_s, self.scan_interval_s))
        await self._scan_once(nursery, slots)
        while True:
            if self.scan:
                await self._scan_once(nursery, slots)
            await self.tools.in_thread(self._tidy)
            await trio.sleep(self.scan_interval_s)

    async def _scan_once(self, nursery: trio.Nursery, slots: trio.Semaphore) -> None:
        found = {tar.name: tar for tar in await self.tools.in_thread(self.spool.scan)}
        self._complained = False
        for tar in found.values():
            if self._seen.get(tar.name) == tar:
                self._start(tar, nursery, slots)
        self._seen = found

    def _tidy(self) -> None:
        self.trash.empty_trash()
        self.spool.remove_abandoned_uploads()
        self.spool.put_back_aside()

    def _start(self, tar: SpooledTar, nursery: trio.Nursery, slots: trio.Semaphore) -> None:
        """Start the import of a tar, unless it is running."""
        if self._under_way.get(tar.name) != tar:
            self._under_way[tar.name] = tar
            nursery.start_soon(self._import, tar, slots)

    async def _import(self, tar: SpooledTar, slots: trio.Semaphore) -> None:
        try:
            while True:
                async with slots:
                    wait_s = await import_tar(self.tools, tar)
                if wait_s is None:
                    return
                await trio.sleep(wait_s)
        except Exception as error:
            # A bug in one import must not end the others; the next scan finds the tar again.
            self.log.error("recording_import_broke", file=tar.name, exc_info=error)
        finally:
            if self._under_way.get(tar.name) == tar:
                del self._under_way[tar.name]


def _first_of(group: BaseExceptionGroup[OSError]) -> OSError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, OSError)
    return error
