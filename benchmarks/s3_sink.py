"""An S3 server that throws away what it is sent, and remembers keys, sizes and MD5 digests only.

    python benchmarks/s3_sink.py PORT [MB_PER_SECOND]

As fast as a server in Python can be, so that the client's own time shows; moto keeps everything in
memory. Objects cannot be read. It stands for another machine, so it only gets the time that nothing
else of its session wants. Source: Amazon S3 API reference; sched(7), SCHED_IDLE.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

PAGE = 1000
START_S = 20.0
_BUFFER_BYTES = 256 << 10
_MODIFIED = "2026-01-01T00:00:00.000Z"


@dataclass
class Store:
    """What is known about the objects of all buckets; keys begin with that of the bucket."""

    objects: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Size and entity tag."""
    parts: dict[str, dict[int, tuple[int, bytes]]] = field(default_factory=dict)
    """Size and digest of each part, by upload id."""
    received: int = 0
    rate: float = 0.0
    """Bytes a second that are taken from all clients together; 0: as many as there are."""
    taken_until_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count: int) -> None:
        """Wait until bytes have come through the line that `rate` stands for."""
        if self.rate:
            with self.lock:
                now_s = time.monotonic()
                self.taken_until_s = max(now_s, self.taken_until_s) + count / self.rate
                wait_s = self.taken_until_s - now_s
            time.sleep(wait_s)

    def list_keys(self, prefix: str, after: str) -> list[str]:
        """Return a page of keys and one more, if there is one."""
        with self.lock:
            keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        return keys[: PAGE + 1]

    def complete(self, key: str, upload: str) -> str:
        """Make an object of its parts; return its tag."""
        with self.lock:
            parts = self.parts.pop(upload)
        digest = hashlib.md5(usedforsecurity=False)
        for number in sorted(parts):
            digest.update(parts[number][1])
        tag = f"{digest.hexdigest()}-{len(parts)}"
        with self.lock:
            self.objects[key] = sum(size for size, _ in parts.values()), tag
        return tag


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    store: ClassVar[Store]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_PUT(self) -> None:
        """Take an object or a part, or make a bucket."""
        key, query = self._target()
        size, digest = self._digest()
        with self.store.lock:
            self.store.received += size
        if "/" not in key:
            self._answer(200)
        elif "partNumber" in query:
            part = int(query["partNumber"][0])
            self.store.parts[query["uploadId"][0]][part] = size, digest
            self._answer(200, tag=digest.hex())
        else:
            with self.store.lock:
                self.store.objects[key] = size, digest.hex()
            self._answer(200, tag=digest.hex())

    def do_POST(self) -> None:
        """Begin or complete an upload in parts, or delete objects."""
        key, query = self._target()
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if "delete" in query:
            names = [str(one.text) for one in ElementTree.fromstring(body).iter() if _is_key(one)]
            with self.store.lock:
                for name in names:
                    self.store.objects.pop(f"{key}/{name}".replace("//", "/"), None)
            self._answer(200, "<DeleteResult/>")
        elif "uploads" in query:
            upload = f"{time.monotonic_ns():x}"
            self.store.parts[upload] = {}
            self._answer(200, f"<R><Key>k</Key><UploadId>{upload}</UploadId></R>")
        else:
            tag = self.store.complete(key, query["uploadId"][0])
            self._answer(200, f"<R><Key>k</Key><ETag>{tag}</ETag></R>")

    def do_HEAD(self) -> None:
        """Tell size and tag of an object."""
        found = self.store.objects.get(self._target()[0])
        if found is None:
            self._answer(404)
        else:
            self._answer(200, tag=found[1], length=found[0])

    def do_GET(self) -> None:
        """List objects; there are never unfinished uploads, and no object can be read."""
        key, query = self._target()
        if "uploads" in query:
            self._answer(200, "<R><IsTruncated>false</IsTruncated></R>")
        elif "list-type" not in query:
            self._answer(404, "<Error><Code>NoSuchKey</Code></Error>")
        else:
            after = query.get("continuation-token", query.get("start-after", [""]))[0]
            self._list(key.rstrip("/"), query.get("prefix", [""])[0], after)

    def do_DELETE(self) -> None:
        """Delete an object, or forget an upload."""
        key, query = self._target()
        self.store.parts.pop(query.get("uploadId", [""])[0], None)
        with self.store.lock:
            self.store.objects.pop(key, None)
        self._answer(204)

    def _list(self, bucket: str, prefix: str, after: str) -> None:
        keys = self.store.list_keys(f"{bucket}/{prefix}", f"{bucket}/{after}")
        more, keys = len(keys) > PAGE, keys[:PAGE]
        parts = [f"<R><IsTruncated>{str(more).lower()}</IsTruncated>"]
        if more:
            parts.append(
                f"<NextContinuationToken>{escape(_name(keys[-1]))}</NextContinuationToken>"
            )
        for one in keys:
            size, tag = self.store.objects[one]
            parts.append(
                f"<Contents><Key>{escape(_name(one))}</Key><LastModified>{_MODIFIED}"
                f"</LastModified><ETag>{tag}</ETag><Size>{size}</Size></Contents>"
            )
        self._answer(200, "".join([*parts, "</R>"]))

    def _target(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path[1:]), parse_qs(parts.query, keep_blank_values=True)

    def _digest(self) -> tuple[int, bytes]:
        left = size = int(self.headers.get("Content-Length", "0"))
        digest = hashlib.md5(usedforsecurity=False)
        while left and (chunk := self.rfile.read(min(left, _BUFFER_BYTES))):
            digest.update(chunk)
            left -= len(chunk)
            self.store.take(len(chunk))
        return size, digest.digest()

    def _answer(self, status: int, body: str = "", *, tag: str = "", length: int = -1) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(length if length >= 0 else len(content)))
        if tag:
            self.send_header("ETag", f'"{tag}"')
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        """Log nothing."""


def _is_key(element: ElementTree.Element) -> bool:
    return element.tag.rpartition("}")[2] == "Key"


def _name(key: str) -> str:
    return key.partition("/")[2]


@contextmanager
def serve_sink(port: int, megabytes_s: float = 0.0) -> Iterator[str]:
    """Run the server as a process of its own and give its URL."""
    command = [sys.executable, str(Path(__file__)), str(port), str(megabytes_s)]
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command])
    url = f"http://127.0.0.1:{port}"
    try:
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(f"{url}/?uploads", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline_s or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


def main(port: int, megabytes_s: float = 0.0) -> None:
    """Serve until killed."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    Handler.store = Store(rate=megabytes_s * 1e6)
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(float, sys.argv[2:]))
