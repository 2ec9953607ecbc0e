"""What PostgreSQL says about itself, for doctor: version, schema, rights, durability, clock.

Judges nothing (doctor/store_findings.py does). Truth: the PostgreSQL manual, Server Configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from appliance.doctor.store_findings import DatabaseFacts
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


class _TakenBack(Exception):
    """Rolls back what was tried."""


class DatabaseFactFinder:
    """Asks one PostgreSQL."""

    def __init__(self, store: Database, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms

    async def read(self) -> DatabaseFacts:
        """Ask. Raises DatabaseDown."""
        began_ms = self._now_ms()
        try:
            row = await self._store.fetchrow(_FACTS)
            assert row is not None
            ours_ms = (began_ms + self._now_ms()) / 2
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
            skew_s=row["now_s"] - ours_ms / 1000,
            missing=tuple(name for version, name in shipped.items() if version not in applied),
            newer=len(applied - shipped.keys()),
            write_error="" if row["read_only"] else await self._try_to_write(),
        )

    async def _try_to_write(self) -> str:
        """Write a row and take it back; return why that failed."""

        async def work(connection: Connection) -> None:
            with suppress(_TakenBack):
                async with connection.transaction():
                    await connection.execute(_WRITE)
                    raise _TakenBack

        try:
            await self._store.run(work)
        except (DatabaseDown, DatabaseRefused) as error:
            return str(error)
        return ""
