"""A pool on real stores, moved into others: what arrives, what is refused, and what is kept."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from appliance.backup import transfer
from appliance.backup.plan import Mode
from appliance.backup.transfer import BackupDeps, Conflicts, Part, TransferError, write_backup
from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.rules import recording_ready
from appliance.ctl import backup_file
from appliance.faults import DatabaseDown
from appliance.features import Features
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import Database, open_postgres_store
from appliance.recordings.store import RecordingStore
from tests.doubles.backups import give_lines, make_file, move, read_file, take_lines
from tests.doubles.features import EventBook, open_features
from tests.doubles.recordings import add, make_format, make_recording
from tests.doubles.redis_layout import layout_faults, take_snapshot
from tests.doubles.store_servers import PostgresServer

HOUR_MS = 3_600_000
POOL: Mapping[str, Any] = {
    "servers": {"a", "b"},
    "server:a": {"url": "http://a/api", "secret": "sa", "state": "enabled", "online": "true"},
    "server:b": {"url": "http://b/api", "secret": "sb", "state": "cordoned", "online": "false"},
    "server_enabled": {"a"},
    "server_load": [("a", "3.5")],
    "a": {"healthy_counter": "2"},
    "appliance:servers": {"a"},
    "appliance:server:a": {"max_meetings": "7"},
    "appliance:meetings_of:a": {"math"},
    "appliance:load:a": {"joins": "4"},
    "appliance:detached:a": {"math": '{"ended_url":"http://f/?k=gone-word"}'},
    "meetings": {"math", "gone"},
    "meeting:math": {"server_id": "a", "moderator_pw": "m-pw", "voice_bridge": "71234"},
    "appliance:meeting:math": {
        "placement": "9",
        "run_ms": "5",
        "ended_url": "http://f/?k=end-word",
    },
    "voice_bridges": {"71234": "math", "70000": "gone"},
    "appliance:placements": "9",
    "appliance:size:math": {"peak": "31", "run": "9"},
    "tenants": {"t1"},
    "tenant:t1": {"name": "school", "secrets": "s1:s2", "lrs_password": "lrs-pw"},
    "tenant_name:school": {"id": "t1"},
    "tenant_settings:t1": {"x1"},
    "tenant_setting:x1": {
        **{"param": "moderatorPW", "value": "hidden-pw", "override": "true", "tenant_id": "t1"}
    },
    "appliance:setting_calls": {"x1": "create"},
    "appliance:limits:t1": {"max_users": "100"},
    "appliance:limits:": {"max_meetings": "40"},
    "appliance:limited": {"t1", ""},
    "appliance:param_rules:t1": {"r1": '{"param":"welcome","mode":"set","value":"Grüße"}'},
    "appliance:tokens": {"mon": "d" * 64},
    "appliance:token:" + "d" * 64: {"name": "mon", "role": "viewer", "created": "1"},
    "appliance:hooks": {"1": '{"callback_url":"http://f/hook?token=hook-word"}'},
    "appliance:hook_ids": "1",
    "appliance:hooks_on:a": {"http://f/hook?k=url-word": '{"id":"1"}'},
    "appliance:leases": {"a": "another appliance"},
}
"""What is in Redis, by the type of the value: set, hash, [(member, score)] or text."""
SECRETS = (
    *("m-pw", "s1:s2", "lrs-pw", "hidden-pw", "hook-word", "url-word", "body-word"),
    *("end-word", "gone-word"),
)
HIDDEN = '{"api_key":"json-word"}'
LIVING = (
    *("meeting:math", "appliance:meeting:math", "appliance:size:math"),
    "appliance:detached:a",
)


async def put(features: Features, pool: Mapping[str, Any]) -> None:
    """Write keys."""
    store = features.redis.background
    for name, value in pool.items():
        key = store.key(name)
        if isinstance(value, set):
            await store.command("SADD", key, *value)
        elif isinstance(value, dict):
            await store.command("HSET", key, *(word for pair in value.items() for word in pair))
        elif isinstance(value, list):
            await store.command("ZADD", key, *(w for one, score in value for w in (score, one)))
        else:
            await store.command("SET", key, value)
        if name in LIVING or ":lease:" in name:
            await store.command("PEXPIRE", key, HOUR_MS)


async def fill_database(database: Database) -> None:
    """Have rows of each section."""
    recordings = RecordingStore(database)
    both = (make_format("presentation", "r2"), make_format("video", "r2", thumbnails=3))
    await add(recordings, make_recording("r1"), make_recording("r2", formats=both, name="Ü"))
    callback = recording_ready("http://f/ready?k=body-word", meeting_id="math", record_id="r1")
    await PostgresQueue(database).add(callback, "key-1")
    for sql in (
        "INSERT INTO appliance.removed_metadata SELECT id, 'course' FROM recordings LIMIT 1",
        "INSERT INTO appliance.recording_sizes VALUES ('r1', 'video', 5, now())",
        """INSERT INTO callback_data (meeting_id, callback_attributes, created_at, updated_at)
        VALUES ('math', '{"url": "http://f/?t=body-word"}', now(), now())""",
        "INSERT INTO appliance.callback_origins VALUES ('math', 't1', 'hash', now())",
        """INSERT INTO appliance.usage_pairs (scope, tenant, server)
        VALUES (0, 't0', 'z'), (0, 't1', 'a'), (3, '', '')""",
        """INSERT INTO appliance.meeting_runs SELECT md5(n::text)::uuid, now(), now(), now(), n, 0,
        0, (SELECT id FROM appliance.usage_pairs WHERE server = 'a'), n, 0, 0, 0, 0, 1.5, true,
        'poll', 'math', 'int-' || n, 'Mathe "1"' FROM generate_series(1, 2500) n""",
        "INSERT INTO appliance.usage_minutes SELECT date_trunc('minute', now()), id, 1, 2, 3, 4,"
        " 5, 6, 7 FROM appliance.usage_pairs WHERE scope = 0",
        "INSERT INTO appliance.usage_hours SELECT date_trunc('hour', now()), id, 1, 1, 2, 3, 4, 5,"
        " 6, 7 FROM appliance.usage_pairs",
        "INSERT INTO appliance.usage_changed_hours VALUES (date_trunc('hour', now()))",
        "INSERT INTO appliance.usage_gaps VALUES ('a', now() - interval '1 hour', now())",
        "INSERT INTO appliance.usage_tenants VALUES ('t1', 'school')",
    ):
        await database.execute(sql)


async def rows_of(database: Database) -> dict[str, str]:
    """Return what is in the tables, without the numbers that only this database knows."""
    found = {}
    for name, sql in {
        "recordings": "SELECT to_jsonb(r) - 'id' FROM recordings r ORDER BY record_id",
        "metadata": """SELECT record_id, key, value FROM metadata m
            JOIN recordings r ON r.id = m.recording_id ORDER BY 1, 2""",
        "thumbnails": """SELECT record_id, to_jsonb(f) - 'id' - 'recording_id',
            to_jsonb(t) - 'id' - 'playback_format_id' FROM thumbnails t
            JOIN playback_formats f ON f.id = t.playback_format_id
            JOIN recordings r ON r.id = f.recording_id ORDER BY record_id, format, sequence""",
        "removed": """SELECT record_id, key FROM appliance.removed_metadata x
            JOIN recordings r ON r.id = x.recording_id""",
        "sizes": "SELECT to_jsonb(x) FROM appliance.recording_sizes x",
        "data": "SELECT to_jsonb(x) - 'id' FROM callback_data x",
        "queue": "SELECT to_jsonb(x) - 'id' FROM appliance.callbacks x",
        **{
            table: f"""SELECT to_jsonb(x) - 'pair', scope, tenant, server FROM appliance.{table} x
            JOIN appliance.usage_pairs p ON p.id = x.pair ORDER BY 2, 3, 4, 1"""
            for table in ("meeting_runs", "usage_minutes", "usage_hours")
        },
        **{
            table: f"SELECT to_jsonb(x) FROM appliance.{table} x"
            for table in ("usage_gaps", "usage_changed_hours", "usage_tenants", "callback_origins")
        },
    }.items():
        found[name] = str([tuple(row) for row in await database.fetch(sql)])
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a key cost little time: many are made here."""
    monkeypatch.setattr(backup_file, "SCRYPT_COST", 16)


