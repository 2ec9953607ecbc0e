"""Migrate a database: apply each numbered file of `schema/` once.

Scalelite's own tables and rows are not changed. `appliance.schema_version` records the applied
files. Uses its own asyncpg connections, not those of the pool.

Several appliances may start at once. The lock is an advisory lock of a transaction on a second
connection, which is otherwise idle: so it also holds behind PgBouncer, and during statements that
must not run in a transaction. It is tried repeatedly instead of waited for. A waiting statement has
a snapshot, for which CREATE INDEX CONCURRENTLY of the lock's holder would wait: a deadlock.
Source: PostgreSQL manual, "Advisory Locks" and CREATE INDEX, "Building Indexes Concurrently".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from appliance.postgres.asyncio_bridge import run_asyncio
from appliance.postgres.errors import FOREIGN, translate

CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 60.0
"""For a server that no longer responds. Not for indexes: a large one may take hours."""
INDEX_TIMEOUT_S = 24 * 3600.0
LOCK_KEY = 0x5CA1E117E
"""Arbitrary; Rails uses keys that it derives from the name of the database."""
LOCK_RETRY_S = 0.25

_FILE = re.compile(r"(\d{4})_(\w+)(\.concurrently)?\.sql")
_INDEX = re.compile(
    r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (?P<index>\w+)\s+ON (?P<schema>\w+)\.",
    re.I,
)
_DROP = re.compile(r"DROP INDEX CONCURRENTLY IF EXISTS (?P<schema>\w+)\.(?P<index>\w+)", re.I)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `schema/`."""

    version: int
    name: str
    sql: str
    in_transaction: bool
    """False for `NNNN_name.concurrently.sql`: each statement runs by itself."""


def load_migrations() -> list[Migration]:
    """Return the migrations of this version in order."""
    found = []
    for file in files("appliance.postgres").joinpath("schema").iterdir():
        if match := _FILE.fullmatch(file.name):
            sql = file.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], sql, match[3] is None))
    return sorted(found, key=lambda migration: migration.version)


def index_statements(sql: str) -> list[tuple[str, str, str]]:
    """Split a concurrent file into (schema, index, statement).

    Raises ValueError: a statement neither creates nor drops an index CONCURRENTLY, or fails if it
    was executed before.
    """
    bare = re.sub(r"--[^\n]*", "", sql)
    statements = []
    for statement in filter(None, (part.strip() for part in bare.split(";"))):
        match = _INDEX.match(statement) or _DROP.fullmatch(statement)
        if match is None:
            raise ValueError(f"not a concurrent index: {statement[:60]}")
        statements.append((match["schema"], match["index"], statement))
    return statements


async def migrate(database_url: str, *, prepared_statements: bool = True) -> list[str]:
    """Apply missing migrations and return their names, such as `0001_appliance`.

    Waits while another appliance migrates. A failed migration is rolled back, except for finished
    indexes. On a large database the indexes may take hours. Requires an open asyncio loop.
    Raises DatabaseDown, DatabaseRefused.
    """
    try:
        return await run_asyncio(_migrate, database_url, prepared_statements)
    except FOREIGN as error:
        raise translate(error) from error


async def _migrate(database_url: str, prepared_statements: bool) -> list[str]:
    async with (
        _connection(database_url, prepared_statements) as worker,
        _connection(database_url, prepared_statements) as guard,
        _lock(guard),
    ):
        applied = await _applied_versions(worker)
        done = []
        for migration in load_migrations():
            if migration.version not in applied:
                await _apply(worker, migration)
                done.append(f"{migration.version:04}_{migration.name}")
        return done


@asynccontextmanager
async def _connection(
    database_url: str, prepared_statements: bool
) -> AsyncIterator[asyncpg.Connection]:
    cache_size = 100 if prepared_statements else 0
    connection = await asyncpg.connect(
        database_url,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=STATEMENT_TIMEOUT_S,
        statement_cache_size=cache_size,
    )
    try:
        if prepared_statements:
            # For large indexes. Not behind PgBouncer, where the settings would stay with the server
            # connection; there the limits of its administrator apply.
            await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
        yield connection
    finally:
        # Not close(), which waits for a server that hangs.
        connection.terminate()


@asynccontextmanager
async def _lock(guard: asyncpg.Connection) -> AsyncIterator[None]:
    while True:
        transaction = guard.transaction()
        await transaction.start()
        # Otherwise a server that ends idle transactions releases the lock during a long migration.
        await guard.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        # execute() uses the simple query protocol. With fetch() a portal with its snapshot stays
        # open, and CREATE INDEX CONCURRENTLY waits for it.
        answer = await guard.execute(f"SELECT WHERE pg_try_advisory_xact_lock({LOCK_KEY})")
        if answer == "SELECT 1":
            break
        await transaction.rollback()
        await asyncio.sleep(LOCK_RETRY_S)
    try:
        yield
    finally:
        if not guard.is_closed():
            await transaction.rollback()


async def _applied_versions(worker: asyncpg.Connection) -> set[int]:
    async with worker.transaction():
        if await worker.fetchval("SELECT to_regclass('appliance.schema_version') IS NULL"):
            return set()
        rows = await worker.fetch("SELECT version FROM appliance.schema_version")
        return {row["version"] for row in rows}


async def _apply(worker: asyncpg.Connection, migration: Migration) -> None:
    if not migration.in_transaction:
        for schema, index, statement in index_statements(migration.sql):
            await _change_index(worker, schema, index, statement)
    async with worker.transaction():
        if migration.in_transaction:
            await worker.execute(migration.sql)
        await worker.execute(
            "INSERT INTO appliance.schema_version (version, name) VALUES ($1, $2)",
            migration.version,
            migration.name,
        )


async def _change_index(
    worker: asyncpg.Connection, schema: str, index: str, statement: str
) -> None:
    """Build or drop one index; one that a failed build left invalid is dropped before.

    A statement without arguments uses the simple query protocol, which opens no transaction.
    """
    invalid = (
        "SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = $1 AND relname = $2 AND NOT indisvalid"
    )
    async with worker.transaction():
        rows = await worker.fetch(invalid, schema, index)
    if rows:
        await worker.execute(
            f"DROP INDEX CONCURRENTLY IF EXISTS {schema}.{index}", timeout=INDEX_TIMEOUT_S
        )
    await worker.execute(statement, timeout=INDEX_TIMEOUT_S)
