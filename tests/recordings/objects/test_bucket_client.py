"""boto3 is imported only where it is used, and its errors are translated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import botocore.exceptions
import pytest
from botocore.exceptions import SSLError

from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.bucket_client import BucketFault, translated
from appliance.recordings.storage import Transfer
from tests.doubles.s3 import S3Server, s3_settings
from tests.doubles.s3_proxy import faulty_proxy


def test_appliance_without_object_storage_does_not_import_boto3() -> None:
    code = (
        "import sys, appliance.supervisor, appliance.wiring.recordings\n"
        "print([name for name in sys.modules if name.startswith(('boto', 's3transfer'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"), "ConnectionFailed"),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="http://x"), "Timeout"),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="http://x"), "Timeout"),
        (botocore.exceptions.NoCredentialsError(), "NoCredentials"),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="http://x"), "ConnectionFailed"),
        (SSLError(endpoint_url="http://x", error=OSError("x")), "ConnectionFailed"),
        (botocore.exceptions.ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"), "SlowDown"),
        (botocore.exceptions.ClientError({"Error": {"Code": "503"}}, "Head"), "ServiceUnavailable"),
        (botocore.exceptions.ClientError({"Error": {"Code": "404"}}, "Head"), "404"),
    ],
)
def test_errors_have_codes_and_are_counted(error: Exception, code: str) -> None:
    counted: list[str] = []
    with pytest.raises(BucketFault) as fault, translated(counted.append):
        raise error
    assert (fault.value.code, counted) == (code, [code])
    assert str(fault.value.strerror).startswith(f"S3 {code}")


def test_missing_object_is_no_fault_where_it_is_expected() -> None:
    missing = botocore.exceptions.ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
    with translated(lambda code: pytest.fail(code), missing_ok=True):
        raise missing


def test_wrong_bucket_and_closed_port_are_faults(s3: S3Server) -> None:
    with pytest.raises(BucketFault) as fault:
        list(Bucket(s3_settings(s3.url, "no-such-bucket")).list_objects(""))
    assert fault.value.code == "NoSuchBucket"
    with pytest.raises(BucketFault) as fault:
        Bucket(s3_settings("http://127.0.0.1:9", "b")).exists("a/b")
    assert fault.value.code == "ConnectionFailed"
    assert str(fault.value.strerror).endswith('endpoint URL: "http://127.0.0.1:9/b"')


def test_uploads_that_fail_beside_others_are_a_fault_of_the_bucket(
    s3: S3Server, tmp_path: Path
) -> None:
    files = [(tmp_path / str(number), f"a/{number}") for number in range(12)]
    for path, _ in files:
        path.write_bytes(b"x" * 300_000)
    with faulty_proxy(s3.url) as proxy:
        bucket = Bucket(s3_settings(proxy.url, s3.make_bucket()))
        proxy.fault = "503 SlowDown"

        with pytest.raises(BucketFault):
            bucket.upload(files, Transfer())