@pytest.fixture
async def pools(
    redis_url: str, redis_namespace: str, database_url: str, postgres_server: PostgresServer
) -> AsyncIterator[tuple[Features, Features, BackupDeps, BackupDeps]]:
    """Give a pool with everything, an empty one, and what moves them."""
    with postgres_server.new_database() as name:
        async with (
            open_features(redis_url, redis_namespace) as here,
            open_features(redis_url, f"{redis_namespace}x") as there,
            open_asyncio_loop(tuned=True),
            open_postgres_store(database_url, log=EventBook()) as first,
            open_postgres_store(postgres_server.url(name), log=EventBook()) as second,
        ):
            await first.wait_ready()
            await second.wait_ready()
            await put(here, POOL)
            await fill_database(first)
            yield (
                *(here, there),
                replace(here.backup, database=first),
                replace(there.backup, database=second),
            )


Pools = tuple[Features, Features, BackupDeps, BackupDeps]


async def state_of(features: Features) -> dict[str, Any]:
    """Return all keys but the counters that tell appliances to read again."""
    store = features.redis.background
    found = (await take_snapshot(store.client, store.namespace)).found
    return {key: value for key, (_, _, value, _) in found.items() if key != "appliance:changes"}


async def test_everything_arrives_but_what_is_of_the_moment(pools: Pools) -> None:
    here, there, source, target = pools
    assert source.database is not None
    assert target.database is not None
    # Numbers of the target's own, which must not get mixed up with the source's.
    await target.database.execute(
        "INSERT INTO appliance.usage_pairs (scope, tenant, server) VALUES (0, 'other', 'q')"
    )

    done = await move(source, target)

    counts = {name: (one.total, one.added) for name, one in done.counts.items() if one.total}
    assert counts == {
        **{"servers": (2, 2), "tenants": (1, 1), "settings": (2, 2), "limits": (2, 2)},
        **{"tokens": (1, 1), "hooks": (1, 1), "meetings": (1, 1), "recordings": (2, 2)},
        **{"recording_sizes": (1, 1), "callback_data": (1, 1), "callback_origins": (1, 1)},
        **{"queued_callbacks": (1, 1), "usage_tenants": (1, 1), "usage_gaps": (1, 1)},
        **{"usage_changed_hours": (1, 1), "usage_hours": (3, 3), "usage_runs": (2500, 2500)},
        "usage_minutes": (2, 2),
    }
    before, after = await state_of(here), await state_of(there)
    expected = {key: before[key] for key in POOL if key not in ("a", "appliance:leases")}
    expected |= {"meetings": {"math"}, "voice_bridges": {"71234": "math"}}
    assert after == expected
    assert await rows_of(target.database) == await rows_of(source.database)
    store = there.redis.background
    assert not await layout_faults(store.client, store.namespace)
    ttl_ms = await store.command("PTTL", store.key("meeting:math"))
    assert HOUR_MS - 60_000 < ttl_ms <= HOUR_MS


