"""Facts about a real PostgreSQL, healthy and with each problem."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import Database, open_postgres_store
from appliance.postgres.facts import DatabaseFactFinder
from tests.doubles.features import EventBook, now_ms


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    with trio.fail_after(30):
        async with (
            open_asyncio_loop(tuned=True),
            open_postgres_store(url, log=EventBook()) as store,
        ):
            await store.wait_ready()
            yield store


async def test_facts_describe_a_database_of_this_version(database_url: str) -> None:
    async with opened(database_url) as store:
        facts = await DatabaseFactFinder(store, now_ms).read()

        assert facts.version_num >= 130_000
        assert facts.version.split(".")[0] == str(facts.version_num // 10_000)
        assert (facts.read_only, facts.encoding, facts.write_error) == (False, "UTF8", "")
        assert (facts.missing, facts.newer) == ((), 0)
        assert abs(facts.skew_s) < 1.0
        # The trial write was rolled back.
        assert await store.fetch("SELECT FROM appliance.schema_version WHERE version < 0") == []


async def test_facts_describe_missing_migrations_and_failing_writes(database_url: str) -> None:
    async with opened(database_url) as store:
        finder = DatabaseFactFinder(store, now_ms)
        await store.execute("DELETE FROM appliance.schema_version WHERE version = 1")
        await store.execute("INSERT INTO appliance.schema_version VALUES (9999, 'newer')")
        facts = await finder.read()
        assert (facts.missing, facts.newer) == (("0001_appliance",), 1)

        await store.execute(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$"
        )
        await store.execute(
            "CREATE TRIGGER no BEFORE INSERT ON appliance.schema_version EXECUTE FUNCTION no()"
        )
        assert "disk full" in (await finder.read()).write_error
