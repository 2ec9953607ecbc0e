"""The bucket of recordings: what is said of each problem, and of what is not known."""

from __future__ import annotations

import pytest

from appliance.doctor.bucket_findings import judge_bucket
from appliance.doctor.findings import Level
from appliance.recordings.objects.bucket_facts import BucketFacts


def texts(facts: BucketFacts) -> dict[str, tuple[Level, str]]:
    return {one.check: (one.level, one.text) for one in judge_bucket(facts)}


def test_rules_that_may_not_be_read_are_said_to_be_unknown() -> None:
    found = texts(BucketFacts("b", versioning=None, ends_uploads=None))
    for check in ("bucket b, versions", "bucket b, uploads"):
        level, text = found[check]
        assert (level, text.startswith("not known")) == (Level.OK, True)


def test_old_versions_without_a_limit_are_a_problem() -> None:
    kept = texts(BucketFacts("b", versioning=True, ends_uploads=True))
    assert kept["bucket b, versions"][0] is Level.WARN
    ended = texts(BucketFacts("b", versioning=True, ends_versions=True, ends_uploads=True))
    assert ended["bucket b, versions"][0] is Level.OK


@pytest.mark.parametrize("code", ["ProfileNotFound", "ConfigParseError"])
def test_files_of_aws_are_advised_on(code: str) -> None:
    (finding,) = judge_bucket(BucketFacts("b", f"S3 {code}: the text of boto3"))
    assert finding.level is Level.FAIL
    assert "AWS_PROFILE" in finding.advice
    assert "~/.aws" in finding.advice
