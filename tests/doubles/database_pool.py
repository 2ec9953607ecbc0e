"""Databases with this version's schema, which tests use one after the other.

Creating and migrating a database takes a third of a second of CPU time, emptying one a few
milliseconds. A database whose schema a test has changed is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.migrations import migrate
from tests.doubles.store_servers import PostgresServer

MIGRATE_S = 60.0
_TEMPLATE = "migrated"
_EMPTY = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$
DECLARE
    found record;
    filled bool;
    tables text[] := '{}';
BEGIN
    FOR found IN
        SELECT oid::regclass::text AS name FROM pg_class
        WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'appliance'::regnamespace)
            AND relname NOT IN ('schema_migrations', 'ar_internal_metadata', 'schema_version')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', found.name) INTO filled;
        IF filled THEN tables := tables || found.name; END IF;
    END LOOP;
    IF tables <> '{}' THEN
        EXECUTE format('TRUNCATE %s CASCADE', array_to_string(tables, ', '));
    END IF;
    FOR found IN
        SELECT format('%I.%I', schemaname, sequencename)::regclass AS name FROM pg_sequences
        WHERE last_value IS NOT NULL
    LOOP
        PERFORM setval(found.name, 1, false);
    END LOOP;
END $$;
"""
_SCHEMA = """
WITH schemas AS (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'appliance'))
SELECT md5(string_agg(line, ' ' ORDER BY line)) FROM (
    SELECT concat_ws(' ', attrelid::regclass, attname, atttypid, attnotnull, atthasdef) AS line
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace IN (SELECT oid FROM schemas)
    UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname) FROM pg_constraint
    UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace IN (SELECT oid FROM schemas)
    UNION ALL SELECT nspname FROM pg_namespace
    UNION ALL SELECT array_to_string(setconfig, ' ') FROM pg_db_role_setting
    UNION ALL SELECT concat_ws(' ', version, name) FROM appliance.schema_version
    UNION ALL SELECT version FROM public.schema_migrations
) AS lines
"""


class DatabasePool:
    """The databases of one PostgreSQL."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._free: list[str] = []
        self._created = 0
        self._schema = ""

    @contextmanager
    def database(self) -> Iterator[str]:
        """Give the name of a migrated database without rows."""
        name = self._free.pop() if self._free else self._create()
        try:
            yield name
        finally:
            self._give_back(name)

    def _create(self) -> str:
        if not self._schema:
            self._server.sql(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            trio.run(_migrate, self._server.url(_TEMPLATE))
            self._schema = self._server.sql(_SCHEMA, _TEMPLATE)
        self._created += 1
        name = f"pool{self._created}"
        self._server.sql(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return name

    def _give_back(self, name: str) -> None:
        # Whatever a test has done to it: a database that cannot be emptied is replaced.
        try:
            schema = self._server.sql(_EMPTY + _SCHEMA, name).splitlines()[-1]
        except AssertionError:
            schema = ""
        if schema == self._schema:
            self._free.append(name)
        elif self._server.process.poll() is None:
            self._server.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _migrate(url: str) -> None:
    with trio.fail_after(MIGRATE_S):
        async with open_asyncio_loop():
            await migrate(url)
