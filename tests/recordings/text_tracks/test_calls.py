"""Captions: whose they are, and what a broken directory or a full disk does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.bbb.errors import ApiError
from appliance.bbb.signed_request import Caller
from appliance.model import Tenant, TenantId
from appliance.recordings.files import RecordingFiles
from appliance.recordings.text_tracks.calls import list_tracks, put_track
from appliance.recordings.text_tracks.caption_files import CaptionFiles
from appliance.recordings.text_tracks.rules import TextTrack
from tests.doubles.features import rewire
from tests.doubles.recording_pool import open_recording_pool
from tests.doubles.recordings import make_format, make_recording

DEADLINE_S = 40.0
NOBODY = Caller()
PARAMS = (("recordID", "rec-1"), ("kind", "captions"), ("lang", "de"), ("label", "  "))
VTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHallo\n"


class FullDisk(CaptionFiles):
    """Cannot write."""

    def write_track(self, directory: Path, track: TextTrack, webvtt: bytes) -> None:
        """Fail."""
        raise OSError(28, "No space left on device")


@pytest.fixture
def stores(redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path) -> Any:
    """Give what open_recording_pool wants."""
    return (redis_url, redis_namespace, database_url, tmp_path)


async def test_track_is_put_beside_an_unpublished_presentation(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording(published=False))

            assert await put_track(pool.res.recordings, NOBODY, PARAMS, VTT) == ("rec-1", True)

            assert await list_tracks(pool.res.recordings, NOBODY, (("recordID", "rec-1"),)) == [
                (
                    "/presentation/rec-1/caption_de.vtt",
                    TextTrack("de", "German", "captions", "upload"),
                )
            ]
            assert (pool.unpublished / "presentation" / "rec-1" / "captions.json").is_file()


async def test_recording_without_presentation_has_no_tracks(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording(formats=(make_format("video"),)))

            assert await list_tracks(pool.res.recordings, NOBODY, PARAMS) == []
            assert await put_track(pool.res.recordings, NOBODY, PARAMS, VTT) == ("rec-1", False)


async def test_full_disk_is_a_failed_upload(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording())
            res = rewire(
                pool.res, recordings__files=RecordingFiles(pool.res.settings.recordings, FullDisk())
            )

            assert await put_track(res.recordings, NOBODY, PARAMS, VTT) == ("rec-1", False)
            ((event, _),) = pool.public.log.errors
            assert event == "text_track_not_written"


async def test_tracks_of_others_and_of_deleted_recordings_are_none(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording(metadata=(("tenant-id", "t-1"),)))
            other = Caller(Tenant(TenantId("t-2"), "two", ()))
            with pytest.raises(ApiError, match="noRecordings"):
                await list_tracks(pool.res.recordings, other, PARAMS)
            with pytest.raises(ApiError, match="noRecordings"):
                await put_track(pool.res.recordings, other, PARAMS, VTT)
            async with pool.store.lock_recordings(["rec-1"], None) as locked:
                await locked.delete(locked.recordings[0])
            with pytest.raises(ApiError, match="noRecordings"):
                await list_tracks(pool.res.recordings, NOBODY, PARAMS)
            with pytest.raises(ApiError, match="noRecordings"):
                await put_track(pool.res.recordings, NOBODY, PARAMS, VTT)
