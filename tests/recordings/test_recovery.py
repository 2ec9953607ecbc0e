"""What was cut off between files and rows, by SIGKILL or by the database, is brought to its end."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.bbb.errors import ApiError
from appliance.bbb.signed_request import Caller
from appliance.faults import DatabaseDown
from appliance.recordings.calls import delete_recordings, publish_recordings
from appliance.recordings.files import RecordingFiles
from appliance.recordings.recovery import finish_changes, finish_changes_forever
from tests.doubles.bbb_process import until
from tests.doubles.change_driver import FORMATS
from tests.doubles.features import rewire
from tests.doubles.recording_pool import RecordingPool, open_recording_pool
from tests.doubles.recordings import make_recording

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 50.0
NOBODY = Caller(base_url="http://x")
UNPUBLISH = (("recordID", "rec-1"), ("publish", "false"))


@pytest.fixture
def stores(redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path) -> Any:
    """Give what open_recording_pool wants."""
    return (redis_url, redis_namespace, database_url, tmp_path)


async def run_driver(stores: Any, call: str) -> int:
    command = [sys.executable, "-m", "tests.doubles.change_driver", *map(str, stores), call]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    done = await trio.run_process(command, cwd=ROOT, env=environ, capture_stdout=True)
    return int(done.stdout)


def places(pool: RecordingPool, record_id: str) -> set[str]:
    """Return where files of a recording are: `published/video`."""
    return {
        f"{root.name}/{shown.format}"
        for root in (pool.published, pool.unpublished)
        for shown in FORMATS
        if (root / shown.format / record_id / "index.html").is_file()
    }


async def test_unpublishing_killed_at_any_step_leaves_files_where_the_rows_say(
    stores: Any,
) -> None:
    with trio.fail_after(DEADLINE_S):
        killed = await run_driver(stores, "unpublish")
        assert killed >= 5
        async with open_recording_pool(*stores) as pool:
            await finish_changes(pool.res.recordings, older_than_s=0.0)
            published = []
            for number in range(1, killed + 2):
                found = await pool.find(f"r{number}")
                top = "published" if found.published else "unpublished"
                assert places(pool, f"r{number}") == {f"{top}/presentation", f"{top}/video"}
                published.append(found.published)
            assert published == [True] * (killed - 1) + [False] * 2  # the commit is the point
            assert await finish_changes(pool.res.recordings, older_than_s=0.0) == 0


async def test_deletion_killed_at_any_step_is_carried_out(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        killed = await run_driver(stores, "delete")
        assert killed >= 4
        async with open_recording_pool(*stores) as pool:
            await finish_changes(pool.res.recordings, older_than_s=0.0)
            for number in range(1, killed + 2):
                found = await pool.find(f"r{number}")
                assert (found.state, found.formats) == ("deleted", ())
                assert places(pool, f"r{number}") == set()
            assert await finish_changes(pool.res.recordings, older_than_s=0.0) == 0


class LostDatabase:
    """A store that is gone once files were moved."""

    def __init__(self, real: Any) -> None:
        self._real = real

    @asynccontextmanager
    async def lock_recordings(self, *args: Any) -> AsyncIterator[Any]:
        """Lock recordings, and lose the connection before the commit."""
        async with self._real.lock_recordings(*args) as locked:
            yield locked
            raise DatabaseDown("the connection was lost")


async def test_files_go_back_when_the_database_went_away_before_the_commit(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording(formats=FORMATS))
            store: Any = LostDatabase(pool.res.recordings.store)
            with pytest.raises(DatabaseDown):
                await publish_recordings(
                    rewire(pool.res, recordings__store=store).recordings, NOBODY, UNPUBLISH
                )
            assert places(pool, "rec-1") == {"unpublished/presentation", "unpublished/video"}

            assert await finish_changes(pool.res.recordings, older_than_s=0.0) == 1

            assert places(pool, "rec-1") == {"published/presentation", "published/video"}
            (repaired,) = pool.public.log.named("recording_files_repaired")
            assert repaired["record_ids"] == ["rec-1"]


async def test_change_that_cannot_be_finished_holds_up_no_other(stores: Any) -> None:
    class FullDisk(RecordingFiles):
        def publish(self, record_id: str, format: str) -> bool:
            if record_id == "full":
                raise OSError(28, "No space left on device")
            return super().publish(record_id, format)

    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording("full", formats=FORMATS))
            await pool.add(*(make_recording(f"r{n}", formats=FORMATS) for n in range(3)))
            notes = pool.res.recordings.change_notes
            assert notes is not None
            for record_id in ("r0", "full", "r1", "r2"):
                notes.write([record_id], delete=False)
                pool.files.unpublish(record_id, "video")
            res = rewire(pool.res, recordings__files=FullDisk(pool.res.settings.recordings))

            with pytest.raises(OSError, match="No space"):
                await finish_changes(res.recordings, older_than_s=0.0)
            for number in range(3):
                assert places(pool, f"r{number}") == {"published/presentation", "published/video"}

            assert await finish_changes(pool.res.recordings, older_than_s=0.0) == 1
            assert places(pool, "full") == {"published/presentation", "published/video"}


async def test_changes_that_are_done_leave_nothing_noted(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recording_pool(*stores) as pool:
            await pool.add(make_recording(formats=FORMATS))
            await publish_recordings(pool.res.recordings, NOBODY, UNPUBLISH)
            await delete_recordings(pool.res.recordings, NOBODY, (("recordID", "rec-1"),))
            with pytest.raises(ApiError, match="not find"):
                await publish_recordings(pool.res.recordings, NOBODY, UNPUBLISH)
            assert await finish_changes(pool.res.recordings, older_than_s=0.0) == 0


class FailingNotes:
    """Notes that cannot be read for a while."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.failing = True

    def read(self, *, older_than_s: float) -> Any:
        """Read, or fail."""
        if self.failing:
            raise OSError(5, "Input/output error")
        return self._real.read(older_than_s=older_than_s)

    def remove(self, names: Any) -> None:
        """Remove."""
        self._real.remove(names)


async def test_notes_are_looked_for_until_the_disk_can_be_read(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> None:
    async with open_recording_pool(redis_url, redis_namespace, database_url, tmp_path) as pool:
        await pool.add(make_recording())
        assert pool.res.recordings.change_notes is not None
        pool.res.recordings.change_notes.write(["rec-1"], delete=False)
        (pool.unpublished / "presentation").mkdir(parents=True)
        here, there = (top / "presentation/rec-1" for top in (pool.published, pool.unpublished))
        here.rename(there)
        notes: Any = FailingNotes(pool.res.recordings.change_notes)
        run = partial(finish_changes_forever, first_s=0.0, interval_s=0.01, age_s=60.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, rewire(pool.res, recordings__change_notes=notes).recordings)
            complaints = partial(pool.public.log.named, "changes_not_finished")
            await until(lambda: bool(complaints()), DEADLINE_S, "a complaint")
            assert there.is_dir()
            notes.failing = False
            await until(here.is_dir, DEADLINE_S, "the files are back")
            nursery.cancel_scope.cancel()
        assert len(complaints()) == 1
