"""Changes that were cut off are looked for at the start, and again, whatever fails meanwhile."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import trio

from appliance.recordings.recovery_task import finish_changes_forever
from tests.doubles.bbb_process import until
from tests.doubles.features import rewire
from tests.doubles.recording_pool import open_recording_pool
from tests.doubles.recordings import make_recording

WITHIN_S = 40.0


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
            await until(lambda: bool(complaints()), WITHIN_S, "a complaint")
            assert there.is_dir()
            notes.failing = False
            await until(here.is_dir, WITHIN_S, "the files are back")
            nursery.cancel_scope.cancel()
        assert len(complaints()) == 1
