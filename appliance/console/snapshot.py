"""The state of the pool for all viewers: read once a second while a page is open.

A store that is away leaves the last picture with the reason, so that pages say it and recover by
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import trio

from appliance.bbb.endpoint import host_labels
from appliance.callbacks.rules import CallbackState
from appliance.doctor.doctor import examine
from appliance.doctor.findings import Finding
from appliance.faults import DatabaseDown, StoreDown
from appliance.features import Features
from appliance.fleet.autoscale import read_capacity
from appliance.fleet.capacity import Capacity
from appliance.instruments import LastPoll
from appliance.model import PlacementOutcome, Server, ServerState
from appliance.servers.administration import list_servers
from appliance.servers.maintenance.rules import Window
from appliance.servers.maintenance.windows import list_windows, next_windows
from appliance.servers.versions.watch import VersionRow, list_versions
from appliance.system.threads import map_in_slices, run_abandonable

_READ_S = 4.0
_SLOW_EVERY_S = 5.0
"""How often the database and the spool are asked."""
_DOCTOR_EVERY_S = 300.0
_REFUSED = (
    PlacementOutcome.NO_SERVER,
    PlacementOutcome.NO_TAGGED_SERVER,
    PlacementOutcome.NO_VOICE_BRIDGE,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Examination:
    """The last findings of `doctor`."""

    findings: tuple[Finding, ...] = ()
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """Imports and callbacks that wait or failed; None: not known, or not used."""

    imports_waiting: int | None = None
    imports_failed: int | None = None
    callbacks_waiting: int | None = None
    callbacks_failed: int | None = None
    database_down: str = ""
    """Why PostgreSQL cannot be used; empty: it answers, or is not used."""


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server with what else is known of it."""

    server: Server
    label: str
    """Its host name, with the port where several share it."""
    poll: LastPoll | None
    """None: polled by another appliance, or not yet."""
    drain_from: int
    """Meetings that it had when it was cordoned; 0: not cordoned."""
    window: Window | None = None
    """Its maintenance that is under way, or comes next."""


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """The pool at one moment."""

    at_ms: int
    rows: tuple[ServerRow, ...] = ()
    """In natural order of their labels."""
    by_id: Mapping[str, ServerRow] = field(default_factory=dict)
    store_down: str = ""
    """Why Redis cannot be used: the rest is as it was before."""
    vanished: int = 0
    """Number of servers that Redis has lost."""
    work: Work = Work()
    examination: Examination = Examination()
    capacity: Capacity | None = None
    """None: nothing was read yet."""
    versions: tuple[VersionRow, ...] = ()
    """Of BBB, in natural order."""
    windows: tuple[Window, ...] = ()
    """All maintenance windows, the next ones first."""

    @property
    def servers(self) -> list[Server]:
        """Return the servers."""
        return [row.server for row in self.rows]

    def label(self, server_id: str) -> str:
        """Return the label of a server; its id if it is not in the pool."""
        row = self.by_id.get(server_id)
        return row.label if row else server_id

    @property
    def highest_load(self) -> float:
        """Return the load of the server with the highest one."""
        return max((row.server.load or 0.0 for row in self.rows), default=0.0)

    @property
    def meetings(self) -> int:
        """Return the number of meetings."""
        return sum(row.server.meetings for row in self.rows)

    @property
    def users(self) -> int:
        """Return the number of users."""
        return sum(row.server.users for row in self.rows)


