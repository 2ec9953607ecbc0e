"""The page of recordings: the pipeline of imports."""

from __future__ import annotations

from pathlib import Path

from appliance.recordings.imports.model import ImportState, SpooledTar
from tests.doubles.console import open_console_of
from tests.doubles.features import open_features
from tests.doubles.recording_admin_bench import open_admin_bench_of

TAR = SpooledTar("r1.tar", 5_000_000, 10**18, 5)


async def test_progress_of_an_upload_is_shown(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> None:
    async with (
        open_features(redis_url, redis_namespace) as bare,
        open_admin_bench_of(bare, database_url, tmp_path) as (features, bench),
        open_console_of(features) as console,
    ):
        client = await console.log_in("viewer")
        async with bench.journal.claim(TAR) as entry:
            assert entry is not None
            await bench.journal.begin(entry.id)
            await bench.journal.note(entry.id, ImportState.PLACING)
            await bench.journal.note_progress(entry.id, 1_000_000, 4_000_000)

            page = await client.get("/scalelite/recordings")

            assert "1.0 MB of 4.0 MB uploaded" in page
            assert 'width="25%"' in page
            german = await client.get("/scalelite/recordings", "Accept-Language: de")
            assert "1,0 MB von 4,0 MB hochgeladen" in german
