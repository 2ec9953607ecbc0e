"""What users do to a recording in the middle of its import counts, even if that is cut off then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import trio

from appliance.faults import DatabaseDown
from appliance.recordings.imports.importer import import_tar
from appliance.recordings.recovery import finish_changes
from tests.doubles.recording_admin_bench import RecordingAdminBench
from tests.doubles.recording_tars import recording_tar

pytest_plugins = ["tests.doubles.recording_admin_bench_fixtures"]

BOTH = {"video": {"video.webm": b"v"}, "presentation": {"1.svg": b"<svg/>"}}


class Meanwhile:
    """A journal: a user is faster than the commit, which is the last that is heard of it."""

    def __init__(self, real: Any, change: Callable[[], Awaitable[None]]) -> None:
        self._real = real
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def write_recording(self, *args: Any, **kwargs: Any) -> None:
        """Write a recording's rows, and be cut off."""
        await self._change()
        await self._real.write_recording(*args, **kwargs)
        raise DatabaseDown("cut off after the commit")


def drop(opened: RecordingAdminBench) -> str:
    made = recording_tar(opened.bench.root, "r1", BOTH)
    return made.rename(opened.bench.root / "spool" / made.name).name


async def import_while(opened: RecordingAdminBench, change: Callable[[], Awaitable[None]]) -> str:
    """Import a recording a second time, cut off after the change of a user and the commit."""
    bench = opened.bench
    assert await bench.run(drop(opened)) is None
    name = drop(opened)
    journal: Any = Meanwhile(bench.journal, change)
    tools = replace(bench.tools, journal=journal)
    assert await import_tar(tools, bench.tar(name)) == bench.tools.retry_intervals.database_s
    return name


class Watched:
    """Files: while they are moved, the rows are counted that a user could change just now."""

    def __init__(self, real: Any, count: Callable[[], Awaitable[int]]) -> None:
        self._real = real
        self._count = count
        self.counts: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def stage(self, *args: Any, **kwargs: Any) -> str:
        """Count, and do what may take long."""
        self.counts.append(("stage", trio.from_thread.run(self._count)))
        return str(self._real.stage(*args, **kwargs))

    def place(self, *args: Any, **kwargs: Any) -> None:
        """Count, and place."""
        self.counts.append(("place", trio.from_thread.run(self._count)))
        self._real.place(*args, **kwargs)


class Lost:
    """Recordings whose rows cannot be locked."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def lock_recordings(self, *args: Any) -> Any:
        """Fail."""
        raise DatabaseDown("lost")


async def test_files_are_placed_while_no_user_can_move_them_and_copied_before(
    opened: RecordingAdminBench,
) -> None:
    bench = opened.bench

    async def count() -> int:
        sql = "SELECT FROM public.recordings WHERE record_id = 'r1' FOR UPDATE SKIP LOCKED"
        return len(await bench.database.fetch(sql))

    assert await bench.run(drop(opened)) is None
    assert await count() == 1
    files = Watched(bench.files, count)
    name = drop(opened)
    tools = replace(bench.tools, files=cast(Any, files))

    assert await import_tar(tools, bench.tar(name)) is None

    assert files.counts == [("stage", 1)] * len(BOTH) + [("place", 0)] * len(BOTH)


async def test_nothing_is_left_of_files_that_are_not_placed_after_all(
    opened: RecordingAdminBench,
) -> None:
    bench = opened.bench
    tools = replace(bench.tools, recordings=cast(Any, Lost(bench.recordings)))
    name = drop(opened)

    assert await import_tar(tools, bench.tar(name)) == bench.tools.retry_intervals.database_s

    places = [bench.root / place for place in ("work", "published", "unpublished")]
    assert not [path for place in places for path in place.rglob("*") if path.is_file()]
    assert await bench.run(name) is None
    assert len(bench.tree()) == 2 * len(BOTH)


async def test_recording_deleted_meanwhile_stays_deleted_and_its_tar_is_kept(
    opened: RecordingAdminBench,
) -> None:
    bench = opened.bench

    async def delete() -> None:
        async with bench.recordings.lock_recordings(["r1"], None) as locked:
            bench.files.remove("r1")
            await locked.delete(locked.recordings[0])

    name = await import_while(opened, delete)
    assert await bench.run(name) is None

    found = await bench.find("r1")
    assert found is not None
    assert (found.state, found.formats, bench.tree()) == ("deleted", (), set())
    assert bench.spool.failed_names() == [name]


async def test_recording_unpublished_meanwhile_is_where_it_belongs(
    opened: RecordingAdminBench,
) -> None:
    bench = opened.bench

    async def unpublish() -> None:
        async with bench.recordings.lock_recordings(["r1"], None) as locked:
            for format in BOTH:
                bench.files.unpublish("r1", format)
            await locked.set_published(locked.recordings[0], False)

    name = await import_while(opened, unpublish)
    assert await bench.run(name) is None  # the tar is removed: the import was done

    await finish_changes(opened.res.recordings, older_than_s=0.0)

    assert {path.partition("/")[0] for path in bench.tree()} == {"unpublished"}
    assert len(bench.tree()) == 2 * len(BOTH)
    assert await finish_changes(opened.res.recordings, older_than_s=0.0) == 0
