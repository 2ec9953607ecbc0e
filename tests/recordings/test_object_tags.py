"""Entity tags, against those of a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.recordings.object_tags import expected_tag
from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.keys import PART_BYTES
from appliance.recordings.storage import Transfer
from tests.doubles.s3 import S3Server, s3_settings


@pytest.mark.parametrize("size", [0, 1000, PART_BYTES * 2])
def test_tag_is_that_of_the_object(s3: S3Server, tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    bucket = Bucket(s3_settings(s3.url, s3.make_bucket()))
    bucket.upload([(path, "file")], Transfer())
    stored = next(bucket.list_objects("file"))

    assert expected_tag(path, size, stored.tag) == stored.tag
    assert bucket.matches(stored, path)


def test_tag_of_parts_of_another_size_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)

    assert expected_tag(path, 1000, "0123-7") is None
