"""Imports into a bucket against boto3's own upload, API latency beside them, and memory.

    python benchmarks/object_storage.py [--server moto|sink] [--rounds 3] [--calls] [--large-gb 20]
        [--line MB_PER_SECOND]

Runs the appliance on embedded stores in a process of its own. Speed: tars are imported (unpacked,
uploaded, verified, rows written) and, in turn, the same files are uploaded by `upload_file` of
boto3 in as many threads. `sink` throws away what it gets, so that the client's time shows, and runs
when nothing else wants the processors, as a store on another machine takes none of them; moto takes
most of the time itself. APPLIANCE_TEST_S3 names a server of its own (tools/swift_s3.py).
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a script: tests are found from the root
    sys.path[0] = str(ROOT)

from appliance.recordings.objects.bucket import CONCURRENCY, Bucket  # noqa: E402
from benchmarks.process_figures import cpu_s, descendants, peak_mb  # noqa: E402
from benchmarks.recording_flow import measure_calls_beside  # noqa: E402
from benchmarks.s3_sink import serve_sink  # noqa: E402
from tests.doubles.appliance_process import ApplianceProcess, wait_for  # noqa: E402
from tests.doubles.ports import free_port  # noqa: E402
from tests.doubles.recording_tars import metadata_xml  # noqa: E402
from tests.doubles.s3 import S3Server, s3_settings, s3_variables, serve_s3  # noqa: E402

CASES = ((5000, 50), (200, 20), (1, 200))
"""Number of files and their size together, in MB."""
IMPORT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds that an upload took, and CPU seconds of the process that uploaded."""

    seconds: float
    cpu_s: float


