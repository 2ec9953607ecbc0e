"""The contract of every storage: a disk, a bucket (also through a process), both together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from appliance.recordings.files import RecordingFiles
from appliance.recordings.objects.mixed_storage import MixedStorage
from appliance.recordings.storage import Rewrite, Storage, Transfer
from appliance.recordings.text_tracks.rules import TextTrack
from tests.doubles.import_tools import recording_settings
from tests.doubles.s3 import S3Server, open_objects

USERS = TextTrack("de", "Deutsch", "captions", "upload")
FILES = {"metadata.xml": b"<recording/>", "deep/slide 1.png": b"png", "video.webm": b"v" * 5000}
PREFIXES = {"bucket": "/a//b/", "worker": "", "mixed": ""}


@pytest.fixture(params=["disk", "bucket", "worker", "mixed"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    disk = RecordingFiles(recording_settings(tmp_path))
    if request.param == "disk":
        return disk
    server: S3Server = request.getfixturevalue("s3")
    worker = None if request.param == "bucket" else request.getfixturevalue("object_worker")
    prefix = PREFIXES[request.param]
    objects = open_objects(server.url, server.make_bucket(), worker, S3_PREFIX=prefix)
    return objects if request.param != "mixed" else MixedStorage(objects, disk)


def unpacked(tmp_path: Path, files: Mapping[str, bytes] = FILES, name: str = "work") -> str:
    """Write the files of an unpacked tar."""
    for path, content in files.items():
        (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / path).write_bytes(content)
    return str(tmp_path / name)


def put(
    storage: Storage, tmp_path: Path, record_id: str = "r1", *,
    format: str = "presentation", files: Mapping[str, bytes] = FILES, published: bool = True,
) -> None:  # fmt: skip
    """Stage and place a format as an import does."""
    source = unpacked(tmp_path, files, f"work-{record_id}-{len(list(tmp_path.iterdir()))}")
    transfer = Transfer()
    staged = storage.stage(source, record_id, format, published=published, transfer=transfer)
    storage.place(staged, record_id, format, published=published)


def sizes(storage: Storage, record_id: str = "r1") -> list[tuple[str, bool, int, int]]:
    return [
        (one.format, one.published, one.files, one.size) for one in storage.locate(record_id)
    ]  # fmt: skip


def test_files_are_where_they_were_placed(storage: Storage, tmp_path: Path) -> None:
    put(storage, tmp_path)
    put(storage, tmp_path, "r2", published=False)
    put(storage, tmp_path, "r1-not", format="video")

    assert storage.has("presentation", "r1")
    assert not storage.has("video", "r1")
    assert not storage.has("presentation", "r")
    assert storage.where("r1") == {"presentation": (True, False)}
    assert storage.where("r2") == {"presentation": (False, True)}
    assert sizes(storage) == [("presentation", True, 3, 5015)]


def test_formats_are_moved_as_often_as_asked(storage: Storage, tmp_path: Path) -> None:
    put(storage, tmp_path)

    for _ in range(2):
        assert storage.unpublish("r1", "presentation")
        assert storage.where("r1") == {"presentation": (False, True)}
    for _ in range(2):
        assert storage.publish("r1", "presentation")
        assert sizes(storage) == [("presentation", True, 3, 5015)]


@pytest.mark.parametrize(("record_id", "format"), [("r1", "video"), ("../r1", "v"), ("r1", "..")])
def test_what_has_no_files_is_not_moved(storage: Storage, record_id: str, format: str) -> None:
    assert not storage.publish(record_id, format)
    assert not storage.unpublish(record_id, format)
    assert not storage.has(format, record_id)
    assert storage.where(record_id) == {}
    assert storage.locate(record_id) == []
    storage.remove(record_id)


@pytest.mark.parametrize("published", [True, False])
def test_place_replaces_the_files_wherever_they_are(
    storage: Storage, tmp_path: Path, published: bool
) -> None:
    put(storage, tmp_path, published=True)

    put(storage, tmp_path, files={"metadata.xml": b"new"}, published=published)

    assert sizes(storage) == [("presentation", published, 1, 3)]


def test_staged_files_are_placed_wherever_they_belong_by_then(
    storage: Storage, tmp_path: Path
) -> None:
    source = unpacked(tmp_path)
    staged = storage.stage(source, "r1", "video", published=True, transfer=Transfer())

    storage.place(staged, "r1", "video", published=False)

    assert sizes(storage) == [("video", False, 3, 5015)]


def test_captions_of_users_outlive_an_import(storage: Storage, tmp_path: Path) -> None:
    put(storage, tmp_path, published=False)
    assert storage.write_track("r1", "presentation", USERS, b"WEBVTT users\n")
    assert not storage.write_track("r9", "presentation", USERS, b"WEBVTT\n")

    recorded = {"captions.json": b'[{"locale": "en"}]', "caption_en.vtt": b"WEBVTT\n"}
    put(storage, tmp_path, files={**FILES, **recorded})

    tracks = storage.read_tracks("r1", "presentation")
    assert [one.lang for one in tracks] == ["en", "de"]
    assert storage.read_track("r1", "presentation", USERS) == b"WEBVTT users\n"
    assert storage.read_tracks("r9", "presentation") == []


def test_removed_files_are_gone_and_others_stay(storage: Storage, tmp_path: Path) -> None:
    for record_id in ("r1", "r11"):
        put(storage, tmp_path, record_id)
        put(storage, tmp_path, record_id, format="video", published=False)

    storage.remove("r1", "video")
    assert storage.where("r1") == {"presentation": (True, False)}
    storage.remove("r1")
    storage.remove("r1")
    storage.empty_trash()

    assert storage.where("r1") == {}
    assert set(storage.where("r11")) == {"presentation", "video"}


def test_transfer_counts_what_is_stored(storage: Storage, tmp_path: Path) -> None:
    transfer = Transfer()
    source = unpacked(tmp_path)

    storage.stage(source, "r1", "presentation", published=True, transfer=transfer)

    assert transfer.done_bytes == transfer.total_bytes


@pytest.mark.parametrize("published", [True, False])
def test_metadata_are_rewritten_and_nothing_else(
    storage: Storage, tmp_path: Path, published: bool
) -> None:
    put(storage, tmp_path, published=published)
    read: list[bytes] = []

    def rewrite(new: bytes | None) -> Rewrite:
        def call(body: bytes) -> bytes | None:
            read.append(body)
            return new

        return call

    storage.rewrite_metadata("r1", "presentation", rewrite(None))
    storage.rewrite_metadata("r1", "presentation", rewrite(b"<recording>new</recording>"))
    storage.rewrite_metadata("r1", "presentation", rewrite(None))
    for record_id, format in (("r1", "video"), ("../r1", "presentation"), ("r1", "..")):
        storage.rewrite_metadata(record_id, format, rewrite(b""))

    old, new = FILES["metadata.xml"], b"<recording>new</recording>"
    assert read == [old, old, new]
    assert sizes(storage) == [("presentation", published, 3, 5015 + len(new) - len(old))]
