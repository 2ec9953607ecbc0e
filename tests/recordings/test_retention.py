"""Recordings that are too old: deleted as deleteRecordings does, and none besides."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.callbacks.attributes_yaml import ANALYTICS, KeptUrls
from appliance.callbacks.url_store import CallbackUrls
from appliance.recordings import retention
from appliance.recordings.files import RecordingFiles
from appliance.recordings.recording import Recording
from tests.doubles.features import rewire
from tests.doubles.import_tools import recording_settings
from tests.doubles.recording_admin_bench import DAY_MS, RecordingAdminBench, open_admin_bench
from tests.doubles.recordings import make_recording


@pytest.fixture
async def opened(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> AsyncIterator[RecordingAdminBench]:
    variables = {"RECORDING_RETENTION_DAYS": "30"}
    async with open_admin_bench(
        redis_url, redis_namespace, database_url, tmp_path, **variables
    ) as bench:
        yield bench


def aged(record_id: str, days: float, tenant: str | None = None, **more: Any) -> Recording:
    metadata = () if tenant is None else (("tenant-id", tenant),)
    ended_ms = time.time_ns() // 1_000_000 - int(days * DAY_MS)
    return make_recording(record_id, metadata=metadata, end_ms=ended_ms, **more)


async def states(opened: RecordingAdminBench, *record_ids: str) -> list[str | None]:
    return [(await opened.find(record_id)).state for record_id in record_ids]


async def test_too_old_recordings_are_deleted_like_by_a_user(opened: RecordingAdminBench) -> None:
    await opened.set_retention("short", "5")
    await opened.set_retention("keeps", "0")
    await opened.set_retention("broken", "five")
    await opened.add(
        aged("old", 31),
        aged("young", 29),
        aged("hidden", 31, published=False, state="unpublished"),
        aged("short", 6, "short"),
        aged("keeps", 99, "keeps"),
        aged("broken", 99, "broken"),
        aged("of-nobody-known", 99, "left"),
    )
    rules = await retention.read_rules(opened.res.recordings)
    assert (rules.faulty, rules.default_days) == ({"broken": "five"}, 30.0)
    listed = await retention.list_expired(opened.res.recordings, rules, after=0, limit=99)
    gone = ["old", "hidden", "short", "of-nobody-known"]
    assert [one.record_id for one in listed] == gone

    assert await retention.run_retention(opened.res.recordings, "task") == 4
    assert await states(opened, *gone) == ["deleted"] * 4
    assert await states(opened, "young", "keeps", "broken") == ["published"] * 3
    left = {path.split("/")[2] for path in opened.bench.tree()}
    assert left == {"young", "keeps", "broken"}
    found = await opened.find("old")
    assert (found.formats, found.metadata) == ((), ())
    assert opened.log.named("recordings_expired") == [
        {"by": "task", "count": 4, "record_ids": gone}
    ]
    assert await retention.run_retention(opened.res.recordings, "task") == 0


async def test_many_are_deleted_in_batches(
    opened: RecordingAdminBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    await opened.add(*(aged(f"r{number}", 40) for number in range(5)))
    assert await retention.run_retention(opened.res.recordings, "task") == 5
    assert [fields["count"] for fields in opened.log.named("recordings_expired")] == [2, 2, 1]


async def test_days_stand_in_for_the_setting_but_not_for_a_tenants(
    opened: RecordingAdminBench,
) -> None:
    await opened.set_retention("keeps", "")
    await opened.add(aged("r1", 20), aged("r2", 20, "keeps"))
    rules = await retention.read_rules(opened.res.recordings, 10.0)
    pruned = await retention.prune_batch(opened.res.recordings, "me", rules)
    assert (pruned.deleted, pruned.failed, pruned.next_after) == (["r1"], [], None)


async def test_nothing_is_deleted_where_nothing_is_set(opened: RecordingAdminBench) -> None:
    settings = replace(opened.res.settings, retention_days=None)
    res = rewire(opened.res, settings=settings)
    await opened.add(aged("r1", 5000))
    assert await retention.run_retention(res.recordings, "task") == 0
    assert (
        await retention.list_expired(
            res.recordings, await retention.read_rules(res.recordings), after=0, limit=9
        )
        == []
    )


class Stubborn(RecordingFiles):
    """Files of which those of one recording cannot be moved."""

    def remove(self, record_id: str, format: str | None = None) -> None:
        """Fail for r1."""
        if record_id == "r1":
            raise OSError(30, "Read-only file system")
        super().remove(record_id)


async def test_recording_whose_files_stay_is_kept_and_stops_no_other(
    opened: RecordingAdminBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    files = Stubborn(recording_settings(opened.bench.root))
    res = rewire(opened.res, recordings__files=files)
    await opened.add(*(aged(f"r{number}", 40) for number in range(3)))
    assert await retention.run_retention(res.recordings, "task") == 2
    assert await states(opened, "r0", "r1", "r2") == ["deleted", "published", "deleted"]
    assert [name for name, _ in opened.log.errors] == ["recording_not_deleted"]


async def test_old_lines_of_the_journal_go(opened: RecordingAdminBench) -> None:
    await opened.bench.database.execute(
        "INSERT INTO appliance.imports (file, size_bytes, mtime_ns, inode, state, finished_at)"
        " SELECT 'r' || n, 1, 1, n, 'done', now() - n * interval '31 days'"
        " FROM generate_series(1, 4) n"
    )
    await retention.run_retention(opened.res.recordings, "task")
    found, _ = await opened.admin.history.list_imports(limit=9)
    assert sorted(one.tar.name for one in found) == ["r1", "r2"]
    assert opened.log.named("import_journal_pruned") == [{"lines": 2}]


async def test_callback_urls_of_meetings_long_gone_go(opened: RecordingAdminBench) -> None:
    database = opened.bench.database
    urls = CallbackUrls(database, opened.res.redis.background, opened.log)
    res = rewire(opened.res, callbacks__urls=urls)
    for meeting_id in ("old", "new"):
        await urls.keep(meeting_id, None, KeptUrls({ANALYTICS: "http://h/"}))
    await urls.flush()
    for table in ("appliance.callback_origins", "public.callback_data"):
        await database.execute(
            f"UPDATE {table} SET updated_at = updated_at - interval '181 days'"
            " WHERE meeting_id = 'old'"
        )
    await retention.run_retention(res.recordings, "task")
    assert opened.log.named("callback_urls_pruned") == [{"meetings": 1}]
    assert await urls.find("old", None) is None
    assert await urls.find("new", None)
