"""A bucket in Amazon S3 or a compatible store.

Everything blocks and is called in threads. Every method raises BucketFault (bucket_client.py).
Source: boto3 and s3transfer documentation.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.recordings.object_tags import PartDigests, expected_tag, md5, md5_header
from appliance.recordings.objects.bucket_client import (
    MISSING,
    SMALL_BYTES,
    BucketFault,
    open_client,
    translated,
)
from appliance.recordings.objects.keys import PART_BYTES, object_headers, part_size
from appliance.recordings.objects.tar_slices import Content, content_size, open_content
from appliance.recordings.storage import Transfer
from appliance.settings.model import S3Settings

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONCURRENCY = 8
"""Files, or parts of one, that a thread of an import or a move transfers at once."""
PRESIGNED_S = 600
_MAX_COPY = 5 << 30
"""Larger objects are copied in parts."""
_DELETED_AT_ONCE = 1000
_POLL_S = 0.05
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a listing."""

    key: str
    size: int
    tag: str
    """Entity tag without quotes."""


@dataclass(frozen=True, slots=True)
class _Upload:
    content: Content
    key: str
    size: int


class Bucket:
    """One bucket. Its connections are made at the first use."""

    def __init__(self, settings: S3Settings, count: Callable[[str], None] = lambda code: None):
        """`count` is called with the code of every fault, from any thread."""
        assert settings.bucket is not None
        self.name = settings.bucket
        self.settings = settings
        self._count = count
        self._lock = threading.Lock()
        self._clients: dict[bool, S3Client] = {}
        self._digests = PartDigests()

    # --- reading -----------------------------------------------------------------------------

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with a prefix, in order."""
        with self._translated():
            pages = self._client().get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix
            )  # fmt: skip
            for page in pages:
                for one in page.get("Contents", []):
                    yield StoredObject(one["Key"], one["Size"], one["ETag"].strip('"'))

    def list_folders(self, prefix: str) -> list[str]:
        """Return the first names after a prefix that ends with a slash."""
        with self._translated():
            pages = self._client().get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, Delimiter="/"
            )  # fmt: skip
            return [
                one["Prefix"][len(prefix) : -1]
                for page in pages
                for one in page.get("CommonPrefixes", [])
            ]

    def exists(self, prefix: str) -> bool:
        """Return whether a key begins with a prefix."""
        answer: Mapping[str, Any] = {}
        with self._translated():
            client = self._client(playing=True)
            answer = client.list_objects_v2(Bucket=self.name, Prefix=prefix, MaxKeys=1)
        return bool(answer.get("Contents"))

    def head(self, key: str) -> Mapping[str, Any] | None:
        """Return the headers of an object for a viewer; None: there is no such object."""
        answer: Mapping[str, Any] | None = None
        with self._translated(missing_ok=True):
            answer = self._client(playing=True).head_object(Bucket=self.name, Key=key)
        return answer

    def open(self, key: str, **arguments: str) -> Mapping[str, Any] | None:
        """Return the answer of GetObject for a viewer, whose `Body` the caller closes.

        None: there is no such object. `arguments` are Range and IfMatch.
        """
        answer: Mapping[str, Any] | None = None
        with self._translated(missing_ok=True):
            client: Any = self._client(playing=True)
            answer = client.get_object(Bucket=self.name, Key=key, **arguments)
        return answer

    def read_body(self, body: Any, count: int) -> bytes:
        """Return `count` bytes of the body of `open`, fewer at its end only."""
        parts: list[bytes] = []
        with self._translated():
            while count > 0 and (part := body.read(count)):
                parts.append(part)
                count -= len(part)
        return b"".join(parts)

    def read(self, key: str, *, limit: int = 64 << 20) -> bytes | None:
        """Return a small object; None: there is none."""
        content = None
        with (
            self._translated(missing_ok=True),
            closing(self._client().get_object(Bucket=self.name, Key=key)["Body"]) as body,
        ):
            content = body.read(limit)
        return content

    def presign(self, key: str, **arguments: str) -> str:
        """Return a URL that grants read access to an object for PRESIGNED_S seconds."""
        params = {"Bucket": self.name, "Key": key, **arguments}
        with self._translated():
            client = self._client(playing=True)
            url = client.generate_presigned_url("get_object", params, ExpiresIn=PRESIGNED_S)
        return url

    # --- writing -----------------------------------------------------------------------------

    def put(self, key: str, content: bytes) -> None:
        """Store a small object."""
        with self._translated():
            client: Any = self._client()
            client.put_object(
                Bucket=self.name, Key=key, Body=content,
                ContentMD5=md5_header(md5(content).digest()),
                **object_headers(key), **self._storage(),
            )  # fmt: skip

    def upload(self, files: Sequence[tuple[Content, str]], transfer: Transfer) -> None:
        """Upload files, several at once, and large ones in parts, and verify each. All or an error.

        Raises OSError: a file cannot be read. Stops when `transfer.stop` is set.
        """

        def put(item: _Upload) -> None:
            if transfer.stop.is_set():
                raise BucketFault("Stopped", "")
            self._put_file(item)
            transfer.add(item.size)

        uploads = [_Upload(content, key, content_size(content)) for content, key in files]
        self._in_parallel(put, [one for one in uploads if one.size <= PART_BYTES])
        by_part_size: dict[int, list[_Upload]] = {}
        for one in uploads:
            if one.size > PART_BYTES:
                by_part_size.setdefault(part_size(one.size), []).append(one)
        for part_bytes, group in by_part_size.items():
            self._upload_parts(group, part_bytes, transfer)

    def _put_file(self, one: _Upload) -> None:
        """Store a file in one request, and verify it by the entity tag of the answer.

        Half the CPU time of boto3's transfers, which hand each file over to other threads.
        """
        client: Any = self._client()
        with open_content(one.content) as file:
            body: Any = file.read() if one.size <= SMALL_BYTES else file
            digest = md5(body) if one.size <= SMALL_BYTES else hashlib.file_digest(file, md5)
            file.seek(0)
            with self._translated():
                answer = client.put_object(
                    Bucket=self.name, Key=one.key, Body=body,
                    ContentMD5=md5_header(digest.digest()),
                    **object_headers(one.key), **self._storage(),
                )  # fmt: skip
        if str(answer.get("ETag", "")).strip('"') != digest.hexdigest():  # aws:kms
            self._check_content(one)

    def _upload_parts(self, files: Sequence[_Upload], part_bytes: int, transfer: Transfer) -> None:
        """Upload large files, several parts at once, and verify each by its entity tag."""
        import boto3.s3.transfer as transfers

        progress: Any = [transfers.ProgressCallbackInvoker(transfer.add)]
        by_key = {one.key: one for one in files}
        system: Any = transfers.OSUtils()  # type: ignore[attr-defined]
        # The names of the files that it opens are their keys.
        system.get_file_size = lambda key: by_key[key].size
        system.open = lambda key, mode: open_content(by_key[key].content)
        config = transfers.TransferConfig(
            multipart_threshold=PART_BYTES + 1,
            multipart_chunksize=part_bytes,
            max_concurrency=CONCURRENCY,
            preferred_transfer_client="classic",
        )
        try:
            # Leaving the block waits for the transfers, or after an error cancels them.
            with (
                self._translated(),
                transfers.create_transfer_manager(self._client(), config, system) as manager,
            ):
                futures = [
                    manager.upload(
                        one.key, self.name, one.key, subscribers=progress,
                        extra_args={**object_headers(one.key), **self._storage()},
                    )
                    for one in files
                ]  # fmt: skip
                _wait_for(futures, transfer)
            for one in files:
                tag = self._digests.tag(one.key)
                with self._translated():
                    stored = self._client().head_object(Bucket=self.name, Key=one.key)
                if (stored["ContentLength"], stored["ETag"].strip('"')) != (one.size, tag):
                    self._check_content(one)
        finally:
            for one in files:
                self._digests.forget(one.key)

    def copy(self, pairs: Sequence[tuple[StoredObject, str]], transfer: Transfer) -> None:
        """Copy objects inside the bucket, several at once, with their headers."""

        def copy(pair: tuple[StoredObject, str]) -> None:
            source, target = pair
            if transfer.stop.is_set():
                raise BucketFault("Stopped", "")
            with self._translated():
                self._copy_one(source, target)
            transfer.add(source.size)

        self._in_parallel(copy, pairs)

    def _copy_one(self, source: StoredObject, target: str) -> None:
        client: Any = self._client()
        origin = {"Bucket": self.name, "Key": source.key}
        if source.size <= _MAX_COPY:
            client.copy_object(
                Bucket=self.name, Key=target, CopySource=origin, **self._storage()
            )  # fmt: skip
        else:
            headers = {**object_headers(target), **self._storage()}
            client.copy(origin, self.name, target, ExtraArgs=headers)

    def download(self, pairs: Sequence[tuple[StoredObject, Path]], transfer: Transfer) -> None:
        """Download objects into new files, several at once, and verify their sizes and checksums.

        Raises OSError: a file cannot be written.
        """

        def fetch(pair: tuple[StoredObject, Path]) -> None:
            source, path = pair
            with self._translated():
                answer = self._client().get_object(Bucket=self.name, Key=source.key)
                with closing(answer["Body"]) as body, path.open("wb") as file:
                    while chunk := body.read(_CHUNK_BYTES):
                        if transfer.stop.is_set():
                            raise BucketFault("Stopped", "")
                        file.write(chunk)
                        transfer.add(len(chunk))
            if not self.matches(source, path):
                raise BucketFault("ChecksumMismatch", f"{source.key} was changed on its way")

        self._in_parallel(fetch, pairs)

    def matches(self, stored: StoredObject, path: Path) -> bool:
        """Return whether an object and a file are equal: their sizes, and MD5 digests.

        Where the entity tag is not made of MD5 digests (aws:kms, parts of another size), the object
        is read. Raises OSError.
        """
        if path.stat().st_size != stored.size:
            return False
        if stored.tag == expected_tag(path, stored.size, stored.tag):
            return True
        return self._has_content(stored.key, path)

    def _check_content(self, one: _Upload) -> None:
        """Read an object that was stored just now. Raises BucketFault: it is not the file."""
        if not self._has_content(one.key, one.content):
            raise BucketFault("ChecksumMismatch", f"{one.key} was not stored as it is")

    def _has_content(self, key: str, content: Content) -> bool:
        digest = hashlib.sha256()
        with (
            self._translated(),
            closing(self._client().get_object(Bucket=self.name, Key=key)["Body"]) as body,
        ):
            while chunk := body.read(_CHUNK_BYTES):
                digest.update(chunk)
        with open_content(content) as file:
            return hashlib.file_digest(file, "sha256").digest() == digest.digest()

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored."""
        names = list(keys)
        for start in range(0, len(names), _DELETED_AT_ONCE):
            chunk = names[start : start + _DELETED_AT_ONCE]
            with self._translated():
                answer = self._client().delete_objects(
                    Bucket=self.name,
                    Delete={"Objects": [{"Key": key} for key in chunk], "Quiet": True},
                )
                for error in answer.get("Errors", []):
                    if error.get("Code") not in MISSING:
                        code = error.get("Code", "other")
                        self._count(code)
                        raise BucketFault(code, error.get("Message", ""))

    def abort_uploads(self, prefix: str, keys: Iterable[str]) -> None:
        """Abort the unfinished uploads of these keys, which begin with `prefix`."""
        wanted = frozenset(keys)
        with self._translated():
            pages = self._client().get_paginator("list_multipart_uploads").paginate(
                Bucket=self.name, Prefix=prefix
            )  # fmt: skip
            uploads = [one for page in pages for one in page.get("Uploads", [])]
            for one in uploads:
                if one["Key"] in wanted:
                    # The list may be older: another appliance may have aborted it since.
                    with self._translated(missing_ok=True):
                        self._client().abort_multipart_upload(
                            Bucket=self.name, Key=one["Key"], UploadId=one["UploadId"]
                        )

    # --- the rest ----------------------------------------------------------------------------

    def call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        """Call an operation on the bucket that doctor needs."""
        with self._translated():
            client: Any = self._client(playing=True)
            answer: Mapping[str, Any] = getattr(client, operation)(Bucket=self.name, **arguments)
        return answer

    def _in_parallel(self, work: Callable[[Any], None], items: Sequence[Any]) -> None:
        with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="s3") as pool:
            for _ in pool.map(work, items):  # after an error it begins no other
                pass

    def _storage(self) -> dict[str, str]:
        """Return the arguments of an upload or copy that the settings ask for."""
        settings, arguments = self.settings, dict[str, str]()
        if settings.sse is not None:
            kind, _, key = settings.sse.partition(":kms:")
            arguments["ServerSideEncryption"] = f"{kind}:kms" if key else kind
            if key:
                arguments["SSEKMSKeyId"] = key
        if settings.storage_class is not None:
            arguments["StorageClass"] = settings.storage_class
        return arguments

    def _client(self, *, playing: bool = False) -> S3Client:
        """Return the client for viewers, which fails soon, or the one for everything else."""
        with self._lock:
            client = self._clients.get(playing)
            if client is None:
                client = open_client(self.settings, playing=playing)
                add: Any = self._digests.add
                client.meta.events.register("before-parameter-build.s3.UploadPart", add)
                self._clients[playing] = client
            return client

    def _translated(self, *, missing_ok: bool = False) -> AbstractContextManager[bool | None]:
        return translated(self._count, missing_ok=missing_ok)


def _wait_for(futures: Sequence[Any], transfer: Transfer) -> None:
    """Wait for transfers; raise the error of the first that failed, or stop."""
    for future in futures:
        while not future.done():
            if transfer.stop.wait(_POLL_S):
                raise BucketFault("Stopped", "")
        future.result()
