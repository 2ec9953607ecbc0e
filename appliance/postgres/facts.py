"""Inspect a PostgreSQL server: version, schema, whether it accepts writes, durability, clock.

Judges nothing: doctor/store_findings.py does.
Source: PostgreSQL manual, "Server Configuration".
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from appliance.faults import DatabaseDown
from appliance.postgres.database import Connection, Database
from appliance.postgres.errors import DatabaseRefused
from appliance.postgres.migrations import load_migrations

_FACTS = """
SELECT current_setting('server_version_num')::int AS number,
    current_setting('server_version') AS version,
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
    current_setting('fsync') = 'on' AS fsync,
    current_setting('server_encoding') AS encoding,
    extract(epoch FROM clock_timestamp())::float8 AS now_s
"""
_VERSIONS = "SELECT version FROM appliance.schema_version"
_WRITE = "INSERT INTO appliance.schema_version (version, name) VALUES (-1, 'doctor')"
"""Rolled back at once."""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """State of a PostgreSQL server and of the database."""

    version_num: int
    """170002 for 17.2."""
    version: str
    read_only: bool
    fsync: bool
    encoding: str
    skew_s: float
    """Time of its clock minus that of this host."""
    missing: tuple[str, ...] = ()
    """Migrations of this version that were not applied."""
    newer: int = 0
    """Number of applied migrations that this version does not know."""
    write_error: str = ""


class _RollBack(Exception):
    """Raised to roll the trial write back."""


class DatabaseFactFinder:
    """Inspects one database."""

    def __init__(self, store: Database, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms

    async def read(self) -> DatabaseFacts:
        """Inspect the server. Raises DatabaseDown."""
        began_ms = self._now_ms()
        try:
            row = await self._store.fetchrow(_FACTS)
            assert row is not None
            local_ms = (began_ms + self._now_ms()) / 2
            applied = {one["version"] for one in await self._store.fetch(_VERSIONS)}
        except DatabaseRefused as error:
            raise DatabaseDown(str(error)) from error
        shipped = {one.version: f"{one.version:04}_{one.name}" for one in load_migrations()}
        return DatabaseFacts(
            version_num=row["number"],
            version=row["version"].split()[0],
            read_only=row["read_only"],
            fsync=row["fsync"],
            encoding=row["encoding"],
            skew_s=row["now_s"] - local_ms / 1000,
            missing=tuple(name for version, name in shipped.items() if version not in applied),
            newer=len(applied - shipped.keys()),
            write_error="" if row["read_only"] else await self._try_to_write(),
        )

    async def _try_to_write(self) -> str:
        """Write a row and roll it back; return why that failed, empty: it did not."""

        async def work(connection: Connection) -> None:
            with suppress(_RollBack):
                async with connection.transaction():
                    await connection.execute(_WRITE)
                    raise _RollBack

        try:
            await self._store.run(work)
        except (DatabaseDown, DatabaseRefused) as error:
            return str(error)
        return ""
