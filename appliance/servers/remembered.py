"""The servers that this process remembers, and whether Redis has lost all of them.

Their number is kept in STATE_DIR.

FLUSHALL, another database in REDIS_URL or a replica without data leave a pool without servers,
which looks like a new one. An operator who removes the last server leaves a mark in Redis
(remove_server.lua), and so does `ctl servers accept-empty`; it is valid for every appliance on the
same Redis.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import trio

from appliance.fault_log import FaultLog
from appliance.log import Log
from appliance.model import Server, ServerId, ServerState
from appliance.system.new_file import new_file

FILE_NAME = "server_count"
_MAX_BYTES = 20


class RememberedServers:
    """The number of servers in STATE_DIR, whether they have vanished since, and their version."""

    def __init__(self, state_dir: Path, log: Log, faults: FaultLog) -> None:
        self._path = state_dir / FILE_NAME
        self._log = log
        self._faults = faults
        self._stored: int | None = None
        """The content of the file; None: not read yet."""
        self._known = 0
        self._vanished = False
        self._lock = trio.Lock()
        self.servers: dict[ServerId, Server] = {}
        """The servers, sorted by id, as the poller has read them: what polls count in them may be
        some seconds old."""
        self.bbb_version: str | None = None
        """The version that all enabled servers have; None: not the same, or not known yet."""

    @property
    def vanished(self) -> int:
        """Return how many servers have vanished from Redis; 0: none."""
        return self._known if self._vanished else 0

    async def observe(self, count: int, *, accepted: bool) -> None:
        """Compare with the number of servers in Redis; if it changed, remember it.

        `accepted`: an operator has emptied the pool, or knows that it is empty.
        """
        async with self._lock:
            if self._stored is None:
                self._stored = self._known = await trio.to_thread.run_sync(self._read)
            self._compare(count, accepted)
            if self._known != self._stored:
                await self._store(self._known)

    def _compare(self, count: int, accepted: bool) -> None:
        if count or accepted:
            if self._vanished:
                self._log.info("servers_back", servers=count)
            self._vanished, self._known = False, count
        elif self._known and not self._vanished:
            self._vanished = True
            advice = "check REDIS_URL, restore Redis, or run: ctl servers accept-empty"
            self._log.error("servers_vanished", servers=self._known, advice=advice)

    def _read(self) -> int:
        """Return the number in the file; 0 if there is none."""
        try:
            with self._path.open("rb") as file:
                return int(file.read(_MAX_BYTES))
        except (OSError, ValueError):
            return 0

    async def _store(self, count: int) -> None:
        try:
            await trio.to_thread.run_sync(self._write, count)
            self._stored = count
        except OSError as error:  # it is tried again at the next observation
            self._faults.note("server_count_not_stored", str(self._path), reason=error.strerror)

    def _write(self, count: int) -> None:
        """Replace the file as a whole, on disk: it must be right after a crash."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with new_file(self._path, 0o644) as file:
            file.write(b"%d\n" % count)


def common_version(servers: Iterable[Server]) -> str | None:
    """Return the BBB version of all enabled servers, None if they differ or one is unknown."""
    found = {one.bbb_version for one in servers if one.state is ServerState.ENABLED}
    return found.pop() if len(found) == 1 else None
