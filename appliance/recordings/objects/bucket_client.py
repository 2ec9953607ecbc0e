"""The client of an object store, its errors and its credentials: boto3 behind one border.

boto3 is imported when the first client is made, because it costs 30 MB and half a second that most
appliances need not pay. It does all of the protocol. Source: boto3 and botocore documentation.
"""

from __future__ import annotations

import base64
import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from appliance.settings.model import S3Settings

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CONNECT_S, _BULK_READ_S, _PLAY_READ_S = 5.0, 20.0, 8.0
_BULK_TRIES, _PLAY_TRIES = 3, 2
SMALL_BYTES = 1 << 20
"""Up to this size, a body is kept in memory while it is sent."""

_QUERY = re.compile(r"\?[^\s\"']*=[^\s\"']*")
"""Of the URL of a request, which says nothing to an operator and differs from call to call."""
MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_BY_STATUS = {
    "400": "BadRequest", "403": "AccessDenied", "500": "InternalError", "503": "ServiceUnavailable",
}  # fmt: skip
"""Codes of answers without a body, which are those to HEAD requests."""


class BucketFault(OSError):
    """The object store failed; `code` is that of S3, or one defined here without an answer."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(errno.EIO, f"S3 {code}: {text}" if text else f"S3 {code}")
        self.code = code

    def __reduce__(self) -> tuple[type[BucketFault], tuple[str, str]]:
        """Return how it is made again in another process."""
        return BucketFault, (self.code, (self.strerror or "").partition(": ")[2])


class Boto3Missing(Exception):
    """boto3 is not installed."""


def check_boto3() -> None:
    """Raise Boto3Missing if boto3 is not installed, without importing it."""
    if find_spec("boto3") is None:
        raise Boto3Missing(
            "S3_RECORDING needs boto3: install the package python3-boto3, or boto3 from PyPI"
        )


@contextmanager
def translated(count: Callable[[str], None], *, missing_ok: bool = False) -> Iterator[None]:
    """Translate the errors of botocore to BucketFault.

    count: called with the code of each. missing_ok: suppress the one that says that there is no
    such object or upload.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except ClientError as error:
        found = error.response.get("Error", {})
        code = found.get("Code", "other")
        if missing_ok and code in MISSING:
            return
        raise _fault(count, _BY_STATUS.get(code, code), found.get("Message", "")) from error
    except (BotoCoreError, HTTPClientError, Boto3Error) as error:
        raise _fault(count, _code_of(error), str(error)) from error


def _fault(count: Callable[[str], None], code: str, text: str) -> BucketFault:
    count(code)
    return BucketFault(code, " ".join(_QUERY.sub("", text).split())[:300].rstrip("."))


def _code_of(error: Exception) -> str:
    name = type(error).__name__
    if "Timeout" in name:
        return "Timeout"
    if "Credential" in name or "Token" in name:
        return "NoCredentials"
    if "Checksum" in name:
        return "ChecksumMismatch"
    if any(word in name for word in ("Connection", "SSL", "HTTPClient", "Stream", "Incomplete")):
        return "ConnectionFailed"
    return name


def open_client(settings: S3Settings, *, playing: bool) -> S3Client:
    """Return a client for viewers, which fails soon, or for everything else."""
    import boto3
    from botocore.config import Config

    # What is uploaded is protected by its MD5 digest in a signed header. Another by SHA-256, which
    # boto3 makes without TLS, would take half as much time again.
    options: dict[str, Any] = {
        "s3": {"addressing_style": settings.addressing, "payload_signing_enabled": False}
    }
    if settings.endpoint_url is not None:
        # Many stores refuse the checksums that newer releases of boto3 send by default; uploads are
        # verified by their entity tags in any case.
        options["request_checksum_calculation"] = "when_required"
        options["response_checksum_validation"] = "when_required"
    config = Config(
        signature_version="s3v4",
        connect_timeout=_CONNECT_S,
        read_timeout=_PLAY_READ_S if playing else _BULK_READ_S,
        retries={"mode": "standard", "total_max_attempts": _PLAY_TRIES if playing else _BULK_TRIES},
        max_pool_connections=64,
        tcp_keepalive=True,
        **options,
    )
    session = boto3.session.Session(
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key,
        aws_session_token=settings.session_token,
        region_name=settings.region,
    )
    client = session.client(
        "s3",
        endpoint_url=settings.endpoint_url,
        verify=None if settings.ca_file is None else str(settings.ca_file),
        config=config,
    )
    client.meta.events.register("before-send.s3.PutObject", _send_small_body_at_once)
    return client


def _send_small_body_at_once(request: Any, **_: object) -> None:
    """Ask for no `100 Continue` before a small body.

    That is a round trip for each file, and botocore reads its answer byte by byte. The header is
    not signed. Source: botocore documentation, "before-send".
    """
    if int(request.headers.get("Content-Length", SMALL_BYTES + 1)) <= SMALL_BYTES:
        request.headers.pop("Expect", None)


def cloudfront_cookies(settings: S3Settings, resource: str, expires_s: int) -> dict[str, str]:
    """Return the cookies that open `resource` at CloudFront until a time since the epoch.

    Source: CloudFront documentation, "Set signed cookies using a custom policy".
    """
    from botocore.signers import CloudFrontSigner
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(settings.cloudfront_private_key_pem or b"", None)
    assert isinstance(key, RSAPrivateKey)
    name = settings.cloudfront_key_pair_id or ""
    expires = datetime.fromtimestamp(expires_s, UTC)
    policy = CloudFrontSigner(name, lambda _: b"").build_policy(resource, expires).encode()
    return {
        "CloudFront-Policy": _cookie_text(policy),
        "CloudFront-Signature": _cookie_text(key.sign(policy, PKCS1v15(), SHA1())),
        "CloudFront-Key-Pair-Id": name,
    }


def _cookie_text(content: bytes) -> str:
    return base64.b64encode(content, b"-~").decode().replace("=", "_")
