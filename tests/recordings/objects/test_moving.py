"""A move waits for a recording whose objects are claimed; the rest is in test_objects_killed.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import trio

from appliance.recordings.objects.journal import ObjectJournal
from appliance.recordings.objects.move_model import Move
from appliance.recordings.objects.moving import Mover
from tests.doubles.import_tools import open_import_bench
from tests.doubles.recording_tars import recording_tar
from tests.doubles.s3 import S3Server, open_objects


async def test_move_waits_for_the_sweeper_that_cleans_up_after_a_crash(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    objects = open_objects(s3.url, s3.make_bucket())
    async with open_import_bench(database_url, tmp_path, objects=objects) as bench:
        tar = recording_tar(tmp_path, "r1", {"video": {"video.webm": b"v" * 1000}})
        tar.rename(tmp_path / "spool" / tar.name)
        assert await bench.run(tar.name) is None
        journal, found = ObjectJournal(bench.database), Move(to_bucket=False, dry_run=False)
        mover = Mover(
            cast(Any, bench.files), bench.recordings, journal, found, cast(Any, bench.log)
        )
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery, journal.claim("r1") as free:
                assert free
                nursery.start_soon(mover.run, ["r1"])
                await trio.sleep(1)
                assert found.results == []

        assert [one.problem for one in found.results] == [None]
        assert bench.tree() == {"published/video/r1/metadata.xml", "published/video/r1/video.webm"}
