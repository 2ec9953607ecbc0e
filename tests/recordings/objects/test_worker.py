"""The process that works on objects: it can be killed at any moment, and never stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from appliance.recordings.imports.model import BrokenTar
from appliance.recordings.imports.spool import Spool, unpack_for_bucket
from appliance.recordings.objects.bucket_client import BucketFault
from appliance.recordings.objects.worker import ObjectWorker
from appliance.recordings.storage import Transfer
from tests.doubles.appliance_process import wait_for
from tests.doubles.features import EventBook
from tests.doubles.import_tools import ImportBench, open_import_bench, recording_settings
from tests.doubles.object_driver import MAX_STEPS, bench_journal, change, move
from tests.doubles.recording_tars import recording_tar
from tests.doubles.s3 import KEY, S3Server, open_objects
from tests.doubles.s3_proxy import faulty_proxy
from tests.doubles.worker_jobs import answer_not_read, answer_not_sent

ROOT = Path(__file__).resolve().parents[3]
FILES = {"video": {"video.webm": b"v" * 5000}}
KEYS = {"video/r1/video.webm", "video/r1/metadata.xml"}
_HOLDER = """
import os, sys
from tests.doubles.features import EventBook
from tests.doubles.s3 import open_objects
from appliance.recordings.objects.worker import ObjectWorker
worker = ObjectWorker(EventBook())
open_objects(sys.argv[1], sys.argv[2], worker).reach()
print(worker.pid, flush=True)
sys.stdin.read()
"""


def open_worker(book: EventBook, **options: Any) -> ObjectWorker:
    return ObjectWorker(cast(Any, book), **options)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Killed:
    """An import bench whose worker is killed after a step."""

    def __init__(self, bench: ImportBench, worker: ObjectWorker, counter: Path) -> None:
        self.bench = bench
        self.worker = worker
        self._counter = counter

    async def at_every_step(self, work: Any) -> int:
        """Call `work` until the step to kill at is beyond its end; return the number of kills."""
        for step in range(1, MAX_STEPS):
            self._counter.write_text(str(step))
            await work()
            if self._counter.read_text():
                self._counter.write_text("")
                return step - 1
        raise AssertionError("there are more steps than MAX_STEPS")

    async def put(self) -> None:
        """Import a recording."""
        tar = recording_tar(self.bench.root, "r1", FILES, metadata={"a": "1"})
        tar.rename(self.bench.root / "spool" / tar.name)
        assert await self.bench.run(tar.name) is None

    async def to(self, place: str) -> None:
        """Move the recording."""
        files, journal = self.bench.files, bench_journal(self.bench)
        await move(self.bench, files, "r1", journal, to_bucket=place == "s3")


@asynccontextmanager
async def open_killed(
    database_url: str, root: Path, s3: S3Server, bucket: str
) -> AsyncIterator[tuple[Killed, EventBook]]:
    counter, book = root / "counter", EventBook()
    counter.write_text("")
    command = [sys.executable, "-m", "tests.doubles.deadly_worker", str(counter)]
    worker = open_worker(book, command=command)
    objects = open_objects(s3.url, bucket, worker)
    async with open_import_bench(database_url, root, objects=objects) as bench:
        yield Killed(bench, worker, counter), book
    worker.close()


async def test_kill_at_every_step_of_import_move_and_deletion_is_not_noticed(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    bucket = s3.make_bucket()
    async with open_killed(database_url, tmp_path, s3, bucket) as (killed, book):
        bench = killed.bench
        assert bench.work is not None

        kills = await killed.at_every_step(killed.put)
        assert s3.keys(bucket) == {f"published/{name}" for name in KEYS}
        await killed.to("disk")
        kills += await killed.at_every_step(partial(killed.to, "s3"))
        assert (s3.keys(bucket), bench.tree()) == ({f"published/{name}" for name in KEYS}, set())
        kills += await killed.at_every_step(partial(killed.to, "disk"))
        assert (s3.keys(bucket), bench.tree()) == (set(), {f"published/{name}" for name in KEYS})
        await killed.to("s3")
        await change(bench, "r1", "delete")
        kills += await killed.at_every_step(bench.work.work_once)

        assert s3.keys(bucket) == set()
        assert await bench.database.fetch("SELECT 1 FROM appliance.object_uploads") == []
        assert await bench.database.fetch("SELECT 1 FROM appliance.object_work") == []
        assert kills >= 6
        assert [one["status"] for one in book.named("object_worker_ended")] == [-9] * kills
        assert bench.log.errors == []


def test_job_whose_process_dies_each_time_is_a_fault_of_the_bucket(
    s3: S3Server, tmp_path: Path
) -> None:
    book = EventBook()
    worker = open_worker(book, command=["/bin/false"])
    with pytest.raises(BucketFault) as fault:
        open_objects(s3.url, s3.make_bucket(), worker).reach()
    assert fault.value.code == "WorkerKilled"
    assert len(book.named("object_worker_ended")) == 3


def test_process_ends_when_it_is_idle_and_starts_again(s3: S3Server) -> None:
    book = EventBook()
    worker = open_worker(book, idle_s=0.1)
    objects = open_objects(s3.url, s3.make_bucket(), worker)
    objects.reach()
    first = worker.pid
    wait_for(lambda: worker.pid is None and not is_running(first or 0), 20, "it ends")
    objects.reach()
    assert worker.pid != first
    worker.close()
    assert book.events == []


def test_process_ends_with_the_one_that_started_it_and_has_no_secret_in_its_command(
    s3: S3Server,
) -> None:
    command = [sys.executable, "-c", _HOLDER, s3.url, s3.make_bucket()]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        assert KEY not in Path(f"/proc/{pid}/cmdline").read_text()
        os.kill(pid, signal.SIGTERM)  # ignored: systemd sends it to all processes of the service
        assert os.sched_getscheduler(pid) == os.SCHED_IDLE
        # Priorities only count inside a session; of a group of its own, Ctrl-C does not reach it.
        assert (os.getsid(pid), os.getpgid(pid)) == (os.getsid(holder.pid), pid)
        holder.kill()
        wait_for(lambda: not is_running(pid), 20, "it ends")


def test_errors_faults_progress_and_stop_come_through(s3: S3Server, tmp_path: Path) -> None:
    counted: list[str] = []
    worker = open_worker(EventBook(), count=counted.append)
    with pytest.raises(BucketFault) as fault:
        open_objects(s3.url, "no-such-bucket", worker).reach()
    assert (fault.value.code, counted) == ("NoSuchBucket", ["NoSuchBucket"])
    assert str(fault.value.strerror).startswith("S3 NoSuchBucket: ")
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a\nb").write_bytes(b"x")
    with faulty_proxy(s3.url) as proxy:
        objects = open_objects(proxy.url, s3.make_bucket(), worker)
        with pytest.raises(BrokenTar, match="cannot be that of an object"):
            objects.stage(str(folder), "r1", "video", published=True, transfer=Transfer())
        (folder / "a\nb").rename(folder / "small.webm")
        (folder / "large.webm").write_bytes(b"x" * 40_000_000)
        proxy.fault, transfer = "slow", Transfer()
        timer = threading.Thread(target=_stop_when_begun, args=[transfer])
        timer.start()
        with pytest.raises(BucketFault) as fault:
            objects.stage(str(folder), "r1", "video", published=True, transfer=transfer)
        assert fault.value.code == "Stopped"
        assert (transfer.total_bytes, transfer.done_bytes < 40_000_001) == (40_000_001, True)
    worker.close()


def _stop_when_begun(transfer: Transfer) -> None:
    wait_for(lambda: transfer.done_bytes > 0, 20, "the upload has begun")
    transfer.stop.set()


async def test_worker_killed_in_the_middle_of_an_upload_is_replaced(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    book, bucket = EventBook(), s3.make_bucket()
    worker = open_worker(book)
    with faulty_proxy(s3.url) as proxy:
        objects = open_objects(proxy.url, bucket, worker)
        async with open_import_bench(database_url, tmp_path, objects=objects) as bench:
            files = {"video": {f"{n}.png": b"p" * 300_000 for n in range(12)}}
            tar = recording_tar(tmp_path, "r1", files)
            tar.rename(tmp_path / "spool" / tar.name)
            proxy.fault = "slow"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bench.run, tar.name)
                with trio.fail_after(30):
                    while not s3.keys(bucket):
                        await trio.sleep(0.05)
                os.kill(worker.pid or 0, signal.SIGKILL)
                proxy.fault = ""
            assert len(s3.keys(bucket)) == 13
            rows = await bench.database.fetch("SELECT state, attempts FROM appliance.imports")
            assert [tuple(row) for row in rows] == [("done", 1)]
    assert book.named("object_worker_ended") == [{"status": -9, "jobs": 1}]
    worker.close()


def test_tar_is_unpacked_again_after_a_kill_and_its_errors_come_through(tmp_path: Path) -> None:
    worker = open_worker(EventBook())
    spool = Spool(recording_settings(tmp_path), worker=worker)
    spool.make()
    tar = recording_tar(tmp_path, "r1", FILES)
    tar.rename(spool.directory / tar.name)
    found = spool.look(tar.name)
    assert found is not None
    half = spool.make_work("half")
    (half / "video").mkdir()
    (half / "video" / "left.webm").write_bytes(b"of a process that was killed")
    path = spool.directory / tar.name
    worker.call(unpack_for_bucket, path, half, spool.limits, stop=lambda: False)
    (unpacked,) = spool.unpack(found, "whole", lambda: False)
    names = sorted(one.name for one in (half / "video/r1").iterdir())
    assert names == ["metadata.xml", "video.webm"]
    assert not (half / "video" / "left.webm").exists()
    assert unpacked.format == "video"
    path.write_bytes(b"no tar" * 200)
    with pytest.raises(BrokenTar):
        spool.unpack(found, "broken", lambda: False)
    worker.close()


@pytest.mark.parametrize(
    ("job", "raised", "text"),
    [
        (answer_not_sent, RuntimeError, "cannot pickle"),
        (answer_not_read, BucketFault, "WorkerKilled"),
    ],
)
async def test_job_whose_result_cannot_be_passed_on_fails(
    job: Callable[..., object], raised: type[Exception], text: str
) -> None:
    book = EventBook()
    worker = open_worker(book)
    call = partial(worker.call, job, stop=lambda: False)
    with pytest.raises(raised) as error, trio.fail_after(60):
        await trio.to_thread.run_sync(call, abandon_on_cancel=True)
    worker.close()
    assert text in str(error.value)
    assert len(book.named("object_worker_broke")) == (3 if raised is BucketFault else 0)
