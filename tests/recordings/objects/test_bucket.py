"""Uploads: what they send, what they verify, and how they end."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.bucket_client import SMALL_BYTES, BucketFault
from appliance.recordings.objects.keys import PART_BYTES
from appliance.recordings.storage import Transfer
from tests.doubles.s3 import S3Server, s3_settings
from tests.doubles.s3_proxy import faulty_proxy


def write(path: Path, size: int) -> Path:
    path.write_bytes(b"intact " * (size // 7) + b"x" * (size % 7))
    return path


def test_files_of_every_size_are_stored_as_they_are(s3: S3Server, tmp_path: Path) -> None:
    sizes = (0, 1, SMALL_BYTES, SMALL_BYTES + 1, PART_BYTES + 1)
    files = [(write(tmp_path / str(size), size), f"a/{size}.png") for size in sizes]
    name, transfer = s3.make_bucket(), Transfer()

    Bucket(s3_settings(s3.url, name)).upload(files, transfer)

    assert transfer.done_bytes == sum(sizes)
    for path, key in files:
        answer = s3.client.get_object(Bucket=name, Key=key)
        assert answer["Body"].read() == path.read_bytes()
        assert answer["ContentType"] == "image/png"
        assert ("-2" in answer["ETag"]) == (path.name == str(PART_BYTES + 1))


@pytest.mark.parametrize("size", [1000, SMALL_BYTES + 1, PART_BYTES + 1])
def test_file_that_is_changed_on_its_way_is_a_fault(
    s3: S3Server, tmp_path: Path, size: int
) -> None:
    path = write(tmp_path / "a.txt", size)
    with faulty_proxy(s3.url) as proxy:
        bucket = Bucket(s3_settings(proxy.url, s3.make_bucket()))
        proxy.fault = "change"

        with pytest.raises(BucketFault) as fault:
            bucket.upload([(path, "a.txt")], Transfer())

    # A store that verifies what it gets refuses it; moto's does not.
    assert fault.value.code in ("ChecksumMismatch", "BadDigest", "XAmzContentSHA256Mismatch")


def test_stopped_upload_begins_no_other_file(s3: S3Server, tmp_path: Path) -> None:
    name, transfer = s3.make_bucket(), Transfer()
    transfer.stop.set()

    with pytest.raises(BucketFault, match="Stopped"):
        Bucket(s3_settings(s3.url, name)).upload([(write(tmp_path / "a", 10), "a")], transfer)

    assert s3.keys(name) == set()


@pytest.mark.parametrize("size", [1000, PART_BYTES + 1])
def test_upload_that_fails_does_not_stop_others(s3: S3Server, tmp_path: Path, size: int) -> None:
    transfer, path = Transfer(), write(tmp_path / "a", size)
    with pytest.raises(BucketFault):
        Bucket(s3_settings("http://127.0.0.1:9", "b")).upload([(path, "a")], transfer)

    assert not transfer.stop.is_set()


class Recorder(BaseHTTPRequestHandler):
    """Takes objects, and keeps the headers that it got."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[dict[str, str]]]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("ETag", hashlib.md5(body, usedforsecurity=False).hexdigest())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def recording_server() -> Iterator[tuple[str, list[dict[str, str]]]]:
    class Handler(Recorder):
        seen: ClassVar[list[dict[str, str]]] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", Handler.seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_small_file_is_sent_at_once_and_with_its_digest(tmp_path: Path) -> None:
    sizes = (1000, SMALL_BYTES + 1)
    with recording_server() as (url, seen):
        bucket = Bucket(s3_settings(url, "b"))
        for size in sizes:
            bucket.upload([(write(tmp_path / str(size), size), str(size))], Transfer())

    assert [("expect" in headers) for headers in seen] == [False, True]
    assert all(headers["content-md5"] for headers in seen)


def test_upload_that_was_aborted_since_it_was_listed_is_no_fault(s3: S3Server) -> None:
    name, codes = s3.make_bucket(), list[str]()
    bucket = Bucket(s3_settings(s3.url, name), codes.append)
    for _ in range(2):
        s3.client.create_multipart_upload(Bucket=name, Key="a/v.mp4")

    def abort_one(parsed: dict[str, list[dict[str, str]]], **_: object) -> None:
        first = parsed["Uploads"][0]
        s3.client.abort_multipart_upload(Bucket=name, Key="a/v.mp4", UploadId=first["UploadId"])

    bucket._client().meta.events.register("after-call.s3.ListMultipartUploads", abort_one)
    bucket.abort_uploads("a/", ["a/v.mp4"])

    assert s3.client.list_multipart_uploads(Bucket=name).get("Uploads", []) == []
    assert codes == []
