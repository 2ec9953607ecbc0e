"""SIGKILL at every step of what changes objects: nothing is lost, and nothing is left forever."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from appliance.recordings.imports.importer import import_tar, remove_leftovers
from appliance.recordings.objects.move_model import Move
from appliance.recordings.objects.moving import Mover
from tests.doubles.import_tools import ImportBench, open_import_bench
from tests.doubles.object_driver import FORMATS
from tests.doubles.s3 import S3Server, open_objects

ROOT = Path(__file__).resolve().parents[3]
RECOVERY_S = 60.0


async def kill_at_every_step(
    database_url: str, root: Path, s3: tuple[str, str], operation: str
) -> int:
    """Return the number of kills."""
    command = [sys.executable, "-m", "tests.doubles.object_driver"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    done = await trio.run_process(
        [*command, database_url, str(root), *s3, operation],
        cwd=ROOT, env=environ, capture_stdout=True,
    )  # fmt: skip
    return int(done.stdout)


@asynccontextmanager
async def open_killed(
    database_url: str, root: Path, s3: S3Server, operation: str
) -> AsyncIterator[tuple[ImportBench, str, int]]:
    """Give what is left after the kills, the bucket, and the number of kills."""
    bucket = s3.make_bucket()
    objects = open_objects(s3.url, bucket)
    async with open_import_bench(database_url, root, objects=objects) as bench:
        kills = await kill_at_every_step(database_url, root, (s3.url, bucket), operation)
        yield bench, bucket, kills


async def work_all(bench: ImportBench) -> None:
    """Do all work on objects, also what dead processes have begun."""
    assert bench.work is not None
    with trio.fail_after(RECOVERY_S):
        while await bench.database.fetch("SELECT 1 FROM appliance.object_work"):
            await bench.database.execute("UPDATE appliance.object_work SET next_try_at = now()")
            await bench.work.work_once()


def expected_keys(record_id: str, state: str) -> set[str]:
    return {
        f"{state}/{format}/{record_id}/{name}"
        for format, files in FORMATS.items()
        for name in (*files, "metadata.xml")
    }


def unfinished(s3: S3Server, bucket: str) -> list[str]:
    answer = s3.client.list_multipart_uploads(Bucket=bucket)
    return [one["Key"] for one in answer.get("Uploads", [])]


async def test_import_loses_and_leaves_nothing(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    """The tars of every third recording are removed before they are tried again."""
    async with open_killed(database_url, tmp_path, s3, "import") as (bench, bucket, kills):
        assert kills >= 8
        assert bench.work is not None
        foreign = {"published/video/r3/foreign", "published/video/foreign/video.webm"}
        for key in foreign:
            s3.client.put_object(Bucket=bucket, Key=key, Body=b"x")
            s3.client.create_multipart_upload(Bucket=bucket, Key=key)
        s3.client.create_multipart_upload(Bucket=bucket, Key="published/video/r6/video.webm")
        for number in range(3, kills, 3):
            (bench.spool.directory / f"r{number}.tar").unlink(missing_ok=True)

        await recover(bench)

        rows = await bench.database.fetch("SELECT record_id FROM recordings")
        committed = {row["record_id"] for row in rows}
        assert {f"r{n}" for n in range(1, kills + 2) if n % 3} <= committed
        expected = [key for one in committed for key in expected_keys(one, "published")]
        assert s3.keys(bucket) == {*expected, *foreign}
        assert set(unfinished(s3, bucket)) - {"published/video/r6/video.webm"} == foreign


async def recover(bench: ImportBench) -> None:
    """Do what an appliance does after a start: import again, and sweep."""
    assert bench.work is not None
    with trio.fail_after(RECOVERY_S):
        await remove_leftovers(bench.tools)
        while tars := bench.spool.scan():
            for tar in tars:
                await import_tar(bench.tools, tar)
        while list((bench.root / "work").iterdir()):
            await remove_leftovers(bench.tools)
        while await bench.database.fetch("SELECT 1 FROM appliance.object_uploads"):
            await bench.work.sweep()


@pytest.mark.parametrize("operation", ["unpublish", "delete"])
async def test_change_is_completed(
    database_url: str, tmp_path: Path, s3: S3Server, operation: str
) -> None:
    async with open_killed(database_url, tmp_path, s3, operation) as (bench, bucket, kills):
        assert kills >= 2
        await work_all(bench)

        expected = [
            key
            for number in range(1, kills + 2)
            for key in (expected_keys(f"r{number}", "unpublished") if operation != "delete" else ())
        ]
        assert s3.keys(bucket) == set(expected)


@pytest.mark.parametrize("operation", ["move to s3", "move to disk"])
async def test_move_is_completed_when_it_is_repeated(
    database_url: str, tmp_path: Path, s3: S3Server, operation: str
) -> None:
    to_bucket = operation == "move to s3"
    async with open_killed(database_url, tmp_path, s3, operation) as (bench, bucket, kills):
        assert kills >= 2
        assert bench.work is not None
        for number in range(1, kills + 2):
            found = Move(to_bucket, dry_run=False)
            mover = Mover(
                cast(Any, bench.files), bench.recordings, bench.work.journal, found,
                cast(Any, bench.log),
            )  # fmt: skip
            with trio.fail_after(RECOVERY_S):
                await mover.run([f"r{number}"])
            assert [one.problem for one in found.results] == [None]
        await bench.work.sweep()

        expected = {
            key
            for number in range(1, kills + 2)
            for key in expected_keys(f"r{number}", "published")
        }
        assert s3.keys(bucket) == (expected if to_bucket else set())
        assert bench.tree() == (set() if to_bucket else expected)
        assert await bench.database.fetch("SELECT 1 FROM appliance.object_uploads") == []