def write_files(root: Path, count: int, size: int) -> Path:
    """Write files of equal sizes, of bytes that differ."""
    folder = root / "files"
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(os.urandom(size // count))
    return folder


def write_tar(path: Path, record_id: str, folder: Path) -> None:
    """Write the tar of a recording with these files."""
    root = f"presentation/{record_id}"
    with tarfile.open(path, "w") as archive:
        archive.add(folder, root)
        content = metadata_xml(record_id).encode()
        head = tarfile.TarInfo(f"{root}/metadata.xml")
        head.size = len(content)
        archive.addfile(head, io.BytesIO(content))


def write_large_tar(path: Path, record_id: str, size: int) -> None:
    """Write the tar of a recording with one file of zeros, which takes no space on the disk."""
    root = f"presentation/{record_id}"
    content = metadata_xml(record_id).encode()
    with path.open("wb") as file:
        for name, length, data in (("metadata.xml", len(content), content), ("v.webm", size, b"")):
            head = tarfile.TarInfo(f"{root}/{name}")
            head.size = length
            file.write(head.tobuf(tarfile.GNU_FORMAT))
            file.write(data)
            file.seek(-(-(file.tell() + length - len(data)) // 512) * 512)
        file.truncate(file.tell() + 1024)


def upload_raw(server: S3Server, bucket: str, folder: Path) -> Took:
    """Upload with boto3 alone, as many files at once as an import."""
    from boto3.s3.transfer import TransferConfig

    client = server.client
    config = TransferConfig(max_concurrency=CONCURRENCY, multipart_threshold=16 << 20)
    began_s, cpu_began_s = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        for _ in pool.map(
            lambda path: client.upload_file(str(path), bucket, path.name, Config=config),
            list(folder.iterdir()),
        ):
            pass
    return Took(time.monotonic() - began_s, time.process_time() - cpu_began_s)


def deliver(appliance: ApplianceProcess, tar: Path) -> None:
    """Move a tar into the spool."""
    wait_for(appliance.spool.is_dir, 20, "the spool")
    tar.rename(appliance.spool / tar.name)


def worker_of(appliance: ApplianceProcess) -> list[int]:
    """Return the process that works on objects, if there is one."""
    assert appliance.pid is not None
    name = b"appliance.recordings.objects.worker"
    return [
        pid
        for pid in descendants(appliance.pid)
        if name in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]


def _cpu_s(appliance: ApplianceProcess) -> float:
    assert appliance.pid is not None
    return sum(cpu_s(pid) for pid in (appliance.pid, *worker_of(appliance)))


def import_tar(appliance: ApplianceProcess, tar: Path, record_id: str) -> Took:
    """Import a tar, from its arrival until its rows are written."""
    began_s, cpu_began_s = time.monotonic(), _cpu_s(appliance)
    deliver(appliance, tar)
    appliance.wait_event("recording_imported", IMPORT_S, recordings=[record_id])
    return Took(time.monotonic() - began_s, _cpu_s(appliance) - cpu_began_s)


@contextmanager
def open_appliance(root: Path, server: S3Server, bucket: str) -> Iterator[ApplianceProcess]:
    """Run an appliance that stores recordings in a bucket."""
    variables = s3_variables(server.url, bucket, LOG_LEVEL="info", RECORDING_MAX_BYTES="1T")
    process = ApplianceProcess(root, **variables)
    process.own_session = False  # like the load generator and the store
    with process as appliance:
        appliance.wait_event("database_ready", 60)
        yield appliance


def measure_speed(server: S3Server, root: Path, count: int, megabytes: int, rounds: int) -> None:
    """Upload and import in turn, and print the ratio of the fastest ones."""
    folder = write_files(root, count, megabytes * 1_000_000)
    bucket = server.make_bucket()
    raw, own = list[Took](), list[Took]()
    with open_appliance(root, server, bucket) as appliance:
        for number in range(rounds + 1):  # the first import loads boto3 and is not counted
            record_id = f"r{number}"
            tar = root / f"{record_id}.tar"
            write_tar(tar, record_id, folder)
            raw.append(upload_raw(server, bucket, folder))
            _empty(server, bucket)  # as moto's server has to get its memory otherwise
            own.append(import_tar(appliance, tar, record_id))
            _empty(server, bucket)
    raw_s, own_s = (min(one.seconds for one in found[1:]) for found in (raw, own))
    ratios = [one.seconds / other.seconds for one, other in zip(raw[1:], own[1:], strict=True)]
    cpu = [statistics.median(one.cpu_s for one in found[1:]) for found in (raw, own)]
    print(
        f"{count} files, {megabytes} MB: boto3 {raw_s:.2f} s ({cpu[0]:.2f} s CPU), import "
        f"{own_s:.2f} s ({cpu[1]:.2f} s CPU); speed against boto3 {raw_s / own_s:.2f}, median "
        f"{statistics.median(ratios):.2f} of {rounds}",
        flush=True,
    )


def _empty(server: S3Server, bucket: str) -> None:
    keys = sorted(server.keys(bucket))
    for start in range(0, len(keys), 1000):
        objects = [{"Key": key} for key in keys[start : start + 1000]]
        server.client.delete_objects(Bucket=bucket, Delete={"Objects": objects})


def measure_first_byte(server: S3Server) -> None:
    """Print the milliseconds to the first byte of an object that is streamed."""
    bucket = Bucket(s3_settings(server.url, server.make_bucket()))
    bucket.put("a.xml", b"x" * 100_000)
    times = []
    for _ in range(50):
        began_s = time.monotonic()
        answer = bucket.open("a.xml")
        assert answer is not None
        bucket.read_body(answer["Body"], 1)
        times.append(time.monotonic() - began_s)
        answer["Body"].close()
    print(f"first byte of a proxied file: {statistics.median(times) * 1000:.1f} ms")


def measure_memory(server: S3Server, root: Path, gigabytes: float) -> None:
    """Import one large file, and print the peak of the appliance's memory."""
    with open_appliance(root, server, server.make_bucket()) as appliance:
        small = root / "small.tar"
        write_large_tar(small, "small", 1_000_000)
        import_tar(appliance, small, "small")  # loads boto3
        pids = appliance.pid, worker_of(appliance)[0]
        before = [peak_mb(pid) for pid in pids]
        tar = root / "large.tar"
        write_large_tar(tar, "large", int(gigabytes * 1e9))
        took = import_tar(appliance, tar, "large")
        print(
            f"{gigabytes:g} GB in one file: {took.seconds:.1f} s, {took.cpu_s:.1f} s CPU; peak of "
            f"memory {before[0]:.0f} MB -> {peak_mb(pids[0]):.0f} MB, of the process that uploads "
            f"{before[1]:.0f} MB -> {peak_mb(pids[1]):.0f} MB",
            flush=True,
        )


def measure_calls(server: S3Server, root: Path, count: int, megabytes: int, rounds: int) -> None:
    """Print the latency of API calls before and while files are uploaded, in turn."""
    folder = write_files(root, count, megabytes * 1_000_000)
    with open_appliance(root, server, server.make_bucket()) as appliance:
        small = root / "small.tar"
        write_large_tar(small, "small", 1_000_000)
        import_tar(appliance, small, "small")

        tars = [root / f"r{number}.tar" for number in range(rounds)]
        for tar in tars:
            write_tar(tar, tar.stem, folder)
        begins = [partial(deliver, appliance, tar) for tar in tars]
        found = measure_calls_beside(appliance, begins)
        print(
            f"API calls beside uploads of {count} files, {megabytes} MB each: p50 "
            f"{found.quiet_p50_ms:.2f} -> {found.busy_p50_ms:.2f} ms, p99 {found.quiet_p99_ms:.2f} "
            f"-> {found.busy_p99_ms:.2f} ms (median of {rounds} turns {found.p99_ratio:.2f} x), "
            f"{found.errors} errors, CPU of the appliance {found.quiet_busy:.2f} -> "
            f"{found.busy_busy:.2f} cores",
            flush=True,
        )


@contextmanager
def open_server(name: str, megabytes_s: float = 0.0) -> Iterator[S3Server]:
    """Run moto's server, or the sink as at the end of a line of so many megabytes a second."""
    if name == "moto":
        with serve_s3() as server:
            yield server
    else:
        with serve_sink(free_port(), megabytes_s) as url:
            yield S3Server(url)


def main(arguments: Sequence[str]) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--server", choices=("moto", "sink"), default="moto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", action="append", default=[], metavar="FILES,MB")
    parser.add_argument("--calls", action="store_true", help="only API calls beside uploads")
    parser.add_argument("--large-gb", type=float, help="only memory, with one large file")
    about = "with the sink: as at the end of a line of so many megabytes a second"
    parser.add_argument("--line", type=float, default=0.0, metavar="MB", help=about)
    options: Any = parser.parse_args(arguments)
    cases = [tuple(map(int, one.split(","))) for one in options.case] or CASES
    with (
        tempfile.TemporaryDirectory(prefix="sl-bench-") as name,
        open_server(options.server, options.line) as s3,
    ):
        root = Path(name)
        if options.large_gb is not None:
            measure_memory(s3, root, options.large_gb)
        elif options.calls:
            count, megabytes = cases[0] if options.case else (2000, 200)
            measure_calls(s3, root, count, megabytes, options.rounds)
        else:
            for number, (count, megabytes) in enumerate(cases):
                below = root / str(number)
                below.mkdir()
                measure_speed(s3, below, count, megabytes, options.rounds)
            if options.server == "moto":
                measure_first_byte(s3)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