async def test_no_secret_is_readable_in_the_file(pools: Pools) -> None:
    content = make_file(await take_lines(pools[2])).decode()

    assert [word for word in SECRETS if word in content] == []
    assert "http://a/api" in content
    assert json.loads(content)["recordings"][0]["metadata"]["bbb-origin"] == "greenlight"


async def test_restoring_again_changes_nothing(pools: Pools) -> None:
    _, there, source, target = pools
    lines = read_file(make_file(await take_lines(source)))
    await give_lines(target, lines)
    # What polls and calls have changed meanwhile is no conflict.
    await put(there, {"server:a": {"meetings": "5", "online": "false"}, "meetings": {"new"}})
    before = await state_of(there)
    assert target.database is not None
    rows = await rows_of(target.database)

    again = await give_lines(target, lines)

    assert await state_of(there) == before
    assert await rows_of(target.database) == rows
    assert all(one.kept == one.total for one in again.counts.values())


CONFLICTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"server:z": {"url": "http://z"}, "servers": {"z"}}, "server z is not in the backup"),
    ({"server:a": {"url": "http://other"}}, "server a has another url"),
    ({"server:a": {"secret": "other"}}, "server a has another secret"),
    ({"server:a": {"state": "disabled"}}, "server a has another state"),
    ({"appliance:server:a": {"max_meetings": "9"}}, "server a has other limits"),
    ({"tenant:t1": {"secrets": "other"}}, "tenant school has another secrets"),
    ({"tenant:t9": {"name": "uni"}, "tenants": {"t9"}}, "tenant uni is not in the backup"),
    ({"tenant:t9": {"name": "school"}}, "tenant school has another id"),
    ({"appliance:limits:": {"max_meetings": "1"}}, "limits of the pool differ"),
    ({"appliance:tokens": {"mon": "e" * 64}}, "token mon has another secret"),
)


