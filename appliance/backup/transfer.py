"""Sends the pool as lines into a pipe, and restores it from such lines.

A line is `#section`, or an entry or a row of that section in JSON; the last one is `#end`, so that
a pipe that breaks is no short backup. ctl is at the other end. Redis comes first: with it the
meetings are found again, while the rows of years of usage are still being written.
"""

from __future__ import annotations

import json
import os
import stat
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import trio

from appliance.backup.keys import SECTIONS, Entry, classify, parse_entry, render_entry
from appliance.backup.plan import MAX_CONFLICTS, Count, Mode, plan_restore
from appliance.backup.pool_state import apply, read_entries
from appliance.backup.tables import (
    CHUNK_ROWS,
    RECORDINGS,
    RecordingRestorer,
    Table,
    TableWriter,
    advance_sequences,
    find_table,
    list_tables,
    reading_sql,
    recordings_sql,
)
from appliance.faults import DatabaseDown
from appliance.log import Log
from appliance.postgres.database import Connection, Database
from appliance.postgres.errors import DatabaseRefused
from appliance.postgres.transaction import Transaction, open_transaction
from appliance.redis.store import RedisStore

END = b"#end"
HOLD_S = 3 * 3600.0
"""The longest that a backup or a restore may take."""
STEP_S = 300.0
READY_S = 10.0
"""How long a restore waits for a database that an appliance has just been started on."""
_READ_BYTES = 256 * 1024
_CHUNK_BYTES = 4 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024

Counts = Mapping[str, Count]


class Part(StrEnum):
    """The part of a pool that a backup has."""

    ALL = "all"
    POOL = "pool"
    """The content of Redis: all that creates and joins need."""
    HISTORY = "history"
    """The content of PostgreSQL, which may be usage and recordings of years."""


class TransferError(Exception):
    """A backup or a restore was not done; `str()` says why, in one line."""


class Conflicts(TransferError):
    """The stores have something else than the backup, and nothing was changed."""

    def __init__(self, found: Sequence[str]) -> None:
        super().__init__(
            "the stores have already what the backup has not, or has otherwise: "
            + "; ".join(found[:MAX_CONFLICTS])
            + (f"; and {len(found) - MAX_CONFLICTS} more" if len(found) > MAX_CONFLICTS else "")
        )


@dataclass(frozen=True, slots=True)
class BackupDeps:
    """Dependencies of backup and restore."""

    log: Log
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    redis: RedisStore
    database: Database | None
    """None: there is none."""


def open_pipe(descriptor: int) -> trio.lowlevel.FdStream:
    """Return a stream on one end of a pipe; the descriptor stays the caller's.

    Raises TransferError: it is not a pipe.
    """
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        raise TransferError("what was passed is not a pipe")
    return trio.lowlevel.FdStream(os.dup(descriptor))


async def write_backup(deps: BackupDeps, descriptor: int, *, part: Part = Part.ALL) -> Counts:
    """Write the pool, or a part, into a pipe; return how many objects there are of each kind.

    Raises StoreDown, DatabaseDown, DatabaseRefused, TransferError.
    """
    counts: dict[str, Count] = {}
    async with open_pipe(descriptor) as pipe:
        try:
            if part is not Part.HISTORY:
                await _send_entries(deps, pipe, counts)
            if deps.database is not None and part is not Part.POOL:
                async with open_transaction(deps.database, hold_s=HOLD_S) as transaction:
                    await _send_rows(transaction, pipe, counts)
            await pipe.send_all(END + b"\n")
        except trio.BrokenResourceError:
            raise TransferError("the reader of the backup has left") from None
    return counts


async def _send_entries(
    deps: BackupDeps, pipe: trio.abc.SendStream, counts: dict[str, Count]
) -> None:
    """Send what Redis has. Before the rows: what leaves Redis for PostgreSQL is then in both."""
    sections: dict[str, list[Entry]] = {name: [] for name in SECTIONS}
    for entry in await read_entries(deps.redis, deps.now_ms()):
        sections[classify(entry.key)[0].section].append(entry)
    for name, entries in sections.items():
        await pipe.send_all(f"#{name}\n".encode())
        number = 0
        for entry in entries:
            await pipe.send_all(render_entry(entry).encode() + b"\n")
            if classify(entry.key)[0].counted:
                number += 1
            elif entry.key == "appliance:hooks":
                number += len(entry.value)
        counts[name] = Count(total=number)


async def _send_rows(
    transaction: Transaction, pipe: trio.abc.SendStream, counts: dict[str, Count]
) -> None:
    """Send all rows as they are at one moment."""

    async def begin(connection: Connection) -> list[Table]:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return await list_tables(connection)

    async def declare(connection: Connection, table: Table | None) -> None:
        sql = recordings_sql() if table is None else await reading_sql(connection, table)
        await connection.execute(f"DECLARE backup NO SCROLL CURSOR FOR {sql}")

    async def read(connection: Connection) -> list[str]:
        return [row[0] for row in await connection.fetch(f"FETCH {CHUNK_ROWS} FROM backup")]

    async def close(connection: Connection) -> None:
        await connection.execute("CLOSE backup")

    tables = await transaction.run(begin, deadline_s=STEP_S)
    for table in (None, *tables):
        section, number = RECORDINGS if table is None else table.section, 0
        await pipe.send_all(f"#{section}\n".encode())
        await transaction.run(partial(declare, table=table), deadline_s=STEP_S)
        while rows := await transaction.run(read, deadline_s=STEP_S):
            await pipe.send_all("\n".join((*rows, "")).encode())
            number += len(rows)
        await transaction.run(close, deadline_s=STEP_S)
        counts[section] = Count(total=number)


