"""`ctl recordings prune`."""

from __future__ import annotations

from tests.doubles.recording_admin_bench import RecordingAdminBench
from tests.doubles.recordings import make_recording

pytest_plugins = ["tests.doubles.recording_admin_bench_fixtures"]


async def test_expired_recordings_are_shown_and_deleted(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"), make_recording("r2"))
    nothing = await opened.ctl("prune")
    assert (nothing.code, nothing.out, len(nothing.err.splitlines())) == (1, "", 1)
    would = await opened.ctl("prune", "--dry-run", "--days", "30")
    assert [line.split()[0] for line in would.out.splitlines()[1:]] == ["r1", "r2", "2"]
    assert would.out.endswith("2 recordings would be deleted\n")
    await opened.set_retention("t1", "abc")
    done = await opened.ctl("prune", "--days", "30")
    assert (done.code, done.out) == (0, "r1\nr2\n2 recordings deleted\n")
    assert done.err.startswith("tenant t1: RECORDING_RETENTION_DAYS is 'abc'")
