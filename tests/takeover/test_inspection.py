"""Inspecting and healing on real stores and directories."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.admin_calls.refusal import Refused
from appliance.features import Features
from appliance.takeover.findings import TakeoverFinding, Verdict, merge_findings
from appliance.takeover.healing import heal_step
from appliance.takeover.inspection import Cursor, StepResult, check_step, open_sources
from tests.doubles.bbb_process import BbbProcess, bbb_servers
from tests.doubles.features import rewire
from tests.doubles.pool_store import pool_store
from tests.doubles.recording_admin_bench import RecordingAdminBench, open_admin_bench
from tests.doubles.recordings import fill, make_format, make_recording
from tests.doubles.redis_layout import take_snapshot
from tests.doubles.scalelite_data import load_scalelite_data

OpenedTakeover = tuple[RecordingAdminBench, Features, Path]


@pytest.fixture
async def place(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> AsyncIterator[OpenedTakeover]:
    """Open recordings and a pool that can be inspected."""
    root = tmp_path / "volume"
    async with open_admin_bench(redis_url, redis_namespace, database_url, root) as bench:
        for name in ("published", "unpublished"):
            (root / name).mkdir(exist_ok=True)
        yield bench, bench.res, root


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, BbbProcess]]:
    """Start the servers of the recorded Scalelite except for the disabled one."""
    with bbb_servers(3) as started:
        yield {f"bbb{number}.example.org": bbb for number, bbb in enumerate(started, 1)}


async def run_steps(
    run: Callable[[Cursor], Awaitable[StepResult]],
) -> list[TakeoverFinding]:
    """Run every step and return the merged findings."""
    found: list[TakeoverFinding] = []
    cursor: Cursor | None = Cursor()
    with trio.fail_after(60):
        while cursor is not None:
            result = await run(cursor)
            found += result.findings
            cursor = result.next
    return merge_findings(found)


async def check(res: Features) -> dict[str, list[str]]:
    """Inspect everything; return the names of what is not fine, by verdict and text."""
    sources = open_sources(res.takeover)
    found = await run_steps(lambda cursor: check_step(sources, res.settings, cursor))
    return {
        f"{one.verdict.value}: {one.text}": sorted(one.names)
        for one in found
        if one.verdict is not Verdict.FINE
    }


async def heal(res: Features, *, dry_run: bool = False) -> dict[str, list[str]]:
    """Heal everything; return what was done, by verdict and text."""
    found = await run_steps(lambda cursor: heal_step(res.takeover, "me", cursor, dry_run=dry_run))
    return {f"{one.verdict.value}: {one.text}": sorted(one.names) for one in found}


async def dump(bench: RecordingAdminBench, root: Path) -> tuple[Any, Any, Any]:
    """Return everything in Redis, in the database and on the disk."""
    store = pool_store(bench.res)
    snapshot = await take_snapshot(store.bulk, store.namespace)
    keys = {name: value for name, (_, _, value, _) in snapshot.found.items()}
    rows = {}
    for table in ("recordings", "metadata", "playback_formats", "thumbnails", "callback_data"):
        found = await bench.bench.database.fetch(f"SELECT * FROM {table} ORDER BY id")
        rows[table] = [tuple(row) for row in found]
    return keys, rows, dump_files(root)


def dump_files(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*")}


def add_files(root: Path, top: str, format: str, record_id: str, text: str = "x") -> None:
    folder = root / top / format / record_id
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(text)


async def make_a_mess(bench: RecordingAdminBench, root: Path) -> None:
    """Create every inconsistency that a Scalelite may leave behind."""
    await bench.add(make_recording("right"))
    await bench.add(make_recording("wrong"), wrong=True)
    await bench.add(make_recording("hidden", published=False, state="unpublished"), wrong=True)
    await bench.add(make_recording("twice"))
    add_files(root, "unpublished", "presentation", "twice", "")
    both = (make_format("presentation", "half"), make_format("video", "half"))
    await bench.add(make_recording("half", formats=both))
    (root / "published/video/half/index.html").unlink()
    (root / "published/video/half").rmdir()
    await bench.add(make_recording("gone"))
    await bench.bench.database.execute(
        "UPDATE recordings SET state = 'deleted' WHERE record_id = 'gone'"
    )
    add_files(root, "published", "podcast", "gone")
    add_files(root, "unpublished", "video", "stranger")
    store = pool_store(bench.res)
    prefix = f"{store.namespace}:"
    await store.bulk.pipeline(
        [
            ["SADD", f"{prefix}servers", "bbb1"],
            ["HSET", f"{prefix}server:bbb1", "url", "https://b/bigbluebutton/api", "secret", "s",
             "state", "enabled", "online", "false"],
            ["SADD", f"{prefix}server_enabled", "bbb1"],
            ["SADD", f"{prefix}meetings", "over", "lost"],
            ["HSET", f"{prefix}meeting:lost", "server_id", "removed", "moderator_pw", "m",
             "voice_bridge", "70009"],
            ["HSET", f"{prefix}voice_bridges", "70007", "over", "70009", "lost"],
        ]
    )  # fmt: skip


MESS = {
    "self: meetings that have ended, but are still listed": ["over"],
    "self: meetings whose server was removed": ["lost"],
    "self: voice bridge numbers of meetings that have ended": ["70007"],
    "heal: formats in the wrong directory": [
        *("hidden/presentation", "twice/presentation", "wrong/presentation"),
    ],
    "heal: formats of deleted recordings whose files still exist": [
        *("gone/podcast", "gone/presentation"),
    ],
    "person: formats without files": ["half/video"],
}


async def test_check_reports_everything_and_changes_nothing(place: OpenedTakeover) -> None:
    bench, res, root = place
    await make_a_mess(bench, root)
    before = await dump(bench, root)

    found = await check(res)

    strangers = "person: directories of recordings that are not in the database"
    assert found == {**MESS, strangers: [str(root / "unpublished/video/stranger")]}
    assert await heal(res, dry_run=True) == {
        name: names for name, names in MESS.items() if not name.startswith("person")
    }
    assert await dump(bench, root) == before
    assert not bench.log.named("takeover_healed")


async def test_heal_repairs_the_safe_part_and_logs_it(place: OpenedTakeover) -> None:
    bench, res, root = place
    await make_a_mess(bench, root)

    done = await heal(res)

    assert done == {
        "heal: meetings whose server was removed": ["lost"],
        "self: meetings that have ended, but are still listed": ["over"],
        "self: voice bridge numbers of meetings that have ended": ["70007"],
        **{name: names for name, names in MESS.items() if name.startswith("heal")},
    }
    left = await check(res)
    assert not [name for name in left if name.startswith("heal")]
    assert left["person: formats without files"] == ["half/video"]
    assert bench.bench.tree() == {
        "published/presentation/right/index.html",
        "published/presentation/wrong/index.html",
        "published/presentation/twice/index.html",
        "published/presentation/half/index.html",
        "unpublished/presentation/hidden/index.html",
        "unpublished/video/stranger/index.html",
    }
    assert (root / "published/presentation/twice/index.html").read_text() == "twice"
    logged = bench.log.named("takeover_healed")
    assert [(one["by"], one["part"], one["count"]) for one in logged] == [
        *(("me", "pool", 1), ("me", "recordings", 5)),
    ]
    assert await heal(res) == {
        "self: meetings that have ended, but are still listed": ["over"],
        "self: voice bridge numbers of meetings that have ended": ["70007"],
    }


async def test_missing_files_need_no_person_when_their_tar_waits(place: OpenedTakeover) -> None:
    bench, res, root = place
    await bench.add(make_recording("coming"))
    for path in (root / "published/presentation/coming").iterdir():
        path.unlink()
    (root / "published/presentation/coming").rmdir()
    (root / "spool/coming.tar").write_bytes(b"")
    add_files(root, "published", "video", "new")
    (root / "spool/new.tar.gz").write_bytes(b"")

    found = await check(res)

    assert found.pop("person: servers") == []
    assert found == {
        "self: formats whose files may be in a tar in the spool": ["coming/presentation"],
        "self: directories of recordings that are being imported": [
            str(root / "published/video/new")
        ],
    }


async def test_recorded_scalelite_needs_no_person(
    place: OpenedTakeover, servers: dict[str, BbbProcess]
) -> None:
    _, res, _ = place
    store = pool_store(res)
    await load_scalelite_data(store.bulk, store.namespace, servers)
    on = replace(res.settings, api=replace(res.settings.api, multitenancy=True))

    assert await check(rewire(res, settings=on)) == {}
    assert list(await check(res)) == [
        "person: tenants that are ignored, because MULTITENANCY_ENABLED is not true"
    ]


async def test_many_recordings_are_inspected_in_pages(place: OpenedTakeover) -> None:
    bench, res, root = place
    await fill(bench.bench.database, 2500)
    for number in range(1, 2501):
        for format in ("presentation", "video"):
            top = "unpublished" if number == 2400 else "published"
            (root / top / format / f"rec-{number:07}").mkdir(parents=True)
    steps: list[tuple[str, int, int]] = []

    async def run(cursor: Cursor) -> StepResult:
        result = await check_step(open_sources(res.takeover), res.settings, cursor)
        steps.append((cursor.part, cursor.after, result.checked))
        return result

    found = [one for one in await run_steps(run) if one.verdict is Verdict.HEAL]

    assert [one.names for one in found] == [("rec-0002400/presentation", "rec-0002400/video")]
    assert [step for step in steps if step[0] == "recordings"] == [
        *(("recordings", 0, 1000), ("recordings", 1000, 1000), ("recordings", 2000, 500)),
    ]
    assert len(await heal(res)) == 1
    assert not [name for name in await check(res) if name.startswith("heal")]


@pytest.mark.parametrize("part", ["", "everything", "folders"])
async def test_step_is_refused_when_the_part_does_not_exist(
    place: OpenedTakeover, part: str
) -> None:
    _, res, _ = place
    with pytest.raises(Refused):
        await heal_step(res.takeover, "me", Cursor(part), dry_run=False)
    if part != "folders":
        with pytest.raises(Refused):
            await check_step(open_sources(res.takeover), res.settings, Cursor(part))


async def test_stores_that_are_not_configured_are_reported(place: OpenedTakeover) -> None:
    _, res, _ = place
    sources = replace(open_sources(res.takeover), pool=None, recordings=None)
    disabled = replace(res.settings, recordings=replace(res.settings.recordings, disabled=True))

    found = await run_steps(lambda cursor: check_step(sources, res.settings, cursor))
    without = await run_steps(lambda cursor: check_step(sources, disabled, cursor))

    assert [one.text for one in found if one.verdict is Verdict.PERSON] == [
        "the Redis of Scalelite",
        "the database of Scalelite",
    ]
    assert [one.text for one in without] == [
        "the Redis of Scalelite",
        "recordings, which RECORDING_DISABLED disables",
    ]
