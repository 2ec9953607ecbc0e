"""Facts about a bucket for doctor: whether it is reached, rights, clock, versions, rules.

Writes, reads and deletes one small object; changes nothing else. Everything blocks. Judged in
doctor/bucket_findings.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.bucket_client import BucketFault
from appliance.recordings.objects.objects import RecordingObjects


@dataclass(frozen=True, slots=True)
class BucketFacts:
    """The state of a bucket. A failure is S3's error code with its text; empty: there is none."""

    bucket: str
    failure: str = ""
    """Why it cannot be listed; then nothing else is known."""
    write_failure: str = ""
    read_failure: str = ""
    delete_failure: str = ""
    skew_s: float | None = None
    """How far the clock of the store is ahead; None: not known."""
    versioning: bool | None = None
    """Whether deleted objects stay, or have stayed, as old versions; None: not known."""
    ends_versions: bool = False
    """Whether a lifecycle rule deletes old versions."""
    ends_uploads: bool | None = None
    """Whether a lifecycle rule ends unfinished uploads; None: not known."""


def read_bucket_facts(objects: RecordingObjects, now_s: Callable[[], float]) -> BucketFacts:
    """Find out the state of the bucket."""
    bucket = objects.bucket
    try:
        answer = bucket.call("list_objects_v2", Prefix=objects.keys.probe(""), MaxKeys=1)
    except BucketFault as fault:
        return BucketFacts(bucket.name, fault.strerror or fault.code)
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    skew_s = None if date is None else parsedate_to_datetime(date).timestamp() - now_s()
    key = objects.keys.probe(f".appliance-check-{uuid.uuid4().hex}")
    content = key.encode()
    write_failure = _failure(lambda: bucket.put(key, content))
    read_failure = delete_failure = ""
    if not write_failure:
        read_failure = _failure(lambda: _read_back(bucket, key, content))
        delete_failure = _failure(lambda: bucket.delete([key]))
    rules = _lifecycle(bucket)
    return BucketFacts(
        bucket.name,
        "",
        write_failure,
        read_failure,
        delete_failure,
        None if skew_s is None or abs(skew_s) < 1 else skew_s,  # the header has whole seconds
        _versioning(bucket),
        rules is not None and any("NoncurrentVersionExpiration" in rule for rule in rules),
        None if rules is None else any("AbortIncompleteMultipartUpload" in rule for rule in rules),
    )


def _failure(work: Callable[[], object]) -> str:
    try:
        work()
    except BucketFault as fault:
        return fault.strerror or fault.code
    return ""


def _read_back(bucket: Bucket, key: str, content: bytes) -> None:
    if bucket.read(key) != content:
        raise BucketFault("ChecksumMismatch", "what was written was not read back")


def _versioning(bucket: Bucket) -> bool | None:
    try:
        # Suspended: no more are made, but those there are stay.
        return bucket.call("get_bucket_versioning").get("Status") in ("Enabled", "Suspended")
    except BucketFault:
        return None


def _lifecycle(bucket: Bucket) -> list[dict[str, object]] | None:
    """Return the rules that are on; None: not known."""
    try:
        rules = bucket.call("get_bucket_lifecycle_configuration").get("Rules", [])
    except BucketFault as fault:
        return [] if fault.code == "NoSuchLifecycleConfiguration" else None
    return [rule for rule in rules if rule.get("Status") == "Enabled"]