class SnapshotReader:
    """Reads snapshots; what is slow to read is read less often."""

    def __init__(self, features: Features) -> None:
        self._features = features
        self._drains: dict[str, int] = {}
        self._slow_at_s = -_SLOW_EVERY_S
        # Not Trio's default limiter: a directory that hangs keeps its thread.
        self._threads = trio.CapacityLimiter(1)
        self._work = Work()
        self._versions_at_s = -_SLOW_EVERY_S
        self._versions: tuple[VersionRow, ...] = ()
        self._doctor_at_s: float | None = None
        self._examining = False
        self.examination = Examination()
        self.last = PoolSnapshot(features.now_ms())

    async def read(self) -> PoolSnapshot:
        """Read the pool now."""
        features = self._features
        work = await self._read_work()
        try:
            with trio.fail_after(_READ_S):
                servers = await list_servers(features.servers)
                await trio.lowlevel.checkpoint()
                capacity, _ = await read_capacity(features.fleet, servers)
                planned = tuple(await list_windows(features.servers))
                await self._read_versions()
        except StoreDown as error:
            return self._keep(work, str(error) or "no connection")
        except trio.TooSlowError:
            return self._keep(work, f"no answer within {_READ_S:g} s")
        # Thousands of servers take some milliseconds at each step: calls come in between.
        await trio.lowlevel.checkpoint()
        self._note_drains(servers)
        windows = next_windows(planned)
        labels = host_labels([server.url for server in servers])
        await trio.lowlevel.checkpoint()
        polls = features.metrics.last_polls

        def describe(one: tuple[Server, str]) -> ServerRow:
            server, label = one
            drain_from, window = self._drains.get(server.id, 0), windows.get(server.id)
            return ServerRow(server, label, polls.get(server.id), drain_from, window)

        rows = tuple(await map_in_slices(describe, zip(servers, labels, strict=True)))
        await trio.lowlevel.checkpoint()
        self.last = PoolSnapshot(
            features.now_ms(),
            rows,
            {row.server.id: row for row in rows},
            "",
            features.servers.remembered.vanished,
            work,
            self.examination,
            capacity,
            versions=self._versions,
            windows=planned,
        )
        return self.last

    def _keep(self, work: Work, reason: str) -> PoolSnapshot:
        self.last = replace(self.last, store_down=reason, work=work, examination=self.examination)
        return self.last

    def _note_drains(self, servers: tuple[Server, ...]) -> None:
        self._drains = {
            server.id: max(self._drains.get(server.id, 0), server.meetings)
            for server in servers
            if server.state is ServerState.CORDONED
        }

    async def _read_versions(self) -> None:
        now_s = trio.current_time()
        if now_s - self._versions_at_s >= _SLOW_EVERY_S:
            self._versions_at_s = now_s
            self._versions = tuple(await list_versions(self._features.servers))

    async def _read_work(self) -> Work:
        now_s = trio.current_time()
        if now_s - self._slow_at_s >= _SLOW_EVERY_S:
            self._slow_at_s = now_s
            with trio.move_on_after(_READ_S):
                self._work = await read_work(self._features, self._threads)
        return self._work

    async def examine(self) -> None:
        """Run `doctor` if its last run was long ago; takes up to 10 s."""
        now_s = trio.current_time()
        due = self._doctor_at_s is None or now_s - self._doctor_at_s >= _DOCTOR_EVERY_S
        if self._examining or not due or self._features.doctor.probes is None:
            return
        self._examining = True
        try:
            findings = await examine(self._features.doctor)
            self.examination = Examination(tuple(findings), self._features.now_ms())
        finally:
            self._doctor_at_s = trio.current_time()
            self._examining = False


def count_refused(features: Features) -> float:
    """Return how many creates found no server since this appliance started."""
    values = features.metrics.placements.values
    return sum(values.get((one.value,), 0.0) for one in _REFUSED)


def count_errors(features: Features) -> float:
    """Return how many calls ended with an internal error since this appliance started."""
    return float(
        sum(
            counts[-1]
            for (_, result), counts, _ in features.metrics.requests.read()
            if result == "error"
        )
    )


async def read_work(features: Features, threads: trio.CapacityLimiter) -> Work:
    """Read what waits and what failed."""
    spool = features.recordings.admin.spool if features.recordings.admin else None
    waiting = await _in_thread(lambda: len(spool.scan()), threads) if spool else None
    failed = await _in_thread(spool.count_failed, threads) if spool else None
    pending: int | None = None
    lost: int | None = None
    down = ""
    try:
        if features.recordings.store is not None:
            await features.recordings.store.ping()
        counts = await features.callbacks.queue.count()
        pending, lost = counts[CallbackState.PENDING], counts[CallbackState.FAILED]
    except DatabaseDown as error:
        down = str(error) or "no connection"
    except StoreDown:
        pass  # said by the snapshot itself
    return Work(waiting, failed, pending, lost, down)


async def _in_thread(read: Callable[[], T], threads: trio.CapacityLimiter) -> T | None:
    try:
        return await run_abandonable(read, threads)
    except OSError:
        return None  # doctor says why
