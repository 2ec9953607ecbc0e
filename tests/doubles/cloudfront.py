"""CloudFront in front of a bucket: checks signed cookies as it does, and serves the objects.

Source: CloudFront documentation, "Use signed cookies" (custom policy).
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1

KEY_PAIR_ID = "K1"


def refusal(cookies: Mapping[str, str], url: str, key: RSAPublicKey, now_s: float) -> str:
    """Return why a request with these cookies is refused; empty: it is not."""
    try:
        policy = _plain(cookies["CloudFront-Policy"])
        signature = _plain(cookies["CloudFront-Signature"])
        if cookies["CloudFront-Key-Pair-Id"] != KEY_PAIR_ID:
            return "another key"
        key.verify(signature, policy, PKCS1v15(), SHA1())
        (statement,) = json.loads(policy)["Statement"]
    except (KeyError, ValueError, InvalidSignature) as error:
        return f"no valid cookies: {error!r}"
    if not fnmatchcase(url, statement["Resource"]):
        return "another resource"
    if now_s >= statement["Condition"]["DateLessThan"]["AWS:EpochTime"]:
        return "expired"
    return ""


def _plain(value: str) -> bytes:
    return base64.b64decode(value.replace("_", "="), b"-~", validate=True)


class CloudFront:
    """The running server."""

    def __init__(self, client: Any, bucket: str, key: RSAPublicKey) -> None:
        self.url = ""
        self.served: list[str] = []
        self.refused: list[str] = []
        self.client = client
        self.bucket = bucket
        self.key = key


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: ClassVar[CloudFront]

    def do_GET(self) -> None:
        """Serve an object, or a range of it."""
        front = self.front
        morsels = SimpleCookie(self.headers.get("Cookie", "")).values()
        cookies = {morsel.key: morsel.value for morsel in morsels}
        reason = refusal(cookies, front.url + self.path, front.key, time.time())
        if reason:
            front.refused.append(f"{self.path}: {reason}")
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        front.served.append(self.path)
        wanted = self.headers.get("Range")
        more = {} if wanted is None else {"Range": wanted}
        answer = front.client.get_object(Bucket=front.bucket, Key=unquote(self.path[1:]), **more)
        self.send_response(200 if wanted is None else 206)
        for name in ("content-type", "content-length", "content-range", "accept-ranges", "etag"):
            if value := answer["ResponseMetadata"]["HTTPHeaders"].get(name):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer["Body"].read())

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def serve_cloudfront(client: Any, bucket: str, key: RSAPublicKey) -> Iterator[CloudFront]:
    """Serve the objects of a bucket to those who have cookies signed with a key."""
    front = CloudFront(client, bucket, key)

    class Handler(_Handler):
        pass

    Handler.front = front
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    front.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield front
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
