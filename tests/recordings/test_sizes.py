"""The sizes of recordings: measured after an import, and of those that were there before."""

from __future__ import annotations

from pathlib import Path

from appliance.recordings.sizes import measure_recordings
from appliance.usage.table import UsageTable
from tests.doubles.recording_admin_bench import add_with_files, open_admin_bench
from tests.doubles.recordings import make_recording


async def test_recordings_are_measured_once_and_counted_by_tenant(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> None:
    async with open_admin_bench(redis_url, redis_namespace, database_url, tmp_path) as bench:
        for name, tenant in (("one", "t-1"), ("two", "")):
            metadata = (("tenant-id", tenant),) if tenant else ()
            await add_with_files(bench.bench, make_recording(name, metadata=metadata))
        deps = bench.res.recordings
        table = UsageTable(bench.bench.database)

        assert await measure_recordings(deps) == 2
        assert await measure_recordings(deps) == 0

        sizes = await table.recording_bytes()
        assert set(sizes) == {"t-1", None}
        assert all(size > 0 for size in sizes.values())
        found = (await bench.control.get("usage"))["usage"]
        assert {line["tenant"]: line["recording_bytes"] for line in found} == {
            tenant or "": size for tenant, size in sizes.items()
        }
        assert await measure_recordings(deps, everything=False) == 0
