"""An operator's lists on a real PostgreSQL: filters, counts, age, tenants, and daily work."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import trio

from appliance.faults import DatabaseDown
from appliance.postgres.database import Connection, Database
from appliance.recordings.admin_store import RecordingTable
from appliance.recordings.recording import Recording
from appliance.recordings.store import RecordingStore
from appliance.recordings.summary import RecordingQuery
from appliance.tenants.retention import RetentionRules, retention_rules
from tests.doubles.recordings import add, make_recording, open_recordings

DAY_MS = 86_400_000
Opened = tuple[Database, RecordingStore, RecordingTable]


@pytest.fixture
async def opened(database_url: str) -> AsyncIterator[Opened]:
    async with open_recordings(database_url) as (postgres, store):
        yield postgres, store, RecordingTable(postgres)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def aged(record_id: str, days: float, tenant: str | None = None, **more: Any) -> Recording:
    """Return a recording that ended so many days ago."""
    metadata = () if tenant is None else (("tenant-id", tenant),)
    ended_ms = now_ms() - int(days * DAY_MS)
    values = {"metadata": metadata, "start_ms": ended_ms - 1000, "end_ms": ended_ms, **more}
    return replace(make_recording(record_id), **values)


async def expired(
    table: RecordingTable, rules: RetentionRules, after: int = 0, limit: int = 100
) -> list[str]:
    """Return what is too old, and check that it is what would be locked."""
    args: dict[str, Any] = {"now_ms": now_ms(), "after": after, "limit": limit}
    found = [one.record_id for one in await table.list_expired(rules, **args)]
    async with table.lock_expired(rules, **args) as locked:
        assert [one.record_id for one in locked.recordings] == found
    return found


async def test_listing_fails_soon_when_the_database_hangs(opened: Opened) -> None:
    postgres, _, table = opened

    async def backend(connection: Connection) -> int:
        return int(await connection.fetchval("SELECT pg_backend_pid()"))

    pid = await postgres.run(backend)
    os.kill(pid, signal.SIGSTOP)
    try:
        with trio.fail_after(60), pytest.raises(DatabaseDown, match="no answer"):
            await table.list_summaries(RecordingQuery())
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_listing_filters_and_counts(opened: Opened) -> None:
    _, store, table = opened
    await add(
        store,
        aged("a", 3, "t1"),
        aged("b", 2, meeting_id="other"),
        aged("c", 1, published=False),
        aged("d", 0, "t1"),
    )
    async with store.lock_recordings(["d"], None) as locked:
        await locked.delete(locked.recordings[0])

    async def listed(**query: Any) -> tuple[list[str], int]:
        found, count = await table.list_summaries(RecordingQuery(**query))
        return [one.record_id for one in found], count

    assert await listed() == (["c", "b", "a"], 3)
    assert await listed(limit=2) == (["c", "b"], 3)
    assert await listed(meeting_id="other") == (["b"], 1)
    assert await listed(state="unpublished") == (["c"], 1)
    assert await listed(state="deleted") == (["d"], 1)
    assert await listed(any_state=True) == (["d", "c", "b", "a"], 4)
    assert await listed(tenant_id="t1", limit=1) == (["a"], 1)
    assert await listed(tenant_id="nobody") == ([], 0)
    assert await listed(meeting_id="\0") == ([], 0)
    assert await table.count() == 3
    rows = await table.page(0, 2)
    assert [(one.record_id, one.formats) for one in rows] == [
        ("a", ("presentation",)), ("b", ("presentation",)),
    ]  # fmt: skip
    assert [one.record_id for one in await table.page(rows[-1].id, 2)] == ["c"]


async def test_age_is_that_of_the_end_else_of_the_start(opened: Opened) -> None:
    _, store, table = opened
    long_ago = now_ms() - 20 * DAY_MS
    await add(
        store,
        aged("old", 10.1),
        aged("new", 9.9),
        aged("long", 9.9, start_ms=long_ago),
        aged("no-end", 0, end_ms=None, start_ms=long_ago),
        aged("no-times", 0, end_ms=None, start_ms=None),
        aged("unpublished", 11, published=False),
    )
    assert await expired(table, RetentionRules(10.0)) == ["old", "no-end", "unpublished"]
    assert await expired(table, RetentionRules(10.0), limit=2) == ["old", "no-end"]
    assert await expired(table, RetentionRules()) == []
    assert await expired(table, RetentionRules(99_999.0)) == []


async def test_null_state_counts_and_deleted_does_not(opened: Opened) -> None:
    postgres, store, table = opened
    await add(store, aged("null", 9), aged("gone", 9))
    await postgres.execute("UPDATE recordings SET state = NULL WHERE record_id = 'null'")
    await postgres.execute("UPDATE recordings SET state = 'deleted' WHERE record_id = 'gone'")
    assert await expired(table, RetentionRules(1.0)) == ["null"]


async def test_tenants_setting_is_for_its_recordings_alone(opened: Opened) -> None:
    _, store, table = opened
    names = ("short", "long", "keeps", "broken", "silent", "")
    await add(store, *(aged(f"of-{name}", 20, name) for name in names), aged("nobodys", 20))
    own = [("short", "10"), ("long", "30"), ("keeps", "0"), ("broken", "1 day"), ("", "1")]

    assert await expired(table, retention_rules(None, own)) == ["of-short"]
    assert await expired(table, retention_rules(15.0, own)) == [
        "of-short", "of-silent", "of-", "nobodys",
    ]  # fmt: skip
    assert await expired(table, retention_rules(25.0, own)) == ["of-short"]


async def test_clock_of_ours_that_runs_ahead_deletes_nothing_more(opened: Opened) -> None:
    _, store, table = opened
    await add(store, aged("young", 1))
    ahead_ms = now_ms() + 1000 * DAY_MS
    found = await table.list_expired(RetentionRules(30.0), now_ms=ahead_ms, after=0, limit=9)
    assert found == []


async def test_locked_recordings_are_left_out(opened: Opened) -> None:
    _, store, table = opened
    await add(store, aged("busy", 9), aged("free", 9))
    args: dict[str, Any] = {"now_ms": now_ms(), "after": 0, "limit": 9}
    async with (
        store.lock_recordings(["busy"], None),
        table.lock_expired(RetentionRules(1.0), **args) as locked,
    ):
        assert [one.record_id for one in locked.recordings] == ["free"]
        await locked.delete(locked.recordings[0])
    assert await expired(table, RetentionRules(1.0)) == ["busy"]


async def test_recordings_of_nobody_are_assigned_in_chunks(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store, table = opened
    await add(store, aged("a", 1), aged("b", 1, "t1"), aged("c", 1, ""), aged("d", 1), aged("e", 1))
    monkeypatch.setattr("appliance.recordings.admin_store.ASSIGN_ROWS", 2)
    assert await table.assign_all("t2") == 4
    assert await table.assign_all("t3") == 0
    found, _ = await table.list_summaries(RecordingQuery())
    assert {one.record_id: one.tenant_id for one in found} == {
        "a": "t2", "b": "t1", "c": "t2", "d": "t2", "e": "t2",
    }  # fmt: skip


async def test_removed_metadata_is_named(opened: Opened) -> None:
    _, store, table = opened
    await add(store, make_recording("a"))
    async with store.lock_recordings(["a"], None) as locked:
        (one,) = locked.recordings
        await locked.update(one, metadata=[("z", ""), ("bbb-origin", "")], protected=None)
    assert await table.removed_metadata(one.id) == ("bbb-origin", "z")


async def test_daily_work_is_done_once_by_one(opened: Opened) -> None:
    _, _, table = opened
    async with table.claim_daily("w", 3600) as first:
        assert first
        async with table.claim_daily("w", 3600) as second:
            assert not second
        async with table.claim_daily("other", 3600) as other:
            assert other
    async with table.claim_daily("w", 3600) as again:
        assert not again
    async with table.claim_daily("w", 0) as due:
        assert due


async def test_daily_work_that_failed_is_due_still(opened: Opened) -> None:
    postgres, _, table = opened

    async def fail() -> None:
        async with table.claim_daily("w", 3600) as due:
            assert due
            raise ValueError("cut off")

    with pytest.raises(ValueError, match="cut off"):
        await fail()
    async with table.claim_daily("w", 3600) as due:
        assert due
    # A time in the future, by a clock that was wrong, must not put it off forever.
    await postgres.execute("UPDATE appliance.daily_work SET finished_at = now() + interval '9 d'")
    async with table.claim_daily("w", 3600) as due:
        assert due
