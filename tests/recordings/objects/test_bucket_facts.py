"""What is found out about a bucket; rights and faults are in test_importer_bucket_faults.py."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.bucket_facts import read_bucket_facts
from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.objects.objects import RecordingObjects
from tests.doubles.s3 import S3Server, open_objects, s3_settings


def test_versions_are_kept_also_while_versioning_is_suspended(s3: S3Server) -> None:
    bucket = s3.make_bucket()
    found = [read_bucket_facts(open_objects(s3.url, bucket), time.time).versioning]
    for status in ("Enabled", "Suspended"):
        s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        found.append(read_bucket_facts(open_objects(s3.url, bucket), time.time).versioning)
    assert found == [False, True, True]


@pytest.mark.parametrize(
    ("content", "code"), [("", "ProfileNotFound"), ("[broken", "ConfigParseError")]
)
def test_profile_that_cannot_be_used_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, code: str
) -> None:
    (tmp_path / "config").write_text(content)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "missing")
    objects = RecordingObjects(Bucket(s3_settings("http://127.0.0.1:9", "b")), ObjectKeys(""))
    assert read_bucket_facts(objects, time.time).failure.startswith(f"S3 {code}: ")
