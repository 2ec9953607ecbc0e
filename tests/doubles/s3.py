"""An S3 server for tests: moto's, as a process of its own.

The fixture `s3` (s3_fixtures.py) starts one per session; every test makes a bucket of its own.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.objects.worker import ObjectWorker
from appliance.settings.model import S3Settings
from tests.doubles.ports import free_port
from tests.doubles.settings import settings_of

START_S = 30.0
_OTHER = os.environ.get("APPLIANCE_TEST_S3", "").split()
"""URL, key id and key of a running server that is used instead of moto's (`make test-s3`)."""
KEY_ID, KEY = _OTHER[1:] if _OTHER else ("testing", "testing-secret")


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    url: str

    def make_bucket(self) -> str:
        """Create a bucket and return its name."""
        name = f"b-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    @property
    def client(self) -> Any:
        """Return a client of boto3 that the appliance does not use."""
        return _client(self.url)

    def keys(self, bucket: str) -> set[str]:
        """Return the keys in a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {one["Key"] for page in pages for one in page.get("Contents", [])}


@cache
def _client(url: str) -> Any:
    import boto3

    session = boto3.session.Session(KEY_ID, KEY, region_name="us-east-1")
    return session.client("s3", endpoint_url=url)


def s3_variables(url: str, bucket: str, **more: str) -> dict[str, str]:
    """Return the variables of an appliance that stores recordings in a bucket."""
    return {
        "S3_RECORDING": "true",
        "S3_BUCKET_NAME": bucket,
        "S3_ENDPOINT_URL": url,
        "S3_ADDRESSING": "path",
        "S3_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": KEY,
        **more,
    }


def s3_settings(url: str, bucket: str, **more: str) -> S3Settings:
    """Return the settings of s3_variables."""
    variables = s3_variables(url, bucket, **more)
    return replace(settings_of(**{**variables, "S3_RECORDING": "false"}).s3, enabled=True)


def open_objects(
    url: str, bucket: str, worker: ObjectWorker | None = None, **more: str
) -> RecordingObjects:
    """Return the objects of recordings in a bucket."""
    settings = s3_settings(url, bucket, **more)
    made = copy(_shared_bucket(url))  # its clients take a while to be made
    made.name, made.settings = bucket, settings
    return RecordingObjects(made, ObjectKeys(settings.prefix), worker)


@cache
def _shared_bucket(url: str) -> Bucket:
    return Bucket(s3_settings(url, "unused"))


@contextmanager
def serve_s3() -> Iterator[S3Server]:
    """Run moto's server, or use the one of APPLIANCE_TEST_S3."""
    if _OTHER:
        yield S3Server(_OTHER[0])
        return
    with _serve_moto() as url:
        yield S3Server(url)


@contextmanager
def serve_guarded_s3(
    rights: Mapping[str, Sequence[str]],
) -> Iterator[tuple[str, str, dict[str, tuple[str, str]]]]:
    """Run a server of moto's that checks signatures and rights.

    rights: the actions that a key may do, by a name for the key. Gives the URL, a bucket, and the
    id and the secret of each key. Source: moto documentation, "IAM-like access control".
    """
    import boto3

    with _serve_moto() as url:
        bucket = S3Server(url).make_bucket()
        session = boto3.session.Session(KEY_ID, KEY, region_name="us-east-1")
        iam: Any = session.client("iam", endpoint_url=url)
        keys = {}
        for name, actions in rights.items():
            iam.create_user(UserName=name)
            resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
            allowed = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
            if actions:
                iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
            key = iam.create_access_key(UserName=name)["AccessKey"]
            keys[name] = key["AccessKeyId"], key["SecretAccessKey"]
        headers = {"Content-Type": "text/plain"}
        guard = urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", headers)
        urllib.request.urlopen(guard, timeout=20).close()
        yield url, bucket, keys


@contextmanager
def _serve_moto() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environ = {"PATH": os.environ["PATH"], "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(64 << 20)}
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(process, f"{url}/moto-api/")
        yield url
    finally:
        process.kill()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        assert process.poll() is None, "the S3 server has ended"
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the S3 server does not answer")


def pem_key() -> tuple[rsa.RSAPrivateKey, str]:
    """Return a key, and its value for CF_PRIVATE_KEY_B64."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return key, base64.b64encode(pem).decode()
