"""Measures imports into a bucket against boto3's own upload, and the first byte of a proxied file.

Against moto's server on this machine, which takes most of the time in both cases. Arguments: number
of files, total size in MB, size of one large file in MB.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from appliance.recordings.bucket import CONCURRENCY, Bucket  # noqa: E402
from appliance.recordings.object_keys import ObjectKeys  # noqa: E402
from appliance.recordings.objects import RecordingObjects  # noqa: E402
from appliance.recordings.storage import Transfer  # noqa: E402
from tests.doubles.s3 import S3Server, s3_settings, serve_s3  # noqa: E402


def write_files(root: Path, count: int, size: int) -> Path:
    """Write files of equal sizes."""
    folder = root / "recording"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.png").write_bytes(os.urandom(size // count))
    return folder


def upload_raw(server: S3Server, folder: Path) -> float:
    """Upload with boto3 alone, as many files at once as an import; return the seconds."""
    bucket, client = server.make_bucket(), server.client
    began_s = time.monotonic()
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        for _ in pool.map(
            lambda path: client.upload_file(str(path), bucket, path.name), list(folder.iterdir())
        ):
            pass
    return time.monotonic() - began_s


def open_objects(server: S3Server) -> RecordingObjects:
    """Return the objects of a new bucket."""
    return RecordingObjects(Bucket(s3_settings(server.url, server.make_bucket())), ObjectKeys(""))


def import_files(server: S3Server, folder: Path) -> float:
    """Upload and verify as an import does; return the seconds."""
    objects = open_objects(server)
    objects.check()  # makes the client
    began_s = time.monotonic()
    names: tuple[Any, ...] = (str(folder), "r1", "presentation")
    objects.new_objects(*names, published=True)
    staged = objects.stage(*names, published=True, transfer=Transfer())
    objects.place(staged, "r1", "presentation", published=True)
    return time.monotonic() - began_s


def first_byte(server: S3Server) -> float:
    """Return the milliseconds to the first byte of an object that is streamed."""
    objects = open_objects(server)
    objects.bucket.put("a.xml", b"x" * 100_000)
    times = []
    for _ in range(50):
        began_s = time.monotonic()
        answer = objects.bucket.open("a.xml")
        assert answer is not None
        objects.bucket.read_body(answer["Body"], 1)
        times.append(time.monotonic() - began_s)
        answer["Body"].close()
    return sorted(times)[len(times) // 2] * 1000


def main(count: int, megabytes: int, large: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as directory, serve_s3() as server:
        root = Path(directory)
        folder = write_files(root, count, megabytes << 20)
        pairs = [(upload_raw(server, folder), import_files(server, folder)) for _ in range(2)]
        raw_s, own_s = min(raw for raw, _ in pairs), min(own for _, own in pairs)
        print(f"{count} files, {megabytes} MB: boto3 {raw_s:.1f} s, import {own_s:.1f} s")
        print(f"speed against boto3: {raw_s / own_s:.2f}")
        print(f"first byte: {first_byte(server):.1f} ms")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        big = root / "big"
        big.mkdir()
        with (big / "video.webm").open("wb") as file:
            for _ in range(large):
                file.write(os.urandom(1 << 20))
        took_s = import_files(server, big)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"{large} MB in one file: {took_s:.1f} s, memory grew by {grown / 1024:.0f} MB")


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] or ["500", "200", "500"])))
