"""Metadata are erased from the rows and the metadata.xml, on the disk and in a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.admin_calls.refusal import Refused
from appliance.features import Features
from appliance.recordings.erasure import MetadataTraces, erase_metadata
from appliance.recordings.objects.mixed_storage import MixedStorage
from appliance.recordings.recording import Recording
from appliance.recordings.storage import Storage, Transfer
from tests.doubles.features import open_features, rewire
from tests.doubles.import_tools import open_object_work
from tests.doubles.recording_admin_bench import open_admin_bench_of
from tests.doubles.recordings import add, make_recording
from tests.doubles.s3 import S3Server, open_objects

XML = (
    b"<recording><id>rec-1</id><meta><meetingId>math</meetingId><owner>Ada</owner>"
    b"<course>Physics</course></meta></recording>"
)
METADATA = (("owner", "Ada"), ("course", "Physics"))
ADA = MetadataTraces("rec-1", ("owner",), "Ada")
ALL = MetadataTraces("rec-1", ("owner", "course"), None)


@dataclass(frozen=True, slots=True)
class Bench:
    """An appliance with one recording."""

    res: Features
    files: Storage

    async def erase(self, traces: MetadataTraces, *, dry_run: bool = False) -> bool:
        """Erase metadata."""
        return await erase_metadata(self.res.recordings, "tester", traces, dry_run=dry_run)

    async def rows(self) -> dict[str, str]:
        """Return the metadata in the database."""
        assert self.res.recordings.store is not None
        found = await self.res.recordings.store.find_recording("rec-1")
        assert found is not None
        return dict(found.metadata)

    def file(self) -> bytes:
        """Return the metadata.xml."""
        found: list[bytes] = []
        self.files.rewrite_metadata("rec-1", "presentation", found.append)
        (body,) = found
        return body


@pytest.fixture(params=["disk, published", "disk, unpublished", "bucket"])
async def bench(
    request: pytest.FixtureRequest, redis_url: str, redis_namespace: str, database_url: str,
    tmp_path: Path,
) -> AsyncIterator[Bench]:  # fmt: skip
    server = request.getfixturevalue("s3") if request.param == "bucket" else None
    made = make_recording(published=request.param != "disk, unpublished", metadata=METADATA)
    async with open_bench((redis_url, redis_namespace), database_url, tmp_path, server) as opened:
        await add_recording(opened, made, tmp_path)
        yield opened


@asynccontextmanager
async def open_bench(
    redis: tuple[str, str], database_url: str, root: Path, server: S3Server | None
) -> AsyncIterator[Bench]:
    """Open an appliance whose recordings are on the disk, or in a bucket of the server."""
    async with (
        open_features(*redis) as bare,
        open_admin_bench_of(bare, database_url, root) as (res, bench),
    ):
        files: Storage = bench.files
        if server is not None:
            objects = open_objects(server.url, server.make_bucket())
            files = MixedStorage(objects, bench.files)  # type: ignore[arg-type]
            work = open_object_work(bench.database, objects, res.log)
            res = rewire(res, recordings__files=files, recordings__work=work)
        yield Bench(res, files)


async def add_recording(bench: Bench, recording: Recording, root: Path) -> None:
    """Write the rows and the metadata.xml of a recording."""
    assert bench.res.recordings.store is not None
    await add(bench.res.recordings.store, recording)
    (root / "new").mkdir()
    (root / "new" / "metadata.xml").write_bytes(XML)
    where, published = ("rec-1", "presentation"), recording.published
    staged = bench.files.stage(
        str(root / "new"), *where, published=published, transfer=Transfer()
    )  # fmt: skip
    bench.files.place(staged, *where, published=published)


async def test_metadata_with_a_value_are_erased(bench: Bench) -> None:
    assert await bench.erase(ADA, dry_run=True)
    assert (await bench.rows(), bench.file()) == (dict(METADATA), XML)

    assert await bench.erase(ADA)

    assert await bench.rows() == {"course": "Physics"}
    assert b"Ada" not in bench.file()
    assert b"<course>Physics</course>" in bench.file()


async def test_all_metadata_are_erased_also_if_only_the_file_has_them(bench: Bench) -> None:
    only_rows = MetadataTraces("rec-1", ALL.keys, "what no file has")
    assert await bench.erase(only_rows)
    left = MetadataTraces("rec-1", (), None)

    assert await bench.erase(left, dry_run=True)
    assert await bench.erase(left)

    assert await bench.rows() == {}
    assert b"owner" not in bench.file()
    assert b"course" not in bench.file()
    assert b"<meetingId>math</meetingId>" in bench.file()
    assert not await bench.erase(left)


async def test_nothing_is_erased_if_the_file_is_broken(bench: Bench, tmp_path: Path) -> None:
    bench.files.rewrite_metadata("rec-1", "presentation", lambda _: b"<recording>Ada")

    with pytest.raises(Refused, match=r"of rec-1 cannot be changed: .* not well-formed"):
        await bench.erase(ADA)

    assert await bench.rows() == dict(METADATA)


async def test_deleted_recording_has_nothing_to_erase(bench: Bench) -> None:
    assert not await bench.erase(MetadataTraces("rec-9", ("owner",), "Ada"))
    assert not await bench.erase(MetadataTraces("rec-9", ("owner",), "Ada"), dry_run=True)
