"""Judge the bucket of recordings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.doctor.findings import Finding, fail, ok, warn
from appliance.doctor.store_findings import judge_clock
from appliance.recordings.objects.bucket_facts import BucketFacts

_POLICY = "give the key the rights that docs/object-storage.md lists"
_TOKEN = "renew AWS_SESSION_TOKEN, or give the machine a role"
_PROFILE = "correct AWS_PROFILE, or the files in ~/.aws of the service's user"
_REGION = "correct S3_REGION, or S3_ENDPOINT_URL"
_BUSY = "the store is overloaded or has a fault: ask its operator; imports are tried again"
_FULL = "make room in the bucket, or raise its quota; imports wait"
_ADVICE = {
    "NoSuchBucket": "create it, or correct S3_BUCKET_NAME and S3_REGION",
    "AccessDenied": _POLICY,
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY, or the clock of this host",
    "RequestTimeTooSkewed": "run NTP on this host (`timedatectl`)",
    "NoCredentials": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
    "ProfileNotFound": _PROFILE,
    "ConfigParseError": _PROFILE,
    "ExpiredToken": _TOKEN,
    "InvalidToken": _TOKEN,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "InternalError": _BUSY,
    "ServiceUnavailable": _BUSY,
    "SlowDown": _BUSY,
    "QuotaExceeded": _FULL,
    "InsufficientStorage": _FULL,
    "XMinioStorageFull": _FULL,
}
_UNKNOWN = "not known: the key may not ask for it, or the store does not say"
_UNREACHABLE = (
    "check S3_ENDPOINT_URL, S3_CA_FILE and the network; imports wait, playback answers 503"
)


def judge_bucket(facts: BucketFacts) -> list[Finding]:
    """Judge the bucket."""
    check = bucket_check(facts.bucket)
    if facts.failure:
        return [fail(check, f"it cannot be used: {facts.failure}", _advice(facts.failure))]
    return [*_judge_rights(check, facts), *_judge_rules(check, facts)]


def bucket_check(bucket: str | None) -> str:
    """Return the name of the check."""
    return f"bucket {bucket or ''}"


def _advice(failure: str) -> str:
    code = failure.removeprefix("S3 ").partition(":")[0]
    return _ADVICE.get(code, _UNREACHABLE)


def _judge_rights(check: str, facts: BucketFacts) -> Iterator[Finding]:
    failures = {
        "written": facts.write_failure,
        "read": facts.read_failure,
        "deleted": facts.delete_failure,
    }
    for word, failure in failures.items():
        if failure:
            yield fail(check, f"objects cannot be {word}: {failure}", _advice(failure))
    if not any(failures.values()):
        yield ok(check, "objects can be written, read and deleted")
    yield judge_clock("clock of the object store", facts.skew_s or 0.0)


def _judge_rules(check: str, facts: BucketFacts) -> Iterator[Finding]:
    if facts.versioning and not facts.ends_versions:
        yield warn(
            f"{check}, versions",
            "deleted recordings are kept as old versions without a time limit",
            "add a lifecycle rule that deletes noncurrent versions",
        )
    else:
        kept = "old versions are deleted by a rule" if facts.versioning else "none are kept"
        yield ok(f"{check}, versions", _UNKNOWN if facts.versioning is None else kept)
    text = "a lifecycle rule ends unfinished ones"
    if not facts.ends_uploads:
        text = "no lifecycle rule ends unfinished ones; the appliance removes its own"
    yield ok(f"{check}, uploads", _UNKNOWN if facts.ends_uploads is None else text)