# --- restore -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore, or of its dry run."""

    counts: Counts
    failure: str = ""
    """Why the rows were not written, although Redis has what it is to have."""


async def restore_backup(
    deps: BackupDeps, descriptor: int, mode: Mode, *, dry_run: bool
) -> Restored:
    """Restore the pool from a pipe.

    Redis is written in one transaction, then PostgreSQL in another.
    Raises StoreDown, DatabaseDown, DatabaseRefused, TransferError: nothing was changed.
    """
    async with open_pipe(descriptor) as pipe:
        lines = _Lines(pipe)
        entries = await _receive_entries(lines)
        if deps.database is not None:
            await _wait_ready(deps.database)
        counts: dict[str, Count] = {}
        if entries is not None:
            counts = await _restore_entries(deps, entries, mode, dry_run)
        if deps.database is None:
            return Restored(counts | {RECORDINGS: Count()})
        try:
            counts |= await _restore_rows(deps.database, lines, mode, dry_run)
        except (DatabaseDown, DatabaseRefused, TransferError) as error:
            if dry_run:
                raise
            deps.log.error("restore_incomplete", reason=str(error))
            return Restored(counts, str(error))
    return Restored(counts)


async def _wait_ready(database: Database) -> None:
    """Wait for a database that is being made or migrated. Raises DatabaseDown."""
    with trio.move_on_after(READY_S):
        await database.wait_ready()
    if not database.ready:
        raise DatabaseDown(database.down_reason or "not ready")


class _Lines:
    """The lines of a pipe, section by section."""

    def __init__(self, pipe: trio.abc.ReceiveStream) -> None:
        self._pipe = pipe
        self._waiting: deque[bytes] = deque()
        self._rest = b""
        self._following: str | None = None
        self.section = ""
        """The present section; "end": all have come."""

    async def next_section(self) -> str:
        """Go on to the next section and return it. Raises TransferError."""
        while self._following is None:
            await self.chunk()
        self.section, self._following = self._following, None
        return self.section

    async def chunk(self) -> list[bytes]:
        """Return the next lines of the section, none at its end. Raises TransferError."""
        found: list[bytes] = []
        size = 0
        while self._following is None and len(found) < CHUNK_ROWS and size < _CHUNK_BYTES:
            line = self._waiting.popleft() if self._waiting else await self._read()
            if line.startswith(b"#"):
                self._following = line[1:].decode()
            else:
                found.append(line)
                size += len(line)
        return found

    async def _read(self) -> bytes:
        """Return a line when there is none waiting."""
        while not self._waiting:
            data = await self._pipe.receive_some(_READ_BYTES)
            if not data:
                raise TransferError("the backup ended early")
            *whole, self._rest = (self._rest + data).split(b"\n")
            self._waiting.extend(whole)
            if len(self._rest) > MAX_LINE_BYTES:
                raise TransferError("a line of the backup is too long")
        return self._waiting.popleft()


async def _receive_entries(lines: _Lines) -> list[Entry] | None:
    """Return the entries; None: it is the backup of a history, which says nothing of the pool."""
    entries: list[Entry] | None = None
    while await lines.next_section() in SECTIONS:
        entries = entries or []
        while chunk := await lines.chunk():
            try:
                entries += [parse_entry(json.loads(line)) for line in chunk]
            except ValueError as error:
                raise TransferError(f"section {lines.section}: {error}") from None
    return entries


async def _restore_entries(
    deps: BackupDeps, entries: Sequence[Entry], mode: Mode, dry_run: bool
) -> dict[str, Count]:
    now_ms = deps.now_ms()
    existing = {entry.key: entry for entry in await read_entries(deps.redis, now_ms)}
    # In a thread, since it takes seconds for 100,000 keys.
    plan = await trio.to_thread.run_sync(plan_restore, entries, existing, mode, now_ms)
    if plan.conflicts:
        raise Conflicts(plan.conflicts)
    if not dry_run:
        await apply(deps.redis, plan.commands)
    return dict(plan.counts)


async def _restore_rows(
    database: Database, lines: _Lines, mode: Mode, dry_run: bool
) -> dict[str, Count]:
    """Write the rows of all sections that follow, in one transaction."""
    counts: dict[str, Count] = {}
    try:
        async with open_transaction(database, hold_s=HOLD_S) as transaction:
            while lines.section != END[1:].decode():
                counts[lines.section] = Count()
                await _restore_section(transaction, lines, mode, counts[lines.section])
                await lines.next_section()
            if dry_run:
                raise _RolledBack
    except _RolledBack:
        pass
    return counts


class _RolledBack(Exception):
    """Ends a dry run."""


async def _restore_section(
    transaction: Transaction, lines: _Lines, mode: Mode, count: Count
) -> None:
    section, replace = lines.section, mode is Mode.REPLACE
    writer: RecordingRestorer | TableWriter
    table: Table | None = None
    if section == RECORDINGS:
        writer = RecordingRestorer(replace)
    else:
        table = await transaction.run(partial(find_table, section=section), deadline_s=STEP_S)
        if table is None:
            return  # of a version with a table that this one has not
        writer = TableWriter(table, replace)
    while chunk := await lines.chunk():
        write = partial(writer.write, lines=chunk, count=count)
        await transaction.run(write, deadline_s=STEP_S)
    if table is not None and count.added:
        await transaction.run(partial(advance_sequences, table=table), deadline_s=STEP_S)
