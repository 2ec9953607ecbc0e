"""The recordings on a real PostgreSQL: filters, locks, changes, imports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
import trio.lowlevel
import trio.testing

from appliance.faults import DatabaseDown
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import Database, open_postgres_store
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.listing import CHUNK_ROWS
from appliance.recordings.recording import Recording
from appliance.recordings.store import LISTINGS_AT_ONCE, RecordingStore
from tests.doubles.recordings import (
    START_MS,
    add,
    fill,
    make_format,
    make_recording,
    open_recordings,
)
from tests.doubles.store_servers import PostgresServer

DEADLINE_S = 40.0
SCALELITE_SQL = Path(__file__).parents[1] / "data" / "scalelite" / "postgres.sql"
BOTH = pytest.mark.parametrize("prepared", [True, False])


@asynccontextmanager
async def opened(
    url: str, *, prepared: bool = True
) -> AsyncIterator[tuple[Database, RecordingStore]]:
    with trio.fail_after(DEADLINE_S):
        async with open_recordings(url, prepared=prepared) as both:
            yield both


async def listed(store: RecordingStore, **wanted: Any) -> list[str]:
    return [one.record_id for one in await recordings(store, **wanted)]


async def recordings(store: RecordingStore, **wanted: Any) -> list[Recording]:
    found = []
    async with store.open_listing(RecordingFilter(**wanted)) as listing:
        while chunk := await listing.next_chunk():
            found += chunk
    return found


def several() -> list[Recording]:
    """Return recordings of two tenants and three meetings, the newest last."""
    return [
        make_recording("a-1", meeting_id="m-a", start_ms=START_MS + 1, metadata=(("x", "1"),)),
        make_recording(
            "a-2",
            meeting_id="m-a",
            start_ms=START_MS + 2,
            metadata=(("x", "2"), ("tenant-id", "t-1")),
        ),
        make_recording(
            "b%1",
            meeting_id="m-b",
            start_ms=START_MS + 3,
            published=False,
            metadata=(("y", "1"), ("tenant-id", "t-1")),
        ),
        make_recording(
            "b_2", meeting_id="m-c", start_ms=START_MS + 4, metadata=(("tenant-id", "t-2"),)
        ),
    ]


@BOTH
async def test_recording_comes_back_as_it_was_stored(database_url: str, prepared: bool) -> None:
    formats = (make_format("presentation", thumbnails=3), make_format("video", thumbnails=0))
    one = make_recording(formats=formats, metadata=(("empty", ""), ("ünï", "x & <y> \t\n")))
    async with opened(database_url, prepared=prepared) as (_, store):
        await add(store, one, make_recording("bare", formats=(), metadata=(), start_ms=None))

        found = await store.find_recording("rec-1")

        assert found is not None
        assert found == replace(one, id=found.id)
        assert await recordings(store, record_id_prefixes=("rec-1",)) == [found]
        assert await store.find_recording("rec") is None
        assert await store.find_recording("rec\0") is None
        bare = await store.find_recording("bare")
        assert bare is not None
        assert (bare.formats, bare.metadata, bare.start_ms) == ((), (), None)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["b_2", "b%1", "a-2", "a-1"]),
        ({"meeting_ids": ("m-a",)}, ["a-2", "a-1"]),
        ({"meeting_ids": ("m-a", "m-c", "m")}, ["b_2", "a-2", "a-1"]),
        ({"record_id_prefixes": ("a",)}, ["a-2", "a-1"]),
        ({"record_id_prefixes": ("a-1", "b", "a-1")}, ["b_2", "b%1", "a-1"]),
        ({"record_id_prefixes": ("b%",)}, ["b%1"]),
        ({"record_id_prefixes": ("b_",)}, ["b_2"]),
        ({"record_id_prefixes": ("%", "\\")}, []),
        ({"states": ("unpublished",)}, ["b%1"]),
        ({"states": None}, ["b_2", "b%1", "a-2", "a-1"]),
        ({"states": ("deleted",)}, []),
        ({"metadata": (("x", "1"), ("y", "1"))}, ["b%1", "a-1"]),
        ({"metadata": (("x", "3"),)}, []),
        ({"tenant_id": "t-1"}, ["b%1", "a-2"]),
        ({"tenant_id": "t-1", "metadata": (("x", "2"),)}, ["a-2"]),
        ({"tenant_id": "t-1", "metadata": (("tenant-id", "t-2"),)}, []),
        ({"tenant_id": "t-1", "record_id_prefixes": ("b_2",)}, []),
        ({"tenant_id": "t-3"}, []),
        ({"limit": 2}, ["b_2", "b%1"]),
        ({"offset": 1, "limit": 2}, ["b%1", "a-2"]),
        ({"offset": 3}, ["a-1"]),
        ({"offset": 9}, []),
        ({"meeting_ids": ("m-a",), "record_id_prefixes": ("a-2", "b")}, ["a-2"]),
    ],
)
async def test_listing_finds_what_is_wanted(
    database_url: str, wanted: dict[str, Any], expected: list[str]
) -> None:
    async with opened(database_url) as (_, store):
        await add(store, *several())
        assert await listed(store, **wanted) == expected


async def test_state_of_null_is_listed_with_any_only(database_url: str) -> None:
    async with opened(database_url) as (postgres, store):
        await postgres.execute("INSERT INTO recordings (record_id) VALUES ('odd')")

        assert await listed(store) == []
        assert await listed(store, states=None) == ["odd"]


@BOTH
async def test_long_listing_comes_in_chunks(database_url: str, prepared: bool) -> None:
    count = 2 * CHUNK_ROWS + 1
    async with opened(database_url, prepared=prepared) as (postgres, store):
        await fill(postgres, count)

        assert len(set(await listed(store))) == count
        assert len(await listed(store, limit=CHUNK_ROWS)) == CHUNK_ROWS


@BOTH
async def test_listing_by_name_is_whole_whether_it_fits_a_chunk_or_not(
    database_url: str, prepared: bool
) -> None:
    async with opened(database_url, prepared=prepared) as (postgres, store):
        await fill(postgres, CHUNK_ROWS + 50)

        for prefixes, count in (
            (("rec-00001",), 100),  # 100 to 199
            (("rec-00000", "rec-00001", "rec-000020", "rec-000021"), 219),
            (("rec-",), CHUNK_ROWS + 50),
        ):
            found = await listed(store, record_id_prefixes=prefixes)
            assert len(found) == len(set(found)) == count
            assert found == sorted(found, reverse=True)
        assert (
            len(await listed(store, record_id_prefixes=("rec-",), limit=CHUNK_ROWS)) == CHUNK_ROWS
        )
        assert await listed(store, record_id_prefixes=("rec-",), limit=2, offset=1) == [
            "rec-0000299",
            "rec-0000298",
        ]


async def test_listing_of_a_course_holds_no_connection_while_it_is_sent(database_url: str) -> None:
    async with opened(database_url) as (postgres, store):
        await fill(postgres, 100)

        async with store.open_listing(RecordingFilter(meeting_ids=("meeting-7",))) as listing:
            assert len(await listing.next_chunk()) == 10
            assert await postgres.fetch(_IN_TRANSACTION) == []
            assert await listing.next_chunk() == []


_IN_TRANSACTION = """
SELECT query FROM pg_stat_activity
WHERE datname = current_database() AND state = 'idle in transaction'
"""


async def test_listing_is_one_statement(database_url: str, postgres_server: PostgresServer) -> None:
    async with opened(database_url) as (postgres, store):
        await fill(postgres, 3 * CHUNK_ROWS)
        before = await scans(postgres)
        await listed(store)
        after = await scans(postgres)

        assert after == before + 1


async def scans(postgres: Database) -> int:
    """Return how often the table of recordings was read from its start."""

    async def work(connection: Any) -> int:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        return int(await connection.fetchval(
            "SELECT seq_scan + COALESCE(idx_scan, 0) FROM pg_stat_user_tables"
            " WHERE relname = 'recordings'"
        ))  # fmt: skip

    await trio.lowlevel.checkpoint()
    return await postgres.run(work)


async def test_abandoned_listing_gives_its_connection_back(database_url: str) -> None:
    async with opened(database_url) as (postgres, store):
        await fill(postgres, 3 * CHUNK_ROWS)
        for _ in range(3 * LISTINGS_AT_ONCE):
            async with store.open_listing(RecordingFilter()) as listing:
                assert len(await listing.next_chunk()) == CHUNK_ROWS
        with trio.move_on_after(0.2):
            async with store.open_listing(RecordingFilter()) as listing:
                await listing.next_chunk()
                await trio.sleep_forever()
        with pytest.raises(KeyError):  # noqa: PT012
            async with store.open_listing(RecordingFilter()) as listing:
                await listing.next_chunk()
                raise KeyError
        assert len(await listed(store)) == 3 * CHUNK_ROWS


async def test_slow_readers_leave_connections_for_everything_else(database_url: str) -> None:
    async with opened(database_url) as (postgres, store), trio.open_nursery() as nursery:
        await fill(postgres, 2 * CHUNK_ROWS)

        async def read_slowly(*, task_status: trio.TaskStatus[None]) -> None:
            async with store.open_listing(RecordingFilter()) as listing:
                await listing.next_chunk()
                task_status.started()
                await trio.sleep_forever()

        for _ in range(LISTINGS_AT_ONCE):
            await nursery.start(read_slowly)
        assert await store.find_recording("rec-0000001") is not None
        with trio.move_on_after(0.1) as waiting:
            await listed(store)
        assert waiting.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_publishing_is_remembered_as_the_users(database_url: str) -> None:
    async with opened(database_url) as (_, store):
        await add(store, make_recording())
        async with store.lock_recordings(["rec-1", "unknown"], None) as locked:
            (one,) = locked.recordings
            await locked.set_published(one, False)

        found = await store.find_recording("rec-1")
        assert found is not None
        assert (found.published, found.state, found.publish_updated) == (False, "unpublished", True)


async def test_changes_are_undone_when_the_block_fails(database_url: str) -> None:
    async with opened(database_url) as (_, store):
        await add(store, make_recording())
        with pytest.raises(OSError, match="disk"):  # noqa: PT012
            async with store.lock_recordings(["rec-1"], None) as locked:
                await locked.set_published(locked.recordings[0], False)
                raise OSError("disk")

        found = await store.find_recording("rec-1")
        assert found is not None
        assert found.published


async def test_lock_keeps_others_waiting(database_url: str) -> None:
    order: list[str] = []
    async with opened(database_url) as (_, store), trio.open_nursery() as nursery:
        await add(store, make_recording())

        async def second() -> None:
            async with store.lock_recordings(["rec-1"], None) as locked:
                order.append(f"second sees {locked.recordings[0].state}")

        async with store.lock_recordings(["rec-1"], None) as locked:
            nursery.start_soon(second)
            await trio.testing.wait_all_tasks_blocked(0.1)
            order.append("first")
            await locked.set_published(locked.recordings[0], False)
    assert order == ["first", "second sees unpublished"]


async def test_lock_takes_the_tenants_only_and_no_deleted_ones(database_url: str) -> None:
    async with opened(database_url) as (_, store):
        await add(store, *several())
        ids = [one.record_id for one in several()]
        async with store.lock_recordings(ids, "t-1") as locked:
            assert [one.record_id for one in locked.recordings] == ["a-2", "b%1"]
            await locked.delete(locked.recordings[0])
        async with store.lock_recordings(ids, None) as locked:
            assert [one.record_id for one in locked.recordings] == ["a-1", "b%1", "b_2"]


async def test_metadata_and_protection_are_changed(database_url: str) -> None:
    async with opened(database_url) as (_, store):
        await add(store, make_recording(metadata=(("a", "1"), ("b", "2"))))
        async with store.lock_recordings(["rec-1"], None) as locked:
            (one,) = locked.recordings
            await locked.update(one, metadata=[("a", "9"), ("b", ""), ("c", "3")], protected=True)

        found = await store.find_recording("rec-1")
        assert found is not None
        assert (found.metadata, found.protected) == ((("a", "9"), ("c", "3")), True)


async def test_deleted_recording_keeps_its_row_only(database_url: str) -> None:
    async with opened(database_url) as (postgres, store):
        await add(store, make_recording(), make_recording("other"))
        async with store.lock_recordings(["rec-1"], None) as locked:
            await locked.delete(locked.recordings[0])

        found = await store.find_recording("rec-1")
        assert found is not None
        assert (found.state, found.metadata, found.formats) == ("deleted", (), ())
        counts = await postgres.fetchrow(
            "SELECT (SELECT count(*) FROM playback_formats) AS formats,"
            " (SELECT count(*) FROM thumbnails) AS images"
        )
        assert counts is not None
        assert tuple(counts.values()) == (1, 1)
        assert await listed(store, states=None) == ["other", "rec-1"]


async def test_scalelites_recordings_are_listed(
    empty_database_url: str, postgres_server: PostgresServer
) -> None:
    postgres_server.sql(SCALELITE_SQL.read_text(), urlsplit(empty_database_url).path[1:])
    async with opened(empty_database_url) as (_, store):
        found = await recordings(store)
        assert [(one.meeting_id, one.state) for one in found] == [
            ("phys", "published"),
            ("math-1", "unpublished"),
            ("old", "published"),
        ]
        assert [len(shown.thumbnails) for shown in found[0].formats] == [0, 2]
        assert [one.meeting_id for one in await recordings(store, states=("deleted",))] == [
            "math-1"
        ]
        tenant = "981810d6-1b91-4022-9f8d-71c128cd378e"
        assert [one.meeting_id for one in await recordings(store, tenant_id=tenant)] == ["phys"]


async def test_everything_says_that_the_database_is_down() -> None:
    with trio.fail_after(DEADLINE_S):
        url = "postgresql://nobody@127.0.0.1:1/none"
        async with open_asyncio_loop(tuned=True), open_postgres_store(url) as postgres:
            store = RecordingStore(postgres)
            with pytest.raises(DatabaseDown):
                await listed(store)
            with pytest.raises(DatabaseDown):
                await store.find_recording("x")
            with pytest.raises(DatabaseDown):
                async with store.lock_recordings(["x"], None):
                    pass
            with pytest.raises(DatabaseDown):
                await add(store, make_recording())
