"""What the objects of recordings ask of a bucket; the contract is in test_storage.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.storage import Transfer
from appliance.recordings.text_tracks.rules import TextTrack
from tests.doubles.s3 import S3Server, s3_settings

FILES = {"metadata.xml": b"<recording/>", "slide.png": b"png"}
TRACK = TextTrack("de", "Deutsch", "captions", "upload")


@contextmanager
def operations(bucket: Bucket) -> Iterator[list[str]]:
    """Give the names of the requests that are made during the block."""
    made, events = list[str](), bucket._client().meta.events

    def note(model: Any, **_: object) -> None:
        made.append(model.name)

    events.register("before-call.s3", note)
    yield made
    events.unregister("before-call.s3", note)


def put(objects: RecordingObjects, folder: Path) -> None:
    """Stage and place a format as an import does."""
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    staged = objects.stage(str(folder), "r1", "video", published=True, transfer=Transfer())
    objects.place(staged, "r1", "video", published=True)


def test_a_new_format_costs_two_requests_beside_its_files(s3: S3Server, tmp_path: Path) -> None:
    objects = RecordingObjects(Bucket(s3_settings(s3.url, s3.make_bucket())), ObjectKeys(""))

    with operations(objects.bucket) as made:
        put(objects, tmp_path / "first")

    assert sorted(made) == ["ListObjectsV2", "ListObjectsV2", "PutObject", "PutObject"]


def test_a_track_that_was_added_costs_two_reads(s3: S3Server, tmp_path: Path) -> None:
    objects = RecordingObjects(Bucket(s3_settings(s3.url, s3.make_bucket())), ObjectKeys(""))
    put(objects, tmp_path / "first")
    assert objects.write_track("r1", "video", TRACK, b"WEBVTT\n")

    with operations(objects.bucket) as made:
        put(objects, tmp_path / "second")

    assert made.count("GetObject") == 2
    assert objects.read_track("r1", "video", TRACK) == b"WEBVTT\n"


def test_a_track_outlives_the_rest_of_a_move_in_either_direction(
    s3: S3Server, tmp_path: Path
) -> None:
    bucket = s3.make_bucket()
    objects = RecordingObjects(Bucket(s3_settings(s3.url, bucket)), ObjectKeys(""))
    put(objects, tmp_path / "first")
    assert objects.write_track("r1", "video", TRACK, b"WEBVTT\n")
    for number, move in enumerate((objects.unpublish, objects.publish)):
        (there,) = {key.partition("/")[0] for key in s3.keys(bucket)}
        begun = {"published": "unpublished", "unpublished": "published"}[there]
        origin = {"Bucket": bucket, "Key": f"{there}/video/r1/captions.json"}
        s3.client.copy_object(
            Bucket=bucket, Key=f"{begun}/video/r1/captions.json", CopySource=origin
        )

        added = TextTrack(f"x-{number}", "New", "captions", "upload")
        assert objects.write_track("r1", "video", added, b"WEBVTT new\n")
        assert move("r1", "video")

        assert added in objects.read_tracks("r1", "video")
        assert TRACK in objects.read_tracks("r1", "video")
        assert objects.read_track("r1", "video", added) == b"WEBVTT new\n"
