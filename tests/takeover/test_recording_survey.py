"""The survey of a database: one of Scalelite, one set up by hand, an empty one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from appliance.faults import DatabaseDown
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import Database, open_postgres_store
from appliance.takeover.recording_findings import (
    COLUMNS,
    MIGRATIONS,
    UNIQUE,
    SchemaState,
    SurveyedRecording,
)
from appliance.takeover.recording_survey import RecordingSurvey
from tests.doubles.scalelite_files import DELETED, DUMP, OLD, PUBLISHED, UNPUBLISHED
from tests.doubles.store_servers import PostgresServer


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """Give a database without the appliance's schema."""
    return empty_database_url


@pytest.fixture
def database(database_url: str) -> str:
    """Return the name of the test's database."""
    return database_url.partition("@/")[2].partition("?")[0]


@asynccontextmanager
async def opened(
    database_url: str, *, prepared: bool = True
) -> AsyncIterator[tuple[RecordingSurvey, Database]]:
    with trio.fail_after(30):
        async with (
            open_asyncio_loop(tuned=True),
            open_postgres_store(
                database_url, read_only=True, prepared_statements=prepared
            ) as store,
        ):
            await store.wait_ready()
            yield RecordingSurvey(store), store


@pytest.mark.parametrize("prepared", [True, False])
async def test_tables_of_a_scalelite_match_the_known_schema(
    postgres_server: PostgresServer, database: str, database_url: str, prepared: bool
) -> None:
    postgres_server.sql(DUMP.read_text(), database)
    async with opened(database_url, prepared=prepared) as (survey, _):
        schema = await survey.read_schema()

        assert schema.columns == COLUMNS
        assert schema.migrations == set(MIGRATIONS)
        assert set(UNIQUE) <= schema.unique
        assert (schema.not_owned, schema.may_create) == ((), True)
        assert await survey.count_by_state() == {"published": 2, "deleted": 1, "unpublished": 1}


async def test_recordings_are_read_in_pages_by_id(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    postgres_server.sql(DUMP.read_text(), database)
    postgres_server.sql("INSERT INTO recordings (meeting_id) VALUES ('without an id')", database)
    async with opened(database_url) as (survey, _):
        first, rest = await survey.page(0, 2), await survey.page(2, 10)

        assert [row.record_id for row in first] == [UNPUBLISHED, DELETED]
        assert rest == [
            SurveyedRecording(3, PUBLISHED, "published", True, ("podcast", "presentation")),
            SurveyedRecording(4, OLD, "published", True, ("presentation",)),
        ]
        assert first[1].deleted
        assert first[1].formats == ()
        assert await survey.known([OLD, "unknown", DELETED]) == {OLD, DELETED}


async def test_callbacks_that_are_still_due_are_read(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    postgres_server.sql(DUMP.read_text(), database)
    postgres_server.sql(
        "INSERT INTO callback_data (meeting_id, callback_attributes, created_at, updated_at)"
        " SELECT name, 'x', at, at FROM (VALUES ('new', now()), ('old', now() - interval '1 year'))"
        " AS rows (name, at)",
        database,
    )
    async with opened(database_url) as (survey, _):
        assert await survey.callbacks(10) == [("new", "x")]


async def test_empty_database_stays_empty(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    async with opened(database_url) as (survey, store):
        assert await survey.read_schema() == SchemaState({}, frozenset(), frozenset())
        with pytest.raises(DatabaseDown):
            await store.execute("CREATE TABLE public.x (id int)")

    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert postgres_server.sql(tables, database) == "0"


async def test_tables_of_another_user_are_reported(
    postgres_server: PostgresServer, database: str, database_url: str
) -> None:
    postgres_server.sql(DUMP.read_text(), database)
    postgres_server.sql(
        f"CREATE ROLE {database}_guest LOGIN;"
        f" GRANT SELECT ON ALL TABLES IN SCHEMA public TO {database}_guest",
        database,
    )
    url = database_url.replace("scalelite@", f"{database}_guest@")
    assert url != database_url
    async with opened(url) as (survey, _):
        schema = await survey.read_schema()

    assert set(schema.not_owned) == set(COLUMNS)
    assert schema.may_create is False