async def test_stores_with_something_else_are_refused(redis_url: str, redis_namespace: str) -> None:
    for number, (change, reason) in enumerate(CONFLICTS):
        async with (
            open_features(redis_url, f"{redis_namespace}s{number}") as here,
            open_features(redis_url, f"{redis_namespace}t{number}") as there,
        ):
            await put(here, POOL)
            lines = read_file(make_file(await take_lines(here.backup)))
            await give_lines(there.backup, lines)
            await put(there, change)
            before = await state_of(there)

            with pytest.raises(Conflicts, match=reason):
                await give_lines(there.backup, lines)

            assert await state_of(there) == before


async def test_merge_keeps_what_is_there_and_adds_the_rest(pools: Pools) -> None:
    _, there, source, target = pools
    assert target.database is not None
    own = {
        "servers": {"a", "z"},
        "server:a": {"url": "http://mine", "secret": "x", "state": "disabled", "online": "false"},
        "server:z": {"url": "http://z", "secret": "x", "state": "disabled", "online": "false"},
        "tenants": {"t9"},
        "tenant:t9": {"name": "school", "secrets": "mine"},
        "tenant_name:school": {"id": "t9"},
        "appliance:placements": "200",
        "appliance:emptied": "1",
    }
    await put(there, own)
    await add(RecordingStore(target.database), make_recording("r1", name="mine"))

    done = await move(source, target, mode=Mode.MERGE)

    after = await state_of(there)
    assert after["servers"] == {"a", "b", "z"}
    assert after["server:a"]["url"] == "http://mine"
    assert after["server:b"]["secret"] == "sb"
    assert "server_enabled" not in after, "its server was kept, which is disabled"
    assert after["tenants"] == {"t9"}, "its name is taken"
    assert not [key for key in after if "t1" in key]
    assert after["appliance:placements"] == "200"
    assert "appliance:emptied" not in after
    assert (done.counts["servers"].added, done.counts["servers"].kept) == (1, 1)
    assert (done.counts["recordings"].added, done.counts["recordings"].kept) == (1, 1)
    names = await target.database.fetch("SELECT name FROM recordings ORDER BY record_id")
    assert [row[0] for row in names] == ["mine", "Ü"]
    store = there.redis.background
    assert not await layout_faults(store.client, store.namespace)


async def test_merge_adds_no_server_that_is_there_under_another_id(pools: Pools) -> None:
    here, there, source, target = pools
    url = (await state_of(here))["server:b"]["url"]
    known = {"url": f"{url}/", "secret": "x", "state": "disabled", "online": "false"}
    await put(there, {"servers": {"other"}, "server:other": known})
    await put(there, {"appliance:retired": {"a": "{}"}})

    done = await move(source, target, mode=Mode.MERGE)

    after = await state_of(there)
    assert after["servers"] == {"a", "other"}
    assert "a" not in after.get("appliance:retired", {})
    assert (done.counts["servers"].added, done.counts["servers"].kept) == (1, 1)
    assert not [key for key, one in after.items() if isinstance(one, dict) and "b" in one.values()]
    store = there.redis.background
    assert not await layout_faults(store.client, store.namespace)


async def test_replace_leaves_only_the_backup_and_files_keep_their_rows(pools: Pools) -> None:
    here, there, source, target = pools
    assert target.database is not None
    await put(there, {"servers": {"z"}, "server:z": {"url": "http://z", "secret": "x"}})
    await put(there, {"server:a": {"url": "http://mine"}, "appliance:placements": "200"})
    await add(
        RecordingStore(target.database),
        make_recording("r1", name="mine"),
        make_recording("r9", name="only here"),
    )

    done = await move(source, target, mode=Mode.REPLACE)

    after = await state_of(there)
    assert after["servers"] == {"a", "b"}
    assert after["server:a"] == (await state_of(here))["server:a"]
    assert "server:z" not in after
    assert (done.counts["servers"].added, done.counts["servers"].replaced) == (1, 1)
    assert (done.counts["recordings"].added, done.counts["recordings"].replaced) == (1, 1)
    rows = await target.database.fetch(
        "SELECT name, (SELECT count(*) FROM playback_formats f WHERE f.recording_id = r.id)"
        " FROM recordings r ORDER BY record_id"
    )
    assert [tuple(row) for row in rows] == [("Maths & more", 1), ("Ü", 2), ("only here", 1)]


async def test_dry_run_counts_and_changes_nothing(pools: Pools) -> None:
    _, there, source, target = pools
    assert target.database is not None

    done = await move(source, target, dry_run=True)

    assert done.counts["servers"].added == 2
    assert done.counts["usage_runs"].added == 2500
    assert await state_of(there) == {}
    assert await target.database.fetch("SELECT FROM recordings") == []


