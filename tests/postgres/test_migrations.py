"""The schema: created on an empty database, added to a Scalelite's, by several at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from appliance.faults import DatabaseDown
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.errors import DatabaseRefused
from appliance.postgres.migrations import index_statements, migrate
from tests.doubles.postgres_layout import schema_of
from tests.doubles.store_servers import PostgresServer

DEADLINE_S = 40.0
SCALELITE_DUMP = Path(__file__).parents[1] / "data" / "scalelite" / "postgres.sql"
ALL = [
    "0001_appliance",
    "0002_scalelite",
    "0003_indexes",
    "0004_recordings",
    "0005_imports",
    "0006_callbacks",
    "0007_callback_data",
    "0008_daily_work",
    "0009_usage",
    "0010_object_storage",
    "0011_audit",
    "0012_recordings_owed",
    "0013_usage_report",
    "0014_recording_pages",
    "0015_usage_vacuum",
]
TABLES = ["recordings", "metadata", "playback_formats", "thumbnails", "callback_data"]
VERSIONS = "SELECT version FROM public.schema_migrations ORDER BY 1"
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"


@asynccontextmanager
async def asyncio_side() -> AsyncIterator[None]:
    """Open a loop under a deadline; not a fixture, whose context would not reach the test."""
    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=True):
            yield


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """Give a database without the appliance's schema."""
    return empty_database_url


@pytest.fixture
def database(database_url: str) -> str:
    """Return the name of the test's database, for `postgres_server.sql`."""
    return database_url.partition("@/")[2].partition("?")[0]


@pytest.mark.parametrize("prepared", [True, False])
async def test_migrate_creates_the_schema_of_rails_on_an_empty_database(
    postgres_server: PostgresServer, database: str, database_url: str, prepared: bool
) -> None:
    async with asyncio_side():
        with postgres_server.new_database() as scalelite:
            postgres_server.sql(SCALELITE_DUMP.read_text(), scalelite)
            assert await migrate(database_url, prepared_statements=prepared) == ALL
            created = schema_of(lambda sql: postgres_server.sql(sql, database))
            assert created == schema_of(lambda sql: postgres_server.sql(sql, scalelite))
    environment = "SELECT value FROM ar_internal_metadata WHERE key = 'environment'"
    assert postgres_server.sql(environment, database) == "production"


async def test_migrate_does_nothing_the_second_time(database_url: str) -> None:
    async with asyncio_side():
        assert await migrate(database_url) == ALL
        assert await migrate(database_url) == []


