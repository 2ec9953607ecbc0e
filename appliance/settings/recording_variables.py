"""Table of variables: recordings, protected recordings, object storage. Rows only.

Also lists the variables of Scalelite that are accepted without effect.
"""

from __future__ import annotations

from pathlib import Path

from appliance.settings.addresses import HTTP_URL
from appliance.settings.kinds import (
    BOOLEAN,
    OBJECT_PREFIX,
    PATH,
    RSA_PEM_BASE64,
    SECRET,
    SIZE,
    SSE,
    choice,
    count,
    duration,
    names,
    text,
)
from appliance.settings.table import Section, Variable, variables_of

_BBB = Path("/var/bigbluebutton")
_WORD = text("a word without blanks", r"\S{1,500}")

RECORDING_DISABLED = Variable(
    "RECORDING_DISABLED", BOOLEAN, False, "Run without import, recording calls and PostgreSQL.",
)  # fmt: skip
RECORDING_SPOOL_DIR = Variable(
    "RECORDING_SPOOL_DIR", PATH, _BBB / "spool",
    "Directory in which BigBlueButton servers deliver recordings.",
)  # fmt: skip
RECORDING_WORK_DIR = Variable(
    "RECORDING_WORK_DIR", PATH, _BBB / "recording/scalelite",
    "Directory for unpacking; use the file system of the next two, so that a move is a rename.",
)  # fmt: skip
RECORDING_PUBLISH_DIR = Variable(
    "RECORDING_PUBLISH_DIR", PATH, _BBB / "published", "Directory of published recordings.",
)  # fmt: skip
RECORDING_UNPUBLISH_DIR = Variable(
    "RECORDING_UNPUBLISH_DIR", PATH, _BBB / "unpublished", "Directory of unpublished recordings.",
)  # fmt: skip
PLAYBACK_DIR = Variable(
    "PLAYBACK_DIR", PATH, _BBB / "playback", "Directory of the BigBlueButton player.",
)  # fmt: skip
RECORDING_IMPORT_POLL = Variable(
    "RECORDING_IMPORT_POLL", BOOLEAN, True,
    "Scan the spool in addition to watching it, as required on NFS. false: only watch.",
)  # fmt: skip
RECORDING_IMPORT_POLL_INTERVAL = Variable(
    "RECORDING_IMPORT_POLL_INTERVAL", duration("s"), 60.0, "Time between two scans of the spool.",
)  # fmt: skip
RECORDING_IMPORT_UNPUBLISHED = Variable(
    "RECORDING_IMPORT_UNPUBLISHED", BOOLEAN, False, "Import new recordings as unpublished.",
)  # fmt: skip
RECORDING_IMPORT_CONCURRENCY = Variable(
    "RECORDING_IMPORT_CONCURRENCY", count(1, 100), 2, "Maximum number of concurrent imports.",
)  # fmt: skip
RECORDING_MAX_FILES = Variable(
    "RECORDING_MAX_FILES", count(), 200_000,
    "Maximum number of files and directories of a recording; larger ones are refused.",
)  # fmt: skip
RECORDING_MAX_BYTES = Variable(
    "RECORDING_MAX_BYTES", SIZE, 200 << 30,
    "Maximum unpacked size of a recording; larger ones are refused.",
)  # fmt: skip
RECORDING_PLAYBACK_FORMATS = Variable(
    "RECORDING_PLAYBACK_FORMATS",
    names(":", "format names of a-z, 0-9, - and _, separated by ':'", r"[a-z0-9_-]{1,64}"),
    ("presentation", "video", "screenshare", "podcast", "notes", "capture"),
    "Formats that are served, separated by `:`.",
)  # fmt: skip
RECORDING_RETENTION_DAYS = Variable(
    "RECORDING_RETENTION_DAYS", duration("days"), None,
    "Maximum age of recordings; older ones are deleted once a day.", default_text="unlimited",
    example="365",
)  # fmt: skip
GET_RECORDINGS_API_FILTERED = Variable(
    "GET_RECORDINGS_API_FILTERED", BOOLEAN, False,
    "Require a meetingID or recordID in getRecordings, so that a front-end cannot list all.",
)  # fmt: skip
X_ACCEL_REDIRECT = Variable(
    "X_ACCEL_REDIRECT", BOOLEAN, False,
    "Let nginx serve the files; use this only with the site file of the package.",
)  # fmt: skip

_RECORDINGS = variables_of(globals())

PROTECTED_RECORDINGS_ENABLED = Variable(
    "PROTECTED_RECORDINGS_ENABLED", BOOLEAN, False,
    "Protect new recordings: they can only be played with one-time links from getRecordings.",
)  # fmt: skip
PROTECTED_RECORDINGS_TOKEN_TIMEOUT = Variable(
    "PROTECTED_RECORDINGS_TOKEN_TIMEOUT", duration("min"), 60.0,
    "Lifetime of a one-time link.",
)  # fmt: skip
PROTECTED_RECORDINGS_TIMEOUT = Variable(
    "PROTECTED_RECORDINGS_TIMEOUT", duration("min"), 360.0,
    "Time during which a recording can be viewed after its link was used.",
)  # fmt: skip