async def test_lines_that_end_early_change_nothing_in_redis_and_no_row(pools: Pools) -> None:
    _, there, source, target = pools
    assert target.database is not None
    lines = read_file(make_file(await take_lines(source)))
    first_row = lines.index(b"#recordings")

    with pytest.raises(TransferError, match="ended early"):
        await give_lines(target, lines[:20])
    assert await state_of(there) == {}
    cut_off = await give_lines(target, lines[: first_row + 5])

    assert "ended early" in cut_off.failure
    assert await target.database.fetch("SELECT FROM recordings") == []
    assert (await give_lines(target, lines)).failure == "", "it can be repeated"


async def test_database_that_is_down_is_told_before_anything_is_changed(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, there, source, target = pools
    monkeypatch.setattr(transfer, "READY_S", 0.1)
    assert target.database is not None
    lines = read_file(make_file(await take_lines(source)))
    await target.database.close_pool()

    with pytest.raises(DatabaseDown):
        await give_lines(target, lines)

    assert await state_of(there) == {}


async def test_pool_without_a_database_is_moved_without_rows(pools: Pools) -> None:
    _, there, source, target = pools

    done = await move(source, replace(target, database=None))

    assert (await state_of(there))["servers"] == {"a", "b"}
    assert done.failure == ""


async def test_history_can_follow_later(pools: Pools) -> None:
    """A move that must be quick: first what meetings need, then the rows."""
    _, there, source, target = pools
    assert source.database is not None
    assert target.database is not None

    lines = await take_lines(source, part=Part.POOL)
    await give_lines(target, read_file(make_file(lines)))
    assert (await state_of(there))["meetings"] == {"math"}
    assert await target.database.fetch("SELECT FROM recordings") == []
    store = there.redis.background
    await store.command("DEL", *map(store.key, ("meeting:math", "appliance:meeting:math")))
    before = await state_of(there)
    history = read_file(make_file(await take_lines(source, part=Part.HISTORY)))
    for mode in Mode:
        await give_lines(target, history, mode)

    assert await state_of(there) == before, "a meeting that has ended does not come back"
    assert await rows_of(target.database) == await rows_of(source.database)


async def test_table_and_key_of_a_later_version_are_taken(pools: Pools) -> None:
    """A feature that keeps something new need not think of backups."""
    here, there, source, target = pools
    assert source.database is not None
    assert target.database is not None
    await put(
        here, {"appliance:scaling": {"wanted": "3", "x": HIDDEN}, "server:a": {"weight": "0.5"}}
    )
    for database in (source.database, target.database):
        await database.execute(
            "CREATE TABLE appliance.machines (id serial PRIMARY KEY, name text, api_key text)"
        )
    await source.database.execute(
        "INSERT INTO appliance.machines (name, api_key) VALUES ('m1', 'key-word'), ('m2', NULL)"
    )

    lines = await take_lines(source)
    assert b"key-word" not in make_file(lines)
    assert b"json-word" not in make_file(lines)
    await give_lines(target, read_file(make_file(lines)))

    store = there.redis.background
    assert await store.command("HGETALL", store.key("appliance:scaling")) == [
        *("wanted", "3", "x", HIDDEN),
    ]
    assert (await state_of(there))["server:a"]["weight"] == "0.5"
    await target.database.execute("INSERT INTO appliance.machines (name) VALUES ('m3')")
    rows = await target.database.fetch("SELECT id, name, api_key FROM appliance.machines")
    assert [tuple(row) for row in rows] == [(1, "m1", "key-word"), (2, "m2", None), (3, "m3", None)]


async def test_bytes_that_are_no_text_survive(pools: Pools) -> None:
    here, there, source, target = pools
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    await put(here, {"appliance:meeting:math": {"name": name, "moderator_pw": name}})

    await move(source, target)

    assert (await state_of(there))["appliance:meeting:math"]["name"] == name
    assert (await state_of(there))["appliance:meeting:math"]["moderator_pw"] == name


async def test_backup_of_a_reader_that_leaves_ends(pools: Pools) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with pytest.raises(TransferError, match="the reader of the backup has left"):
        await write_backup(pools[2], write_end)
    os.close(write_end)
    null = os.open(os.devnull, os.O_WRONLY)
    with pytest.raises(TransferError, match="not a pipe"):
        await write_backup(pools[2], null)
    os.close(null)