async def test_migrate_does_not_change_a_scalelite(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    postgres_server.sql(SCALELITE_DUMP.read_text(), database)
    queries = ["SELECT * FROM ar_internal_metadata ORDER BY 1"]
    queries += [f"SELECT * FROM {table} ORDER BY id" for table in TABLES]
    before = [postgres_server.sql(query, database) for query in queries]
    schema = schema_of(lambda sql: postgres_server.sql(sql, database))
    async with asyncio_side():
        assert await migrate(database_url) == ALL
    assert [postgres_server.sql(query, database) for query in queries] == before
    assert schema_of(lambda sql: postgres_server.sql(sql, database)) == schema
    made = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'appliance_%'"
    assert postgres_server.sql(made, database) == "5"


async def test_migrate_adds_missing_tables_but_records_no_migration_of_rails(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    postgres_server.sql(SCALELITE_DUMP.read_text(), database)
    postgres_server.sql(
        "DROP TABLE thumbnails, callback_data;"
        " DELETE FROM schema_migrations WHERE version > '20210801'",
        database,
    )
    before = postgres_server.sql(VERSIONS, database)
    async with asyncio_side():
        assert await migrate(database_url) == ALL
    assert postgres_server.sql(VERSIONS, database) == before
    assert postgres_server.sql("SELECT count(*) FROM thumbnails", database) == "0"
    index = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'index_thumbnails_%'"
    assert postgres_server.sql(index, database) == "1"


async def test_migrate_refuses_an_older_scalelite_and_does_not_change_it(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    postgres_server.sql(SCALELITE_DUMP.read_text(), database)
    postgres_server.sql(
        "ALTER TABLE recordings DROP COLUMN protected; DROP TABLE thumbnails", database
    )
    async with asyncio_side():
        with pytest.raises(DatabaseRefused, match=r"no protected\): run Scalelite's db:migrate"):
            await migrate(database_url)
        assert postgres_server.sql("SELECT to_regclass('thumbnails') IS NULL", database) == "t"
        postgres_server.sql(
            "ALTER TABLE recordings ADD protected bool NOT NULL DEFAULT false", database
        )
        assert await migrate(database_url) == ALL[1:]


@pytest.mark.parametrize("prepared", [True, False])
async def test_migrate_happens_once_when_several_start_at_once(
    postgres_server: PostgresServer, database: str, database_url: str, prepared: bool
) -> None:
    done: list[list[str]] = []

    async def start() -> None:
        done.append(await migrate(database_url, prepared_statements=prepared))

    async with asyncio_side(), trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(start)
    assert sorted(done) == [[], [], ALL]
    assert postgres_server.sql(INVALID, database) == "0"


async def test_migrate_rebuilds_an_index_that_a_failed_build_left_invalid(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    postgres_server.sql(SCALELITE_DUMP.read_text(), database)
    with pytest.raises(AssertionError, match="could not create unique index"):
        postgres_server.sql(
            "CREATE UNIQUE INDEX CONCURRENTLY appliance_recordings_on_record_id_prefix"
            " ON recordings (participants)",
            database,
        )
    assert postgres_server.sql(INVALID, database) == "1"
    async with asyncio_side():
        assert await migrate(database_url) == ALL
    assert postgres_server.sql(INVALID, database) == "0"
    definition = "SELECT pg_get_indexdef('appliance_recordings_on_record_id_prefix'::regclass)"
    assert "text_pattern_ops" in postgres_server.sql(definition, database)


async def test_migrate_leaves_no_trace_of_a_migration_that_fails(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    # A view in place of a table satisfies "IF NOT EXISTS", but not the check of its columns.
    postgres_server.sql("CREATE VIEW public.recordings AS SELECT 1 AS id", database)
    async with asyncio_side():
        with pytest.raises(DatabaseRefused):
            await migrate(database_url)
    assert postgres_server.sql("SELECT to_regclass('metadata') IS NULL", database) == "t"
    applied = "SELECT string_agg(name, ',') FROM appliance.schema_version"
    assert postgres_server.sql(applied, database) == "appliance"


async def test_indexes_hold_values_larger_than_an_index_entry(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    async with asyncio_side():
        await migrate(database_url)
    # Random, so that compression does not make it fit.
    postgres_server.sql(
        "INSERT INTO metadata (key, value)"
        " SELECT 'big', string_agg(md5(random()::text), '') FROM generate_series(1, 1000)",
        database,
    )
    assert postgres_server.sql("SELECT length(value) FROM metadata", database) == "32000"


async def test_migrate_raises_down_without_a_server(tmp_path: Path) -> None:
    async with asyncio_side():
        with pytest.raises(DatabaseDown):
            await migrate(f"postgresql://scalelite@/scalelite?host={tmp_path}")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE recordings SET published = true",
        "CREATE INDEX some ON public.recordings (state)",
        "DROP INDEX CONCURRENTLY IF EXISTS public.one, public.other",
    ],
)
def test_index_statements_refuses_other_statements(statement: str) -> None:
    with pytest.raises(ValueError, match="not a concurrent index"):
        index_statements(f"-- why\n{statement};")


def test_index_statements_names_what_is_built_and_dropped() -> None:
    create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS new ON public.recordings (state)"
    drop = "DROP INDEX CONCURRENTLY IF EXISTS public.old"
    found = [("public", "new", create), ("public", "old", drop)]
    assert index_statements(f"{create};\n-- then\n{drop};") == found