_PROTECTED = variables_of(globals(), after="X_ACCEL_REDIRECT")

S3_RECORDING = Variable(
    "S3_RECORDING",
    BOOLEAN,
    False,
    "Store the files of recordings in an object store (docs/object-storage.md).",
)
S3_BUCKET_NAME = Variable(
    "S3_BUCKET_NAME", text("a bucket name", r"[A-Za-z0-9._-]{1,255}"), None, "Name of the bucket.",
)  # fmt: skip
S3_PREFIX = Variable(
    "S3_PREFIX", OBJECT_PREFIX, "",
    "Begins the keys of all objects, for a bucket with other contents.",
    default_text="none", example="scalelite",
)  # fmt: skip
S3_ENDPOINT_URL = Variable(
    "S3_ENDPOINT_URL", HTTP_URL, None,
    "Endpoint of an S3-compatible store such as MinIO; browsers must reach it, unless"
    " S3_SERVE=proxy.",
    default_text="AWS",
)  # fmt: skip
S3_REGION = Variable(
    "S3_REGION", text("a region such as eu-central-1", r"[A-Za-z0-9-]{1,64}"), None,
    "Region of the bucket.",
    fallbacks=("AWS_REGION", "AWS_DEFAULT_REGION"),
)  # fmt: skip
S3_ADDRESSING = Variable(
    "S3_ADDRESSING", choice(("auto", "path", "virtual")), "auto",
    "Where requests name the bucket: in the path or in the host name.",
)  # fmt: skip
S3_CA_FILE = Variable(
    "S3_CA_FILE", PATH, None, "Certificates (PEM) that the endpoint's is verified with.",
    default_text="botocore's",
)  # fmt: skip
S3_SERVE = Variable(
    "S3_SERVE", choice(("mixed", "proxy", "redirect", "cloudfront")), None,
    "How recordings are played: text through the appliance and media from the bucket (mixed),"
    " everything through the appliance (proxy), everything from the bucket (redirect), or from"
    " CloudFront (cloudfront).",
    default_text="cloudfront if CLOUDFRONT_URL is set, else mixed",
)  # fmt: skip
S3_SSE = Variable(
    "S3_SSE", SSE, None, "Encryption of objects at rest: none, AES256, aws:kms or aws:kms:KEY.",
    default_text="none", example="AES256",
)  # fmt: skip
S3_STORAGE_CLASS = Variable(
    "S3_STORAGE_CLASS", text("a storage class such as STANDARD_IA", r"[A-Z0-9_]{1,64}"), None,
    "Storage class of objects.", default_text="the bucket's",
)  # fmt: skip
S3_SWEEP_INTERVAL = Variable(
    "S3_SWEEP_INTERVAL", duration("s"), 3600.0,
    "Time between two searches for uploads and objects of imports that never ended.",
)  # fmt: skip
AWS_ACCESS_KEY_ID = Variable(
    "AWS_ACCESS_KEY_ID", _WORD, None, "Id of the access key.",
)  # fmt: skip
AWS_SECRET_ACCESS_KEY = Variable(
    "AWS_SECRET_ACCESS_KEY", SECRET, None, "Secret access key.",
)  # fmt: skip
AWS_SESSION_TOKEN = Variable(
    "AWS_SESSION_TOKEN", SECRET, None, "Session token of temporary credentials.",
)  # fmt: skip
CLOUDFRONT_URL = Variable(
    "CLOUDFRONT_URL", HTTP_URL, None,
    "Serve the files through CloudFront; requires both CF_ variables for its signed cookies.",
)  # fmt: skip
CF_KEY_PAIR_ID = Variable(
    "CF_KEY_PAIR_ID", _WORD, None, "Id of the CloudFront key pair.",
)  # fmt: skip
CF_PRIVATE_KEY_B64 = Variable(
    "CF_PRIVATE_KEY_B64", RSA_PEM_BASE64, None,
    "Private key (PEM) of the CloudFront key pair, base64-encoded.",
)  # fmt: skip

_S3 = variables_of(globals(), after="PROTECTED_RECORDINGS_TIMEOUT")

SECTIONS = (
    Section("Recordings", "Import, files and playback.", _RECORDINGS),
    Section("Protected recordings", "One-time links.", _PROTECTED),
    Section("Object storage", "Recordings in Amazon S3 or a compatible store.", _S3),
)

WITHOUT_MEANING = (
    "WEB_CONCURRENCY",
    "RAILS_MAX_THREADS",
    "RAILS_MIN_THREADS",
    "RAILS_ENV",
    "RAILS_LOG_TO_STDOUT",
    "NGINX_SSL",
    "NGINX_BEHIND_PROXY",
    "NGINX_RECORDINGS_ONLY",
    "SCALELITE_TAG",
    "SCALELITE_RECORDING_DIR",
)
"""Variables of Scalelite deployments that are accepted without effect."""
