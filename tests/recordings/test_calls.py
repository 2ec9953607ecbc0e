"""The recording calls when disks, stores and clients fail: all or nothing, and never half."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.bbb.errors import ApiError
from appliance.bbb.signed_request import Caller
from appliance.faults import StoreDown
from appliance.recordings.calls import (
    delete_recordings,
    list_recordings,
    publish_recordings,
)
from appliance.recordings.files import RecordingFiles
from tests.doubles.features import rewire
from tests.doubles.recording_pool import RecordingPool, open_recording_pool
from tests.doubles.recordings import make_format, make_recording

DEADLINE_S = 40.0
NOBODY = Caller(base_url="http://x")
FORMATS = (make_format("presentation"), make_format("video"))


class FullDisk(RecordingFiles):
    """Files of which one format cannot be moved, and nothing removed."""

    def unpublish(self, record_id: str, format: str) -> bool:
        """Move a format, unless it is video."""
        if format == "video":
            raise OSError(28, "No space left on device")
        return super().unpublish(record_id, format)

    def remove(self, record_id: str, format: str | None = None) -> None:
        """Fail."""
        raise OSError(30, "Read-only file system")


@pytest.fixture
def stores(redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path) -> Any:
    """Give what open_recording_pool wants."""
    return (redis_url, redis_namespace, database_url, tmp_path)


def with_full_disk(pool: RecordingPool) -> Any:
    return rewire(pool.res, recordings__files=FullDisk(pool.res.settings.recordings))


async def ignore(_piece: bytes) -> None:
    """Take a piece of an answer."""


async def test_failed_move_is_undone(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording("a"), make_recording("b", formats=FORMATS))
            params = (("recordID", "a,b"), ("publish", "false"))

            with pytest.raises(ApiError, match="Unable to publish/unpublish recording"):
                await publish_recordings(with_full_disk(pool).recordings, NOBODY, params)

            for record_id in ("a", "b"):
                found = await pool.find(record_id)
                assert (found.published, found.publish_updated) == (True, False)
                assert (pool.published / "presentation" / record_id).is_dir()
            ((event, fields),) = pool.public.log.errors
            assert (event, fields["reason"]) == ("recording_not_moved", "No space left on device")
            assert fields["record_ids"] == ["a", "b"]


async def test_missing_format_moves_nothing(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording("a"), make_recording("b", formats=FORMATS))
            (pool.published / "video" / "b").rename(pool.published / "gone")
            params = (("recordID", "a,b"), ("publish", "false"))

            with pytest.raises(ApiError, match="Unable to publish/unpublish recording"):
                await publish_recordings(pool.res.recordings, NOBODY, params)

            assert (pool.published / "presentation" / "a").is_dir()
            assert (await pool.find("a")).published
            ((_, fields),) = pool.public.log.errors
            assert fields == {"record_id": "b", "format": "video"}
            assert not (pool.published / ".changes").exists()


async def test_half_moved_recording_is_repaired(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording(formats=FORMATS))
            (pool.unpublished / "video").mkdir(parents=True)
            (pool.published / "video" / "rec-1").rename(pool.unpublished / "video" / "rec-1")

            await publish_recordings(
                pool.res.recordings, NOBODY, (("recordID", "rec-1"), ("publish", "true"))
            )

            for name in ("presentation", "video"):
                assert (pool.published / name / "rec-1").is_dir()


async def test_failed_delete_changes_nothing(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording())

            with pytest.raises(ApiError, match="Unable to delete recording"):
                await delete_recordings(
                    with_full_disk(pool).recordings, NOBODY, (("recordID", "rec-1"),)
                )

            found = await pool.find("rec-1")
            assert (found.state, len(found.formats)) == ("published", 1)


async def test_unpublished_files_are_deleted_too(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording())
            (pool.unpublished / "presentation" / "rec-1").mkdir(parents=True)

            await delete_recordings(pool.res.recordings, NOBODY, (("recordID", "rec-1"),))

            assert not list(pool.unpublished.glob("[a-z]*/rec-1"))
            assert not list(pool.published.glob("[a-z]*/rec-1"))


async def test_protected_recordings_are_not_listed_without_tokens(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording(formats=()), make_recording("b"))
            async with pool.store.lock_recordings(["rec-1", "b"], None) as locked:
                for one in locked.recordings:
                    await locked.update(one, metadata=(), protected=True)
            res = rewire(pool.res, recordings__tokens=None)

            await list_recordings(res.recordings, NOBODY, (("recordID", "rec-1"),), ignore)
            with pytest.raises(StoreDown):
                await list_recordings(res.recordings, NOBODY, (("recordID", "b"),), ignore)


async def test_failing_client_ends_the_listing(stores: Any) -> None:
    class Gone(Exception):
        pass

    async def refuse(_piece: bytes) -> None:
        raise Gone

    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording())
            for _ in range(12):  # more than there are connections
                with pytest.raises(Gone):
                    await list_recordings(pool.res.recordings, NOBODY, (), refuse)
            await list_recordings(pool.res.recordings, NOBODY, (), ignore)
