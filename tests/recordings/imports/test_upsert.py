"""Imports: what users changed stays, whatever a BBB server delivers and however late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from appliance.postgres.database import Connection
from appliance.recordings.imports.merge import ImportOutcome, ImportResult, ImportRules
from appliance.recordings.recording import Recording
from appliance.recordings.store import RecordingStore
from tests.doubles.recordings import make_format, make_recording, open_recordings

DEADLINE_S = 40.0
DEFAULT = ImportRules()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RecordingStore]:
    with trio.fail_after(DEADLINE_S):
        async with open_recordings(url) as (_, store):
            yield store


async def stored(store: RecordingStore) -> Recording:
    found = await store.find_recording("rec-1")
    assert found is not None
    return found


async def change(store: RecordingStore, **changes: Any) -> None:
    """Make a user's changes: `published`, `metadata`, `protected`, `deleted`."""
    async with store.lock_recordings(["rec-1"], None) as locked:
        (one,) = locked.recordings
        if "published" in changes:
            await locked.set_published(one, changes["published"])
        if "metadata" in changes or "protected" in changes:
            await locked.update(
                one,
                metadata=changes.get("metadata", ()),
                protected=changes.get("protected"),
            )
        if changes.get("deleted"):
            await locked.delete(one)


@pytest.mark.parametrize("protected", [True, False])
async def test_new_recording_starts_as_the_settings_say(database_url: str, protected: bool) -> None:
    async with opened(database_url) as store:
        rules = ImportRules(unpublished=True, protected=protected)
        result = await store.upsert_recording(make_recording(), rules)

        found = await stored(store)
        assert result == ImportResult(ImportOutcome.NEW, False, found.id, ("presentation",))
        assert (found.published, found.state, found.protected) == (False, "unpublished", protected)
        assert not found.publish_updated


async def test_same_import_again_changes_nothing(database_url: str) -> None:
    async with opened(database_url) as store:
        await store.upsert_recording(make_recording(), DEFAULT)
        before = await stored(store)

        result = await store.upsert_recording(make_recording(), DEFAULT)

        assert result.outcome is ImportOutcome.UPDATED
        assert await stored(store) == before


async def test_late_format_is_added_and_users_changes_stay(database_url: str) -> None:
    async with opened(database_url) as store:
        await store.upsert_recording(make_recording(metadata=(("a", "1"), ("b", "2"))), DEFAULT)
        await change(
            store, published=False, protected=True, metadata=[("a", "mine"), ("b", ""), ("n", "x")]
        )

        late = make_recording(
            formats=(make_format("video"),), metadata=(("a", "1"), ("b", "2"), ("c", "3"))
        )
        result = await store.upsert_recording(late, DEFAULT)

        found = await stored(store)
        assert not result.published
        assert (found.published, found.state, found.protected) == (False, "unpublished", True)
        assert found.metadata == (("a", "mine"), ("c", "3"), ("n", "x"))
        assert [shown.format for shown in found.formats] == ["presentation", "video"]


async def test_removed_key_comes_back_when_the_user_sets_it(database_url: str) -> None:
    async with opened(database_url) as store:
        await store.upsert_recording(make_recording(metadata=(("a", "1"),)), DEFAULT)
        await change(store, metadata=[("a", "")])
        await change(store, metadata=[("a", "again")])
        await change(store, metadata=[("never-there", "")])
        await store.upsert_recording(
            make_recording(metadata=(("a", "1"), ("never-there", "x"))), DEFAULT
        )

        assert (await stored(store)).metadata == (("a", "again"),)


async def test_newer_format_takes_the_place_of_the_old(database_url: str) -> None:
    async with opened(database_url) as store:
        await store.upsert_recording(
            make_recording(formats=(make_format("video", thumbnails=3),)), DEFAULT
        )
        newer = make_format("video", thumbnails=1)
        await store.upsert_recording(
            make_recording(name="New", meeting_id=None, formats=(newer,)), DEFAULT
        )

        found = await stored(store)
        assert found.formats == (newer,)
        assert (found.name, found.meeting_id) == ("New", "math")


async def test_deleted_recording_stays_deleted(database_url: str) -> None:
    async with opened(database_url) as store:
        await store.upsert_recording(make_recording(), DEFAULT)
        await change(store, published=False, deleted=True)

        result = await store.upsert_recording(make_recording(), DEFAULT)

        found = await stored(store)
        assert result.outcome is ImportOutcome.DELETED
        assert (found.state, found.formats, found.metadata) == ("deleted", (), ())


async def test_deleted_recording_comes_back_when_the_operator_wants_it(database_url: str) -> None:
    async with opened(database_url) as store:
        await store.upsert_recording(make_recording(), DEFAULT)
        await change(store, published=False, metadata=[("empty", "")], deleted=True)

        result = await store.upsert_recording(make_recording(), ImportRules(undelete=True))

        found = await stored(store)
        assert result == ImportResult(ImportOutcome.UPDATED, True, found.id, ("presentation",))
        assert (found.state, found.publish_updated) == ("published", False)
        assert found.metadata == make_recording().metadata
        assert found.formats == make_recording().formats


async def test_more_is_written_in_the_same_transaction(database_url: str) -> None:
    seen: list[ImportResult] = []

    async def also(connection: Connection, result: ImportResult) -> None:
        assert connection.is_in_transaction()
        seen.append(result)
        raise OSError("the journal cannot be written")

    async with opened(database_url) as store:
        with pytest.raises(Exception, match="journal"):
            await store.upsert_recording(make_recording(), DEFAULT, also)

        assert [result.outcome for result in seen] == [ImportOutcome.NEW]
        assert await store.find_recording("rec-1") is None


async def test_two_imports_at_once_make_one_recording(database_url: str) -> None:
    results: list[ImportResult] = []

    async with opened(database_url) as store:

        async def run(name: str) -> None:
            one = make_recording(formats=(make_format(name),))
            results.append(await store.upsert_recording(one, DEFAULT))

        async with trio.open_nursery() as nursery:
            for name in ("presentation", "video", "podcast", "notes"):
                nursery.start_soon(run, name)

        outcomes = sorted(result.outcome for result in results)
        assert outcomes == ["new", "updated", "updated", "updated"]
        assert len((await stored(store)).formats) == 4
