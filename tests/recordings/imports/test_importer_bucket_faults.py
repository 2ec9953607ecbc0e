"""Imports while the object store fails: they wait, say why, lose nothing and leave nothing.

Between the process that works on objects and a real server is a proxy that answers, cuts or hangs
as told.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from appliance.doctor.bucket_findings import judge_bucket
from appliance.recordings.imports.importer import import_tar
from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.bucket_facts import read_bucket_facts
from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.objects.worker import ObjectWorker
from tests.doubles.import_tools import ImportBench, open_import_bench, storage_of
from tests.doubles.recording_tars import recording_tar
from tests.doubles.s3 import S3Server, open_objects, s3_settings, serve_guarded_s3
from tests.doubles.s3_proxy import FaultyProxy, faulty_proxy

RECOVERY_S = 60.0
FILES = {f"{number}.png": bytes([number]) * 30_000 for number in range(6)}
LARGE = {"video.webm": bytes(range(256)) * 82_000}
"""21 MB: two parts."""


@dataclass
class Store:
    """An importer whose bucket is behind a proxy."""

    bench: ImportBench
    proxy: FaultyProxy
    s3: S3Server
    bucket: str
    worker: ObjectWorker

    async def attempt(self, *, url: str = "") -> float | None:
        """Try to import the tar, due or not, with nothing remembered."""
        await self.bench.database.execute("UPDATE appliance.imports SET next_try_at = now()")
        objects = open_objects(url or self.proxy.url, self.bucket, self.worker)
        files = storage_of(self.bench.settings, objects)
        tools = replace(self.bench.tools, files=files)
        return await import_tar(tools, self.bench.tar("r1.tar"))

    async def row(self) -> dict[str, Any]:
        """Return the row of the import."""
        rows = await self.bench.database.fetch("SELECT * FROM appliance.imports")
        return dict(rows[0])

    async def assert_waits(self, code: str) -> None:
        """Check that the import waits because of `code`, and that nothing is lost."""
        row = await self.row()
        assert (row["state"], row["attempts"], row["wait_reason"]) == ("waiting", 0, code)
        assert code in row["error"]
        assert self.bench.log.named("recording_import_waits")
        assert (self.bench.spool.directory / "r1.tar").exists()
        assert list((self.bench.root / "work").iterdir()) == []
        assert self.bench.tree() == set()

    async def assert_imports(self, files: dict[str, bytes]) -> None:
        """Check that an attempt succeeds without the fault; the bucket has the files only."""
        self.proxy.fault = ""
        with trio.fail_after(RECOVERY_S):
            while await self.attempt() is not None:
                await trio.sleep(0.1)  # a server of a loaded machine may not have answered in time
        await self.assert_imported(files)

    async def assert_imported(self, files: dict[str, bytes]) -> None:
        prefix = "published/presentation/r1/"
        expected = {prefix + name for name in (*files, "metadata.xml")}
        assert self.s3.keys(self.bucket) == expected
        for name, content in files.items():
            answer = self.s3.client.get_object(Bucket=self.bucket, Key=prefix + name)
            assert answer["Body"].read() == content
        uploads = self.s3.client.list_multipart_uploads(Bucket=self.bucket)
        assert uploads.get("Uploads", []) == []
        assert not (self.bench.spool.directory / "r1.tar").exists()
        assert (await self.row())["state"] == "done"


@asynccontextmanager
async def open_store(
    database_url: str,
    root: Path,
    s3: S3Server,
    worker: ObjectWorker,
    files: dict[str, bytes],
    bucket: str = "",
) -> AsyncIterator[Store]:
    """Open an importer with a tar in its spool."""
    bucket = bucket or s3.make_bucket()
    with faulty_proxy(s3.url) as proxy:
        objects = open_objects(proxy.url, bucket, worker)
        async with open_import_bench(database_url, root, objects=objects) as bench:
            tar = recording_tar(root, "r1", {"presentation": files})
            tar.rename(root / "spool" / tar.name)
            yield Store(bench, proxy, s3, bucket, worker)


def advice_of(store: Store) -> str:
    """Return what doctor advises."""
    facts = read_bucket_facts(open_objects(store.proxy.url, store.bucket), time.time)
    found = [one for one in judge_bucket(facts) if one.level == "fail"]
    assert len(found) == 1
    return found[0].advice or ""


ANSWERS = {
    "500 InternalError": "overloaded or has a fault",
    "503 SlowDown": "overloaded or has a fault",
    "403 InvalidAccessKeyId": "AWS_ACCESS_KEY_ID",
    "403 SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY",
    "400 ExpiredToken": "AWS_SESSION_TOKEN",
    "403 AccessDenied": "the rights that docs/object-storage.md lists",
    "403 RequestTimeTooSkewed": "NTP",
    "PUT 403 AccessDenied": "the rights that docs/object-storage.md lists",
    "PUT 403 QuotaExceeded": "make room",
    "PUT 507 InsufficientStorage": "make room",
}
"""What doctor advises."""


async def test_import_waits_through_every_refusal_and_doctor_knows_what_to_do(
    database_url: str, tmp_path: Path, s3: S3Server, object_worker: ObjectWorker
) -> None:
    async with open_store(database_url, tmp_path, s3, object_worker, FILES) as store:
        for fault, advice in ANSWERS.items():
            store.proxy.fault = fault
            assert await store.attempt() is not None, fault
            await store.assert_waits(fault.rpartition(" ")[2])
            assert advice in await trio.to_thread.run_sync(advice_of, store), fault
        await store.assert_imports(FILES)


async def test_import_waits_for_a_bucket_that_is_gone(
    database_url: str, tmp_path: Path, s3: S3Server, object_worker: ObjectWorker
) -> None:
    async with open_store(
        database_url, tmp_path, s3, object_worker, FILES, bucket="b-gone-for-now"
    ) as store:
        assert await store.attempt() is not None
        await store.assert_waits("NoSuchBucket")
        assert "create it" in await trio.to_thread.run_sync(advice_of, store)
        s3.client.create_bucket(Bucket=store.bucket)
        await store.assert_imports(FILES)


async def test_import_waits_for_a_store_that_is_away(
    database_url: str, tmp_path: Path, s3: S3Server, object_worker: ObjectWorker
) -> None:
    async with open_store(database_url, tmp_path, s3, object_worker, FILES) as store:
        assert await store.attempt(url="http://127.0.0.1:9") is not None
        await store.assert_waits("ConnectionFailed")
        await store.assert_imports(FILES)


async def test_import_waits_for_a_store_that_hangs(
    database_url: str, tmp_path: Path, s3: S3Server, object_worker: ObjectWorker
) -> None:
    async with open_store(database_url, tmp_path, s3, object_worker, FILES) as store:
        store.proxy.fault = "hang"
        assert await store.attempt() is not None
        await store.assert_waits("Timeout")
        await store.assert_imports(FILES)


async def test_connection_that_is_cut_in_a_part_leaves_nothing(
    database_url: str, tmp_path: Path, s3: S3Server, object_worker: ObjectWorker
) -> None:
    async with open_store(database_url, tmp_path, s3, object_worker, FILES | LARGE) as store:
        store.proxy.fault = "cut"
        assert await store.attempt() is not None
        assert store.proxy.requests >= 3
        await store.assert_waits("ConnectionFailed")
        await store.assert_imports(FILES | LARGE)


async def test_import_goes_through_a_storm_of_refusals(
    database_url: str, tmp_path: Path, s3: S3Server, object_worker: ObjectWorker
) -> None:
    async with open_store(database_url, tmp_path, s3, object_worker, FILES) as store:
        store.proxy.fault = "storm"
        with trio.fail_after(RECOVERY_S):
            while await store.attempt() is not None:
                await store.assert_waits("SlowDown")
        assert store.proxy.requests > 6
        await store.assert_imported(FILES)


async def test_slow_store_needs_no_second_attempt_and_progress_is_seen(
    database_url: str, tmp_path: Path, s3: S3Server, object_worker: ObjectWorker
) -> None:
    files = {"soon.png": b"s" * 300_000, "late.png": b"l" * 3_000_000}
    async with open_store(database_url, tmp_path, s3, object_worker, files) as store:
        store.proxy.fault = "slow"
        assert await store.attempt() is None
        assert (await store.row())["upload_bytes"] == 3_300_000
        await store.assert_imported(files)


async def test_clock_that_is_wrong_is_found_by_doctor(s3: S3Server) -> None:
    objects = open_objects(s3.url, s3.make_bucket())
    facts = read_bucket_facts(objects, lambda: time.time() + 3600)
    assert facts.skew_s is not None
    assert facts.skew_s < -3500
    found = {one.check: one.level for one in judge_bucket(facts)}
    assert found["clock of the object store"] == "fail"


DOCUMENTED = (
    *("s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetObject", "s3:PutObject"),
    *("s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
)
"""The actions that docs/object-storage.md says a policy has to allow."""
KEYS: dict[str, tuple[str, str]] = {
    "stranger": ("InvalidAccessKeyId", "correct AWS_ACCESS_KEY_ID"),
    "wrong-secret": ("SignatureDoesNotMatch", "correct AWS_SECRET_ACCESS_KEY"),
    "no-rights": ("AccessDenied", "it cannot be used"),
    "reads-only": ("AccessDenied", "objects cannot be written"),
    "deletes-not": ("", "objects cannot be deleted"),
}
"""The code that an import waits with (it does not for want of deletion), and what doctor says."""


async def test_keys_that_a_real_server_refuses_are_told_apart(
    database_url: str, tmp_path: Path, object_worker: ObjectWorker
) -> None:
    reads = [one for one in DOCUMENTED if "Get" in one or "List" in one]
    rights: dict[str, Sequence[str]] = {
        "all": DOCUMENTED,
        "no-rights": (),
        "reads-only": reads,
        "deletes-not": [one for one in DOCUMENTED if "Delete" not in one],
    }
    with serve_guarded_s3(rights) as (url, bucket, keys):
        keys["stranger"] = ("AKIASTRANGER", "s" * 40)
        keys["wrong-secret"] = (keys["all"][0], "w" * 40)

        def opened(name: str) -> RecordingObjects:
            key, secret = keys[name]
            variables = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
            settings = s3_settings(url, bucket, **variables)
            return RecordingObjects(Bucket(settings), ObjectKeys(""), object_worker)

        async with open_import_bench(database_url, tmp_path, objects=opened("all")) as bench:
            for name, (code, text) in KEYS.items():
                facts = await trio.to_thread.run_sync(read_bucket_facts, opened(name), time.time)
                found = [one for one in judge_bucket(facts) if one.level == "fail"]
                assert [text in f"{one.text} {one.advice}" for one in found] == [True], name
                if code:
                    await _try_import(bench, opened(name), "r1")
                    rows = await bench.database.fetch("SELECT * FROM appliance.imports")
                    assert [(one["state"], one["attempts"]) for one in rows] == [("waiting", 0)]
                    assert rows[0]["wait_reason"] == code
            facts = await trio.to_thread.run_sync(read_bucket_facts, opened("all"), time.time)
            assert [one.level for one in judge_bucket(facts) if one.level == "fail"] == []
            for record_id in ("r1", "r2"):
                await _try_import(bench, opened("all"), record_id)
            objects = opened("all")
            for work in (
                lambda: objects.unpublish("r1", "presentation"),
                lambda: objects.publish("r1", "presentation"),
                lambda: objects.remove("r2"),
            ):
                await trio.to_thread.run_sync(work)
            assert set(await trio.to_thread.run_sync(objects.formats_of_all)) == {"r1"}
            rows = await bench.database.fetch("SELECT state FROM appliance.imports")
            assert [one["state"] for one in rows] == ["done", "done"]


async def _try_import(bench: ImportBench, objects: RecordingObjects, record_id: str) -> None:
    tar = bench.root / "spool" / f"{record_id}.tar"
    if not tar.exists():
        recording_tar(bench.root, record_id, {"presentation": FILES | LARGE}).rename(tar)
    await bench.database.execute("UPDATE appliance.imports SET next_try_at = now()")
    tools = replace(bench.tools, files=storage_of(bench.settings, objects))
    await import_tar(tools, bench.tar(tar.name))
