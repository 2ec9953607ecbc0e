"""The SQL of listings: what it finds by is an index, whatever the size of the table."""

from __future__ import annotations

import itertools
import re

import pytest
import trio

from appliance.postgres.database import Database
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.rows import (
    READ_ONE,
    By,
    listing_sql,
    prefix_range,
    timestamp_of,
)
from tests.doubles.recordings import fill, open_recordings

DEADLINE_S = 110.0
MANY = 30_000
MEETING = "index_recordings_on_meeting_id"
METADATA = "appliance_metadata_on_key_and_value"
RECORD_ID = "appliance_recordings_on_record_id_prefix"
STARTTIME = "appliance_recordings_on_starttime_and_state"
PARTS = {
    "index_metadata_on_recording_id_and_key",
    "index_playback_formats_on_recording_id_and_format",
    "index_thumbnails_on_playback_format_id",
}


def filter_of(**wanted: object) -> RecordingFilter:
    return RecordingFilter(**wanted)  # type: ignore[arg-type]


PLANS: dict[str, tuple[RecordingFilter, By, str | None]] = {
    "a page": (filter_of(offset=20, limit=10), "time", STARTTIME),
    "a page far behind": (filter_of(offset=5_000, limit=10), "time", STARTTIME),
    "meetings": (filter_of(meeting_ids=("meeting-7", "x")), "names", MEETING),
    "recordings": (filter_of(record_id_prefixes=("rec-0000007", "rec-002999")), "names", RECORD_ID),
    "metadata": (filter_of(metadata=(("course", "course-7"),)), "metadata", METADATA),
    "tenant": (filter_of(tenant_id="tenant-7"), "tenant", METADATA),
    "tenant's meeting": (
        filter_of(tenant_id="tenant-75", meeting_ids=("meeting-7",)),
        "names",
        None,
    ),
    "any state": (filter_of(states=None, meeting_ids=("meeting-7",)), "names", MEETING),
}
"""Filter, how its recordings are found, and the index that must serve it. A listing of everything
is not here: it may as well be read from end to end. None: by either of two."""


async def plan_of(postgres: Database, wanted: RecordingFilter, by: By, mode: str) -> str:
    """Return the plan of a listing as PostgreSQL makes it with (custom) or without its values."""
    sql, args = listing_sql(wanted, by=by)

    async def work(connection: object) -> str:
        await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")  # type: ignore[attr-defined]
        rows = await connection.fetch(f"EXPLAIN {sql}", *args)  # type: ignore[attr-defined]
        return "\n".join(row[0] for row in rows)

    return await postgres.run(work, transaction=True)


async def test_listings_are_found_by_an_index_among_30_000_recordings(database_url: str) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_recordings(database_url) as (postgres, _):
            await fill(postgres, MANY)
            for (name, (wanted, by, index)), mode in itertools.product(
                PLANS.items(), ("force_custom_plan", "force_generic_plan")
            ):
                plan = await plan_of(postgres, wanted, by, mode)

                used = set(re.findall(r"Scan (?:using|on) (\w+)", plan))
                assert index is None or index in used, (name, mode, plan)
                assert used >= PARTS, (name, mode, plan)
                assert "Seq Scan" not in plan, (name, mode, plan)
                skips = f"Index Only Scan using {STARTTIME}"
                assert (skips in plan) == (name == "a page far behind"), (name, mode, plan)
            found = await postgres.fetch(f"EXPLAIN {READ_ONE}", "rec-0000007")
            assert "Seq Scan" not in "\n".join(row[0] for row in found)


@pytest.mark.parametrize(
    ("prefix", "high"),
    [
        ("abc", "abd"),
        ("a%", "a&"),
        ("_", "`"),
        ("a\U0010ffff", "b"),
        ("\ud7ff", "\ue000"),
        ("\U0010ffff", "\U0010ffff"),
    ],
)
def test_prefix_is_a_range(prefix: str, high: str) -> None:
    assert prefix_range(prefix) == (prefix, high)


def test_values_are_arguments_and_never_text() -> None:
    evil = "'; DROP TABLE recordings; --"
    sql, args = listing_sql(
        RecordingFilter((evil,), (evil,), (evil,), ((evil, evil),), evil, offset=1, limit=2),
        by="names",
    )
    assert "DROP" not in sql
    assert len(args) == 10


def test_cut_is_at_the_very_end_so_that_the_rows_are_found_as_without_it() -> None:
    wanted = RecordingFilter(("meeting",))

    whole, _ = listing_sql(wanted, by="names")
    assert listing_sql(wanted, 251, by="names")[0] == f"{whole} LIMIT 251"


def test_times_are_utc_to_the_millisecond() -> None:
    found = timestamp_of(1_700_000_000_123)
    assert found is not None
    assert found.isoformat() == "2023-11-14T22:13:20.123000"
    assert timestamp_of(None) is None
