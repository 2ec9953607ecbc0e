"""Files of an import are uploaded from inside its tar, and from no other tar."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from appliance.recordings.imports.spool import Spool, unpack_for_bucket
from appliance.recordings.objects.local_files import local_files
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.objects.tar_slices import TarSlice, open_content
from appliance.recordings.storage import Transfer
from tests.doubles.import_tools import recording_settings
from tests.doubles.recording_tars import recording_tar
from tests.doubles.s3 import S3Server, open_objects

VIDEO = os.urandom(1 << 20) * 40
"""Three parts."""
FILES = {"presentation": {"video/webcams.webm": VIDEO, "a.svg": b"<svg/>"}}


def unpack(root: Path) -> tuple[Spool, Path]:
    """Unpack the tar of a recording as the worker does; return the directory of the format."""
    spool = Spool(recording_settings(root))
    spool.make()
    tar = recording_tar(spool.directory, "r1", FILES)
    work = spool.make_work(spool.new_work(1))
    unpack_for_bucket(tar, work, spool.limits, transfer=Transfer())
    return spool, work / "presentation/r1"


def stage(objects: RecordingObjects, folder: Path) -> Transfer:
    """Upload a directory."""
    transfer = Transfer()
    objects.stage(str(folder), "r1", "presentation", published=True, transfer=transfer)
    return transfer


def test_large_file_is_uploaded_from_the_tar(tmp_path: Path, s3: S3Server) -> None:
    spool, folder = unpack(tmp_path)
    bucket = s3.make_bucket()
    assert (folder / "video/webcams.webm").stat().st_blocks == 0

    transfer = stage(open_objects(s3.url, bucket), folder)

    key = "published/presentation/r1/video/webcams.webm"
    answer = s3.client.get_object(Bucket=bucket, Key=key)
    assert answer["Body"].read() == VIDEO
    assert answer["ContentType"] == "video/webm"
    assert transfer.done_bytes == transfer.total_bytes == len(VIDEO) + len(b"<svg/>")
    (left,) = spool.leftovers()
    spool.discard(left[1])
    assert list((tmp_path / "work").iterdir()) == []


def test_note_that_a_crash_left_is_removed_with_the_leftovers(tmp_path: Path) -> None:
    spool, folder = unpack(tmp_path)
    (note,) = (tmp_path / "work").glob("*.in-tar")
    content = note.read_bytes()
    ((_, work),) = spool.leftovers()
    spool.discard(work)
    note.write_bytes(content)

    assert spool.leftovers() == [(1, work)]
    spool.discard(work)

    assert list((tmp_path / "work").iterdir()) == []
    assert not folder.exists()


@pytest.mark.parametrize("change", ["replaced", "written", "removed"])
def test_tar_that_is_changed_meanwhile_is_not_uploaded(
    tmp_path: Path, s3: S3Server, change: str
) -> None:
    spool, folder = unpack(tmp_path)
    tar, bucket = spool.directory / "r1.tar", s3.make_bucket()
    if change == "replaced":
        other = tmp_path / "other"
        other.write_bytes(bytes(tar.stat().st_size))
        other.rename(tar)
    elif change == "written":
        with tar.open("r+b") as file:
            file.seek(1 << 20)
            file.write(b"other")
    else:
        tar.unlink()

    with pytest.raises(OSError, match=r"r1\.tar") as fault:
        stage(open_objects(s3.url, bucket), folder)

    assert fault.value.errno in (errno.ESTALE, errno.ENOENT)
    assert "published/presentation/r1/video/webcams.webm" not in s3.keys(bucket)
    assert not s3.client.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_slice_reads_like_a_file(tmp_path: Path) -> None:
    _, folder = unpack(tmp_path)
    content = next(one.content for one in local_files(str(folder), "") if one.key.endswith(".webm"))
    assert isinstance(content, TarSlice)
    with open_content(content) as file:
        assert file.seek(-3, io.SEEK_END) == len(VIDEO) - 3
        assert (file.read(10), file.read(10)) == (VIDEO[-3:], b"")
        file.seek(5)
        file.seek(5, io.SEEK_CUR)
        assert (file.read(3), file.tell()) == (VIDEO[10:13], 13)
