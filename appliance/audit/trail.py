"""Takes entries of the audit trail, keeps them safe, and finds them again.

An entry goes to Redis before its change is answered, and from there to PostgreSQL in the
background; so neither a store that is away nor a crash loses it, and no change waits for
PostgreSQL. Without a database Redis keeps the newest 10,000.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import trio

from appliance.audit.rules import (
    AuditEntry,
    AuditQuery,
    Change,
    cut,
    cut_reason,
    parse_entries,
)
from appliance.audit.store import CHUNK, AuditTable, WaitingEntries, parse_waiting
from appliance.fault_log import FaultLog
from appliance.faults import DatabaseDown, StoreDown
from appliance.log import Log
from appliance.postgres.errors import DatabaseRefused

RECORD_S = 0.5
"""How long a change waits for Redis to take its entries."""
RETRY_S = 2.0
PRUNE_INTERVAL_S = 3600.0
_DAY_MS = 86_400_000
MAX_HELD = 1000
"""Entries in memory while Redis is away. The oldest are dropped."""


class TrailIncomplete(Exception):
    """A store is unreachable: `str()` names it and the missing entries; `entries` were found."""

    def __init__(self, reason: str, entries: list[AuditEntry]) -> None:
        super().__init__(reason)
        self.entries = entries


@dataclass(slots=True)
class AuditTrail:
    """The audit trail of all appliances on the same stores."""

    waiting: WaitingEntries
    table: AuditTable | None
    """None: DB_DISABLED or RECORDING_DISABLED."""
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    retention_days: float
    _held: deque[AuditEntry] = field(default_factory=lambda: deque(maxlen=MAX_HELD))
    """Entries that Redis could not take."""
    _added: trio.Event = field(default_factory=trio.Event)

    async def record(self, who: str, call: str, changes: Sequence[Change], result: str) -> None:
        """Record what a call or a task has changed. Never fails, and returns within RECORD_S.

        who: as in the log, `uid=0 (root)`. result: DONE, or why it was not done.
        """
        now_ms = self.now_ms()
        entries = [
            AuditEntry(
                str(uuid4()),
                now_ms,
                *(cut(who), call, cut(one.object)),
                *(one.before, one.after, cut_reason(result)),
            )
            for one in changes
        ]
        if not entries:
            return
        try:
            with trio.fail_after(RECORD_S):
                await self._keep(entries)
        except (StoreDown, trio.TooSlowError):
            # It may be in Redis all the same; its id makes sure that it counts once.
            self._hold(entries)
        self._added.set()

    def _hold(self, entries: Sequence[AuditEntry]) -> None:
        dropped = len(self._held) + len(entries) - MAX_HELD
        self._held.extend(entries)
        if dropped > 0:
            self.faults.note("audit_entries_dropped", "memory", count=dropped)

    async def _keep(self, entries: Sequence[AuditEntry]) -> None:
        dropped = await self.waiting.add(entries)
        if dropped and self.table is not None:
            self.faults.note("audit_entries_dropped", "redis", count=dropped)

    async def search(self, query: AuditQuery) -> list[AuditEntry]:
        """Return the entries of a search, newest first. Raises TrailIncomplete."""
        waiting: list[AuditEntry] = []
        kept: list[AuditEntry] = []
        missing: list[str] = []
        # Redis first: what is moved to the database meanwhile is found twice, not missed.
        try:
            waiting = parse_waiting(await self.waiting.read(), query)
        except StoreDown as error:
            missing.append(
                f"Redis does not answer ({_why(error)}): the latest changes may be missing"
            )
        try:
            kept = [] if self.table is None else await self.table.find(query)
        except DatabaseDown as error:
            missing.append(
                f"PostgreSQL does not answer ({_why(error)}): only changes that have not been"
                " written to it yet are shown"
            )
        held = [entry for entry in self._held if query.accepts(entry)]
        found = {entry.id: entry for entry in (*kept, *waiting, *held)}
        newest = sorted(found.values(), key=lambda entry: entry.time_ms, reverse=True)
        if missing:
            raise TrailIncomplete("; ".join(missing), newest[: query.limit])
        return newest[: query.limit]

    # --- the background ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Move entries to the database, and delete those that are too old, until cancelled."""
        prune_s = trio.current_time()
        while True:
            pause_s = PRUNE_INTERVAL_S
            self._added = trio.Event()
            try:
                await self.flush()
                if trio.current_time() >= prune_s:
                    await self.prune()
                    prune_s = trio.current_time() + PRUNE_INTERVAL_S
            except (StoreDown, DatabaseDown) as error:
                self.log.debug("audit_waits", reason=str(error))
                pause_s = RETRY_S
            with trio.move_on_after(pause_s):
                await self._added.wait()

    async def flush(self) -> None:
        """Move all entries to the database. Raises StoreDown, DatabaseDown."""
        while self._held:
            entry = self._held[0]
            await self._keep([entry])
            if self._held and self._held[0] is entry:  # else newer ones have pushed it out
                self._held.popleft()
        while self.table is not None:
            texts = await self.waiting.read(CHUNK)
            if not texts:
                break
            await self._write(self.table, list(parse_entries(texts)))
            await self.waiting.remove(texts)

    async def _write(self, table: AuditTable, entries: Sequence[AuditEntry]) -> None:
        try:
            await table.add(entries)
        except DatabaseRefused:
            for entry in entries:
                try:
                    await table.add([entry])
                except DatabaseRefused as error:  # a retry would be refused as well
                    self.log.error("audit_entry_refused", call=entry.call, reason=str(error))

    async def prune(self) -> None:
        """Delete entries that are older than AUDIT_RETENTION_DAYS. Raises as `flush`."""
        before_ms = self.now_ms() - round(self.retention_days * _DAY_MS)
        if self.table is not None:
            await self.table.prune(before_ms)
            return
        texts = await self.waiting.read()
        old = [text for text in texts for one in parse_entries([text]) if one.time_ms < before_ms]
        if old:
            await self.waiting.remove(old)


def _why(error: StoreDown | DatabaseDown) -> str:
    return str(error) or "no connection"
